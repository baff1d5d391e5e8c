"""What the benchmarks share."""
from mysql import MariaDB, MySQL
from scene import MysqlStore, PostgresStore, SqliteStore
from servers import Postgres

SERVERS = {"postgresql": Postgres, "mariadb": MariaDB, "mysql": MySQL}
# The servers' own defaults would measure their smallest buffers.
SETTINGS = {"mariadb": {"innodb-buffer-pool-size": "1G", "innodb-log-file-size": "512M"},
            "mysql": {"innodb-buffer-pool-size": "1G", "innodb-redo-log-capacity": "1G"}}


def start_server(kind, undo):
    """A server that flushes at each commit, as in earnest."""
    server = SERVERS[kind](fsync=True, **({"settings": SETTINGS[kind]} if kind in SETTINGS else {}))
    undo.callback(server.remove)
    server.start()
    return server


def start_store(kind, folder, undo):
    if kind == "sqlite":
        return SqliteStore(folder / "store.db")
    server = start_server(kind, undo)
    server.create_database("bench")
    return (PostgresStore if kind == "postgresql" else MysqlStore)(server, "bench", folder)
