"""Finding and ending what a dead kvsim left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kvsim.process import identity, leftovers, sockets
from kvsim.process.environment import Mark
from kvsim.process.guardian import Guardian, sweep
from kvsim.process.ports import reserve
from tests.process.stage import SLEEP, soon

ROOT = str(Path(__file__).parents[2])
SERVE = """
import socket, sys, time
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('up')
time.sleep(60)
"""


def test_found_by_run_and_by_node_with_their_ports(stage) -> None:
    with reserve(1) as held:
        child = stage.python(SERVE, str(held.ports[0]), says="up")
        for mark in (stage.mark, Mark(stage.mark.run)):
            (found,) = leftovers.find(mark)
            assert found.identity == child.identity
            assert found.mark == stage.mark
            assert [listener.port for listener in found.listeners] == held.ports
        assert f"n1     run {stage.mark.run[:8]} ports 127.0.0.1:{held.ports[0]}" in found.describe()
    assert child.identity in [found.identity for found in leftovers.find()]
    assert leftovers.find(Mark(stage.mark.run, "n2")) == []


HARNESS = """
import subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from kvsim.process.environment import Mark, clean
from kvsim.process.guardian import Guardian
from kvsim.process.spawn import Plan, spawn
folder = Path(sys.argv[3])
guardian = Guardian.post(sys.argv[2])
code = "import os, time; os.fork() == 0 and os.setsid(); print('up', os.getpid()); time.sleep(60)"
argv = (sys.argv[4], "-I", "-S", "-u", "-c", code)
spawn(Plan(argv, folder, clean(Mark(sys.argv[2], "n1")), folder / "log"))
while (folder / "log").read_text().count("up") < 2:
    time.sleep(0.002)
print("ready", guardian.pid, flush=True)
time.sleep(60)
"""


def test_the_guardian_ends_grandchildren_when_kvsim_is_killed(stage, tmp_path) -> None:
    run = stage.mark.run
    argv = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        HARNESS,
        ROOT,
        run,
        str(tmp_path),
        str(Path(sys.executable).resolve()),
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout
        guardian = identity.of(int(harness.stdout.readline().split()[1]))
        assert guardian
        assert len(leftovers.find(Mark(run))) == 2
        harness.kill()
    soon(lambda: not leftovers.find(Mark(run)), "an empty run")
    soon(lambda: not guardian.alive(), "the guardian's own end")
    stage.adopted()


def test_a_dismissed_guardian_touches_nothing(stage) -> None:
    child = stage.python(SLEEP)
    guardian = Guardian.post(stage.mark.run)
    guardian.dismiss()
    guardian.dismiss()
    assert child.identity.alive()
    assert identity.of(guardian.pid) is None


def test_a_sweep_of_nothing_is_quick_and_quiet() -> None:
    sweep("no such run")
    assert sockets.listening([]) == []
