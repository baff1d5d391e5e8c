"""What scripts/sandbox does: servers that outlive the command, remembered by address and process id in sandbox.json."""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

FOLDER = pathlib.Path(os.environ.get("SANDBOX_DIR", "sandbox")).resolve()
STATE = FOLDER / "sandbox.json"
DATABASE = "views"
TOPIC = "bank"

try:
    from kafka import Kafka
    from mysql import MariaDB
    from postgres import Postgres
    from process import BUILD, give_away, unprivileged
    from worker import literal, write_config
except ImportError as missing:
    sys.exit(f"sandbox: {missing}; scripts/bootstrap test installs it")


def is_ours(entry):
    """Whether that process still is the server that was started: a number alone may long belong to somebody else."""
    with contextlib.suppress(OSError, TypeError, IndexError):
        stat = pathlib.Path(f"/proc/{entry['pid']}/stat").read_text().rpartition(")")[2].split()
        return stat[19] == entry["started"] and stat[0] != "Z"
    return False


def started(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def load():
    return json.loads(STATE.read_text()) if STATE.exists() else {}


def servers(state):
    """All that are known; MariaDB is started on demand."""
    def folder(name):
        path = FOLDER / name
        path.mkdir(parents=True, exist_ok=True)
        give_away(path)
        return path
    def port(name):
        return state.get(name, {}).get("port")
    return {
        "kafka": Kafka(folder("kafka"), port("kafka"), outlive=True),
        "postgres": Postgres(folder("postgres"), port("postgres"), fsync=True, outlive=True),
        "mariadb": MariaDB(folder("mariadb"), port("mariadb"), fsync=True, outlive=True),
    }


def check_folder():
    """The servers' user must be able to enter the folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0 and subprocess.run(["test", "-x", FOLDER], **unprivileged(), check=False).returncode != 0:
        sys.exit(f"sandbox: the servers run as the user nobody, who cannot enter {FOLDER}; set SANDBOX_DIR to another folder")


def keep_password(server, name):
    """A copy that the worker may read, whoever runs the servers."""
    secret = FOLDER / name
    secret.touch(mode=0o600)
    secret.write_text(server.password)
    return secret


def second_store(mariadb):
    """The database, and what a config says to use it."""
    if not mariadb.administer("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", DATABASE):
        mariadb.create_database(DATABASE)
    store = {"kind": "mysql", "uri": mariadb.uri(DATABASE), "password": f"file:{keep_password(mariadb, 'mariadb.password')}"}
    return f"mariadb: {literal(store)};"


def up(arguments):
    check_folder()
    state = load()
    wanted = ["kafka", "postgres"] + (["mariadb"] if arguments.mariadb or "mariadb" in state else [])
    for name, server in servers(state).items():
        if name not in wanted or is_ours(state.get(name)):
            continue
        server.start()
        state[name] = {"pid": server.pid, "started": started(server.pid), "port": server.port}
        STATE.write_text(json.dumps(state, indent=2) + "\n")
    known = servers(state)
    kafka, postgres = known["kafka"], known["postgres"]
    if not kafka.partitions(TOPIC):
        kafka.create_topic(TOPIC, 4)
    if not postgres.query("postgres", "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
        postgres.create_database(DATABASE)
    config, secret = FOLDER / "readside.conf", keep_password(postgres, "password")
    second = second_store(known["mariadb"]) if "mariadb" in wanted else None
    if not config.exists():
        write_config(config, {"bootstrap_servers": kafka.bootstrap},
                     {"main": {"kind": "postgresql", "uri": postgres.uri(DATABASE), "password": f"file:{secret}"}},
                     {"bank": {"topics": [TOPIC], "plugin": "bank", "options": {"daily_totals": True}, "tasks": 2}},
                     {"name": "sandbox", "plugin_path": BUILD / "plugins"})
        if second:
            config.write_text(f"{config.read_text()}\n# A second store:\n# {second}\n")
    status(None)
    if second:
        print(f"\na second store for {config}:\n    {second}")
    print(f"""
feed it      scripts/sandbox produce {TOPIC} FILE.jsonl
run          {BUILD / "readside"} run {config}
look         scripts/sandbox sql""")


def down(_):
    state = load()
    for name, number in (("kafka", signal.SIGTERM), ("postgres", signal.SIGINT), ("mariadb", signal.SIGTERM)):
        entry = state.get(name)
        if not is_ours(entry):
            continue
        os.kill(entry["pid"], number)
        end = time.monotonic() + 30
        while is_ours(entry):
            if time.monotonic() > end:
                os.kill(entry["pid"], signal.SIGKILL)
                end += 30
            time.sleep(0.05)
        print(f"{name} stopped")


def status(_):
    state = load()
    everything = True
    for name in ["kafka", "postgres"] + (["mariadb"] if "mariadb" in state else []):
        entry = state.get(name)
        alive = is_ours(entry)
        everything = everything and alive
        print(f"{name:<12} " + (f"127.0.0.1:{entry['port']}, process {entry['pid']}" if alive else "down"))
    print(f"{'folder':<12} {FOLDER}")
    return 0 if everything else 1


def produce(arguments):
    state = load()
    if not is_ours(state.get("kafka")):
        sys.exit("sandbox: Kafka is down; scripts/sandbox up starts it")
    kafka = servers(state)["kafka"]
    if not kafka.partitions(arguments.topic):
        kafka.create_topic(arguments.topic, arguments.partitions)

    def records():
        with open(arguments.file, encoding="utf-8") if arguments.file != "-" else contextlib.nullcontext(sys.stdin) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    key = json.loads(line)[arguments.key]
                except (ValueError, KeyError, TypeError):
                    sys.exit(f"sandbox: {arguments.file}:{number}: not a JSON object with the field {arguments.key!r}, which becomes the "
                             "record's key; name another by --key FIELD")
                yield str(key), line.strip()
    batch = list(records())
    kafka.produce(arguments.topic, batch)
    print(f"{len(batch)} records written to {arguments.topic}")


def sql(arguments):
    state = load()
    name = "mariadb" if arguments.mariadb else "postgres"
    if not is_ours(state.get(name)):
        sys.exit(f"sandbox: {name} is down; scripts/sandbox up{' --mariadb' if arguments.mariadb else ''} starts it")
    if arguments.mariadb:
        mariadb = servers(state)["mariadb"]
        os.environ["MYSQL_PWD"] = mariadb.password
        os.execvp("mariadb", ["mariadb", "--no-defaults", f"--socket={mariadb.socket}", f"--user={mariadb.user}", DATABASE])
    postgres = servers(state)["postgres"]
    os.environ["PGPASSWORD"] = postgres.password
    os.execv(postgres.program("psql"), ["psql", postgres.uri(DATABASE)])


def main():
    parser = argparse.ArgumentParser(prog="scripts/sandbox")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for function in (up, down, status, produce, sql):
        command = commands.add_parser(function.__name__)
        command.set_defaults(function=function)
        if function in (up, sql):
            command.add_argument("--mariadb", action="store_true", help="MariaDB as well" if function is up else "MariaDB's")
        if function is produce:
            command.add_argument("topic")
            command.add_argument("file", help="JSON lines; - for standard input")
            command.add_argument("--key", default="account", help="field that becomes the record key (default: account)")
            command.add_argument("--partitions", type=int, default=4, help="of a topic that is made now (default: 4)")
    arguments = parser.parse_args()
    sys.exit(arguments.function(arguments))


main()
