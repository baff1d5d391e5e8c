"""Further builds of the sources, in folders of their own."""
import shlex
import subprocess

from process import ROOT


def build(folder, targets, configure, environment=""):
    """targets: make's. configure: its arguments. environment: assignments of the shell's, before configure."""
    script = (f"source scripts/lib/common.sh; use_deps; cd {shlex.quote(str(folder))}; "
              f"{environment} {shlex.quote(str(ROOT / 'configure'))} -q --enable-werror {configure}; make -s -j2 {targets}")
    done = subprocess.run(["bash", "-ec", script], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
