"""Child processes of the tests: started in a folder of their own, watched with deadlines, ended by their own process id."""
import contextlib
import ctypes
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("READSIDE_BUILD", ROOT / "build")).resolve()
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def eventually(check, deadline=30, what=None, every=0.05):
    """Calls check() until it returns something true, and returns that. An AssertionError counts as "not yet"."""
    end = time.monotonic() + deadline
    while True:
        try:
            value, reason = check(), None
        except AssertionError as error:
            value, reason = None, error
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what or reason or check}") from reason
        time.sleep(every)


def free_port():
    """A port below the ephemeral range, so that no client's own port takes it before the server does."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def unprivileged():
    """Popen arguments under which a server runs: as root, those of the user nobody."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def temporary_folder(prefix):
    """A new folder that the unprivileged user owns."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"readside-{prefix}-"))
    give_away(folder)
    return folder


def give_away(path):
    as_user = unprivileged()
    if as_user:
        os.chown(path, as_user["user"], as_user["group"])


class Process:
    """One process. Its standard output and error go to `log`, a file."""

    def __init__(self, name, folder, outlive=False):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.log = self.folder / f"{name}.log"
        self.popen = None
        self.outlive = outlive

    def spawn(self, command, **popen):
        assert not self.is_running(), f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for who started it, who still needs the servers to tidy up
                preexec_fn=None if self.outlive else lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), **popen)
        return self

    @property
    def pid(self):
        return self.popen.pid if self.popen else None

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def send_signal(self, number):
        self.popen.send_signal(number)

    def wait(self, deadline=30):
        """The exit code; minus the signal's number if one ended it."""
        try:
            return self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {deadline} s; its log ends\n{self.tail()}") from None

    def terminate(self, number=signal.SIGTERM, deadline=30):
        """Ends it by a signal, by SIGKILL past the deadline. Returns the exit code, None if it did not run."""
        if not self.is_running():
            return self.popen.returncode if self.popen else None
        self.send_signal(number)
        try:
            return self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()

    def kill(self):
        return self.terminate(signal.SIGKILL)

    def freeze(self):
        self.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.send_signal(signal.SIGCONT)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines(self, pattern=""):
        return [line for line in self.text().splitlines() if re.search(pattern, line)]

    def tail(self, n=30):
        return "\n".join(self.text().splitlines()[-n:])

    def wait_log(self, pattern, deadline=30, count=1):
        """The lines that match, once there are `count` of them; fails at once when the process has ended without them."""
        def check():
            ended = not self.is_running()  # before the log is read: the last words count
            found = self.lines(pattern)
            if len(found) < count and ended:
                raise RuntimeError(f"{self.name} ended without a log line like {pattern!r}; its log ends\n{self.tail()}")
            return found if len(found) >= count else None
        return eventually(check, deadline, f"{self.name} logs {pattern!r}; its log ends\n{self.tail()}")

    def remove(self):
        if self.is_running():
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
