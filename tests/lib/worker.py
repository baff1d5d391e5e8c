"""The built readside under test: `Readside` is one `readside run`; `readside()` runs any other command."""
import os
import pathlib
import signal
import subprocess

from process import BUILD, Process, eventually

BINARY = BUILD / "readside"
PLUGINS = [BUILD / "plugins", BUILD / "tests" / "plugins"]
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite",
            "--trace-children=yes"]


def command(*arguments, program=BINARY):
    assert program.exists(), f"{program} is not built"
    return [*(VALGRIND if os.environ.get("VALGRIND") else []), program, *arguments]


def readside(*arguments, deadline=60, **run):
    """Runs a command to its end: returncode, stdout, stderr."""
    return subprocess.run([str(word) for word in command(*arguments)], capture_output=True, text=True, timeout=deadline,
                          stdin=None if "input" in run else subprocess.DEVNULL, check=False, **run)


def literal(value):
    """A value in libconfig's syntax."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return "{ " + " ".join(f"{name} = {literal(member)};" for name, member in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[ " + ", ".join(literal(member) for member in value) + " ]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_config(path, kafka, stores, pipelines, worker=()):
    """Writes a config file from dictionaries: {"bootstrap_servers": ...}, {NAME: {...}}, {NAME: {...}}."""
    groups = {
        "worker": {"plugin_path": ":".join(map(str, PLUGINS)), **dict(worker)},
        "kafka": kafka,
        "stores": stores,
        "pipelines": pipelines,
    }
    path = pathlib.Path(path)
    lines = []
    for group, members in groups.items():
        lines.append(f"{group}: {{")
        lines += [f"    {name}{': ' if isinstance(value, dict) else ' = '}{literal(value)};" for name, value in members.items()]
        lines.append("};")
    path.write_text("\n".join(lines) + "\n")
    return path


def children(pid):
    """Process ids of the living children."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return sorted(found)


class Readside(Process):
    """`readside run [OPTION...] CONFIG`. The log is its standard output and error."""

    def __init__(self, config, name="readside", environment=()):
        config = pathlib.Path(config)
        super().__init__(name, config.parent)
        self.config = config
        self.environment = {**os.environ, **dict(environment)}

    def start(self, *arguments):
        return self.spawn(command("run", *arguments, self.config), env=self.environment, cwd=self.folder)

    def tasks(self, at_least=0, deadline=20):
        """Process ids of its tasks, once there are so many."""
        def check():
            found = children(self.pid)
            return (found,) if len(found) >= at_least else None
        return eventually(check, deadline, f"{at_least} tasks of {self.name}")[0]

    def stop(self, deadline=30):
        """SIGTERM; returns the exit code."""
        return self.terminate(signal.SIGTERM, deadline)

    def reload(self):
        self.send_signal(signal.SIGHUP)

    def signal_task(self, number, task=0):
        os.kill(self.tasks(task + 1)[task], number)

    def kill_task(self, task=0):
        """kill -9 of one task; returns its process id."""
        pid = self.tasks(task + 1)[task]
        os.kill(pid, signal.SIGKILL)
        return pid
