"""Builds other than the one that is tested: a store left out is left out of the program, and a config that asks for it is told so."""
import subprocess

import pytest

from build import build
from worker import write_config

WITHOUT = {"mysql": "mysql://reader@localhost/views", "postgresql": "postgresql://localhost/views"}


@pytest.mark.parametrize("kind", WITHOUT)
def test_a_store_that_is_left_out(tmp_path, kind):
    build(tmp_path, "readside", f"--without-{kind} CFLAGS=-O0")
    config = write_config(tmp_path / "readside.conf", {"bootstrap_servers": "localhost:1"}, {"main": {"kind": kind, "uri": WITHOUT[kind]}},
                          {"bank": {"topics": ["bank"], "plugin": "bank", "store": "main"}})

    def said(*arguments):
        return subprocess.run([tmp_path / "readside", *arguments], capture_output=True, text=True, timeout=60, check=False).stdout
    assert f"stores {' '.join(other for other in ('postgresql', 'mysql', 'sqlite') if other != kind)}\n" in said("version")
    assert f'no driver for a store of kind "{kind}"' in said("check", "--offline", config)
