"""From a binary nobody has described to a verdict, in one command."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

STORE = Path(__file__).parents[1] / "hostile" / "store.py"
MINE = ("init", "--program", "./build/kvstore", "--client", "./build/kv_client")


def test_a_store_in_c_with_its_client(home, kvsim):
    done = kvsim(*MINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("wrote node.yaml, cluster.yaml, roles.yaml\n")
    written = (home / "node.yaml").read_text()
    assert "log: linebuf" in written  # printf to a file is held back
    assert "(?P<leader_port>" in written
    assert "capabilities: [roles, restart, redirect]" in written
    assert kvsim("lint", "node.yaml", "cluster.yaml", "roles.yaml").returncode == 0


def test_a_follower_that_takes_writes_is_a_fail_and_not_a_guess(home, kvsim):
    done = kvsim(
        "init",
        "--program",
        "./build/kvstore --port={port} --data-dir={data_dir}",
        "--client",
        "./build/kv_client",
    )
    assert done.returncode == 1
    assert "to be looked at: a follower took a put" in done.stdout
    assert "the replicas diverged" in done.stdout


def test_a_store_that_speaks_lines_needs_no_client(kvsim, home):
    command = f"{sys.executable} -I {STORE} --how=well_behaved --port={{port}} --data-dir={{data_dir}} --role={{role}}"
    done = kvsim("init", "--program", command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "speak: lines" in (home / "node.yaml").read_text()


def test_what_is_there_is_not_overwritten(home, kvsim):
    (home / "node.yaml").write_text("mine\n")
    done = kvsim(*MINE)
    assert done.returncode == 4
    assert "node.yaml stand here already; --force overwrites them" in done.stderr
    assert (home / "node.yaml").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("init",), "kvsim init --program ./build/kvstore"),
        (("init", "--program", "./build/nothing"), "build/nothing (is it built?)"),
        (("init", "--program", "./build/kv_client"), "did not start in any of the usual ways"),
        (("init", "--program", "./build/kvstore"), "is there a client of its own?"),
    ],
)
def test_what_cannot_be_learned_is_said(kvsim, words, says):
    done = kvsim(*words)
    assert done.returncode == 4, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.real
def test_a_redis_that_was_described_by_nobody(home, kvsim):
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    done = kvsim("init", "--program", "redis-server --port {port} --dir {data_dir}")
    assert done.returncode == 1, done.stdout + done.stderr  # two of them, and neither follows
    assert "speak: resp" in (home / "node.yaml").read_text()
