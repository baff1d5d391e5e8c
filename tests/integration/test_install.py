"""What `make install` puts down is enough to build the README's plugin with and to run it; `make uninstall` takes all of it away."""
import os
import re
import shlex
import subprocess

from process import BUILD, ROOT

README = (ROOT / "README.md").read_text()


def run(*command, **environment):
    done = subprocess.run([str(word) for word in command], env={**os.environ, **environment}, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_readmes_plugin_by_the_installed_header(tmp_path):
    stage = tmp_path / "stage"
    run("make", "-s", "-C", BUILD, "install", f"DESTDIR={stage}")
    prefix = next(stage.rglob("bin/readside")).parent.parent
    assert {path.name for path in prefix.rglob("*") if path.is_file()} >= {
        "readside", "plugin.h", "readside.pc", "bank.so", "readside.1", "readside.conf.5", "readside.service"}

    (tmp_path / "pages.c").write_text(re.search(r"```c\n(.*?)```", README, re.DOTALL).group(1))
    flags = run("pkg-config", "--cflags", "readside", PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"),
                PKG_CONFIG_SYSROOT_DIR=str(stage))
    run("cc", "-Wall", "-Werror", "-shared", "-fPIC", *shlex.split(flags), tmp_path / "pages.c", "-o", tmp_path / "pages.so")
    (tmp_path / "visits.jsonl").write_text(re.search(r"echo '(.*)' > visits.jsonl", README).group(1) + "\n")
    printed = run(prefix / "bin/readside", "test-plugin", tmp_path / "pages.so", tmp_path / "visits.jsonl")
    assert re.search(r"home\s+1\b", printed), printed

    run("make", "-s", "-C", BUILD, "uninstall", f"DESTDIR={stage}")
    assert [path for path in stage.rglob("*") if path.is_file()] == []
