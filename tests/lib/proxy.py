"""A TCP proxy on loopback that breaks connections in the ways a network does."""
import contextlib
import re
import selectors
import socket
import struct
import threading
import time

from process import free_port

CHUNK = 65536
OVERLAP = 256  # bytes of the stream that a pattern may reach back into the chunk before


class Connection:
    def __init__(self, client, server):
        self.client = client
        self.server = server
        self.tails = {"client": b"", "server": b""}
        self.stranded = None  # bytes that left the client and have not reached the server

    def close(self, abruptly=True, sides="client server"):
        for side in sides.split():
            peer = getattr(self, side)
            with contextlib.suppress(OSError):
                if abruptly:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    peer.shutdown(socket.SHUT_RDWR)
            peer.close()


class Proxy:
    """Forwards 127.0.0.1:`port` to `target` ((host, port) or a port). One thread.

    A fault is armed with a pattern (bytes, a regular expression), is fired by the first match in the bytes of one side, and is
    then over; `fired` counts. Patterns: b"COMMIT\\0" is the tag that PostgreSQL answers a commit with.
    """

    def __init__(self, target):
        self.target = ("127.0.0.1", target) if isinstance(target, int) else target
        self.port = free_port()
        self.fired = 0
        self.accepted = 0
        self._faults = []
        self._connections = set()
        self._stranded = []
        self._frozen = False
        self._delay = 0
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._listener = None
        self._over = False
        self.accept()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # Faults that wait for a pattern.

    def swallow_answer(self, pattern):
        """The server's bytes that match, and all after them, are lost and the connection with them."""
        self._arm("server", pattern, self._swallow)

    def cut(self, pattern):
        """The client's bytes that match are lost, with the connection."""
        self._arm("client", pattern, self._swallow)

    def cut_after(self, pattern):
        """The client's bytes that match reach the server; then the connection breaks."""
        self._arm("client", pattern, self._pass_and_break)

    def strand(self, pattern):
        """The client's bytes that match stay in flight: the client sees a broken connection, the server an open one that is
        silent until deliver_stranded()."""
        self._arm("client", pattern, self._strand)

    def deliver_stranded(self):
        """What was in flight arrives at the server; returns how many connections that were."""
        with self._lock:
            late, self._stranded = self._stranded, []
        for connection in late:
            connection.server.setblocking(True)
            with contextlib.suppress(OSError):
                connection.server.sendall(connection.stranded)
                connection.server.shutdown(socket.SHUT_WR)
                connection.server.settimeout(10)
                while connection.server.recv(CHUNK):
                    pass
            connection.close(sides="server")
        return len(late)

    # Faults at once.

    def freeze(self):
        """Nothing moves, nothing breaks."""
        self._frozen = True

    def slow(self, seconds):
        """Every piece waits so long."""
        self._delay = seconds

    def pass_through(self):
        """Ends freeze(), slow(), refuse() and faults that have not fired."""
        with self._lock:
            self._faults.clear()
        self._frozen = False
        self._delay = 0
        self.accept()

    def reset(self):
        """Every connection breaks now."""
        with self._lock:
            for connection in list(self._connections):
                self._drop(connection)

    def refuse(self):
        """Nobody listens any more; open connections stay."""
        with self._lock:
            if self._listener:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None

    def accept(self):
        with self._lock:
            if self._listener:
                return
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self.port))
            self._listener.listen(64)
            self._selector.register(self._listener, selectors.EVENT_READ)

    @property
    def connections(self):
        return len(self._connections)

    def close(self):
        self._over = True
        self._thread.join(5)
        self.refuse()
        self.reset()
        for connection in self._stranded:
            connection.close(sides="server")

    # The thread.

    def _run(self):
        while not self._over:
            if self._frozen:
                time.sleep(0.01)
                continue
            try:
                ready = self._selector.select(0.05)
            except OSError:
                continue
            for key, _ in ready:
                with self._lock:
                    if key.data is None:
                        self._open()
                    elif key.data[0] in self._connections and not self._frozen:
                        self._move(*key.data)

    def _open(self):
        try:
            client, _ = self._listener.accept()
        except (OSError, AttributeError):
            return
        try:
            server = socket.create_connection(self.target, 5)
        except OSError:
            client.close()
            return
        self.accepted += 1
        connection = Connection(client, server)
        for peer, side in ((client, "client"), (server, "server")):
            peer.settimeout(30)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(peer, selectors.EVENT_READ, (connection, side))
        self._connections.add(connection)

    def _move(self, connection, side):
        source = getattr(connection, side)
        sink = connection.server if side == "client" else connection.client
        try:
            data = source.recv(CHUNK)
            if not data:
                return self._drop(connection, abruptly=False)
            if self._delay:
                time.sleep(self._delay)
            window = connection.tails[side] + data
            connection.tails[side] = window[-OVERLAP:]
            for fault in self._faults:
                fault_side, pattern, action = fault
                # What matched wholly before is no match: it went by before the fault was armed.
                if fault_side == side and any(m.end() > len(window) - len(data) for m in pattern.finditer(window)):
                    self._faults.remove(fault)
                    self.fired += 1  # first: the client may look at once
                    action(connection, sink, data)
                    return None
            sink.sendall(data)
        except OSError:
            self._drop(connection)
        return None

    def _arm(self, side, pattern, action):
        with self._lock:
            self._faults.append((side, re.compile(pattern, re.DOTALL), action))

    def _swallow(self, connection, _sink, _data):
        self._drop(connection)

    def _pass_and_break(self, connection, sink, data):
        sink.sendall(data)
        # An orderly end to the server, so that it still reads what was sent.
        self._forget(connection)
        connection.close(sides="client")
        connection.close(abruptly=False, sides="server")

    def _strand(self, connection, _sink, data):
        rest = [data]
        connection.client.settimeout(0.05)
        with contextlib.suppress(OSError):
            while more := connection.client.recv(CHUNK):
                rest.append(more)
        connection.stranded = b"".join(rest)
        self._forget(connection)
        connection.close(sides="client")
        self._stranded.append(connection)

    def _forget(self, connection):
        self._connections.discard(connection)
        for peer in (connection.client, connection.server):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(peer)

    def _drop(self, connection, abruptly=True):
        self._forget(connection)
        connection.close(abruptly)
