"""Finding what a dead kvsim left."""

from __future__ import annotations

from pathlib import Path

from kvsim.process.environment import ProcessTag
from kvsim.process.ports import reserve
from tests import leftovers
from tests.process_fixtures import eventually

ROOT = str(Path(__file__).parents[2])
SERVE = """
import socket, sys, time
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('up')
time.sleep(60)
"""


def test_found_by_run_and_by_node_with_their_ports(processes) -> None:
    with reserve(1) as held:
        child = processes.python(SERVE, str(held.ports[0]), prints="up")
        for tag in (processes.tag, ProcessTag(processes.tag.run)):
            (found,) = leftovers.find(tag)
            assert found.identity == child.identity
            assert found.tag == processes.tag
            assert [listener.port for listener in found.listeners] == held.ports
        assert (
            f"n1     run {processes.tag.run[:8]} ports 127.0.0.1:{held.ports[0]}"
            in found.describe()
        )
    assert child.identity in [found.identity for found in leftovers.find()]
    assert leftovers.find(ProcessTag(processes.tag.run, "n2")) == []


def test_unix_sockets(processes, tmp_path) -> None:
    code = (
        "import socket, sys, time; s = socket.socket(1); "
        "s.bind(sys.argv[1]); s.listen(); time.sleep(60)"
    )
    one = processes.python(code, str(tmp_path / "door")).identity
    eventually(lambda: leftovers.unix_listeners([one]) == [str(tmp_path / "door")], "the socket")
