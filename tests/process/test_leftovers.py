"""Finding what a dead kvsim left."""

from __future__ import annotations

from pathlib import Path

from kvsim.process import leftovers
from kvsim.process.environment import Mark
from kvsim.process.ports import reserve

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
