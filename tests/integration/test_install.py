"""What `make install` puts down is enough to build the documents' plugins with and to run them; `make uninstall` takes it away."""
import os
import re
import shlex
import subprocess

import pytest

from process import BUILD, ROOT

README = (ROOT / "README.md").read_text()
TUTORIAL = (ROOT / "docs/plugins.md").read_text()


def run(*command, expect=0, **environment):
    done = subprocess.run([str(word) for word in command], env={**os.environ, **environment}, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == expect, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Installed:
    """The build, installed below a folder; builds plugins by what lies there alone."""

    def __init__(self, folder, *variables):
        self.folder, self.stage, self.variables = folder, folder / "stage", variables
        self.make("install")
        self.program = next(self.stage.rglob("bin/readside"))
        self.prefix = self.program.parent.parent

    def make(self, target):
        run("make", "-s", "-C", BUILD, target, f"DESTDIR={self.stage}", *self.variables)

    def pkg_config(self, *arguments):
        return run("pkg-config", *arguments, "readside", PKG_CONFIG_PATH=str(self.prefix / "lib/pkgconfig"),
                   PKG_CONFIG_SYSROOT_DIR=str(self.stage))

    def plugin(self, name, source):
        (self.folder / f"{name}.c").write_text(source)
        run("cc", "-Wall", "-Werror", "-shared", "-fPIC", *shlex.split(self.pkg_config("--cflags")), self.folder / f"{name}.c",
            "-o", self.folder / f"{name}.so")
        return self.folder / f"{name}.so"

    def events(self, text):
        (self.folder / "events.jsonl").write_text(text)
        return self.folder / "events.jsonl"

    def plugin_folder(self):
        return self.stage / self.pkg_config("--variable=plugindir").strip().removeprefix(str(self.stage)).lstrip("/")

    def files(self):
        return [path for path in self.stage.rglob("*") if not path.is_dir()]


@pytest.fixture
def installed(tmp_path):
    return Installed(tmp_path)


def test_the_readmes_plugin(installed):
    plugin = installed.plugin("pages", re.search(r"```c\n(.*?)```", README, re.DOTALL).group(1))
    events = installed.events(re.search(r"echo '(.*)' > visits.jsonl", README).group(1) + "\n")
    printed = run(installed.program, "test-plugin", plugin, events)
    assert re.search(r"home\s+1\b", printed), printed


def test_the_tutorials_plugin(installed):
    plugin = installed.plugin("meters", re.search(r"```c\n(.*?)```", TUTORIAL, re.DOTALL).group(1))
    session = re.search(r"\$ cat meters.jsonl\n(.*?) +\$ readside test-plugin \./meters.so meters.jsonl\n(.*?)\n\n", TUTORIAL,
                        re.DOTALL)
    events, promised = (re.sub(r"^    ", "", text, flags=re.MULTILINE) for text in session.groups())
    printed = run(installed.program, "test-plugin", plugin, installed.events(events), expect=2)  # one event is poison
    assert re.sub(r"reason=.*", 'reason="..."', printed).strip() == promised.strip()


def test_what_is_there_and_goes_again(installed):
    assert {path.name for path in installed.files()} >= {
        "readside", "plugin.h", "plugins.md", "readside.pc", "bank.so", "readside.1", "readside.conf.5", "readside.conf.sample",
        "readside.service"}
    plugins = installed.plugin_folder()
    assert (plugins / "bank.so").is_file()
    installed.make("uninstall")
    assert installed.files() == []
    assert list(installed.stage.rglob("readside")) == []  # folders that everybody uses, such as bin, stay


def test_a_plugin_of_ones_own_stays(installed):
    own = installed.plugin_folder() / "own.so"
    own.touch()
    installed.make("uninstall")
    assert installed.files() == [own]


def test_the_unit_runs_the_installed_program(tmp_path):
    installed = Installed(tmp_path, "prefix=/opt/readside")
    unit = next(installed.stage.rglob("readside.service")).read_text()
    program = re.search(r"^ExecStart=(\S+)", unit, re.MULTILINE).group(1)
    assert installed.stage / program.lstrip("/") == installed.program
