"""What a node touches is noted once, and kvsim's own files beside it are not."""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace

import pytest

from kvsim.launcher.usage_watcher import UsageWatcher
from kvsim.process.environment import ProcessTag
from kvsim.process.sockets import listeners
from kvsim.process.spawn import SpawnPlan, spawn
from kvsim.process.termination import KILL_NOW, stop_tree
from kvsim.process.usage import disk_used, usage_of
from kvsim.waiting import Deadline, wait_until

STORE = """
import os, socket, time
inside, outside = open("data/wal", "w"), open("beside", "w")
read_only = open("given")
nameless = open("nameless", "w"); os.unlink("nameless")
server = socket.create_server(("127.0.0.1", 0))
open("../ready", "w").write(str(server.getsockname()[1]))
time.sleep(60)
"""


@pytest.fixture
def node(tmp_path):
    """A process in its folder, as far as the watcher looks at a node."""
    folder = tmp_path / "n1"
    (folder / "data").mkdir(parents=True)
    (folder / "given").write_text("")
    tag = ProcessTag("usage-test", "n1")
    plan = SpawnPlan((sys.executable, "-S", "-c", STORE), folder, {}, folder / "1.log")
    child = spawn(plan)
    ready = tmp_path / "ready"
    try:
        wait_until(lambda: ready.exists() and ready.read_text(), Deadline.after(180), "its files")
        yield SimpleNamespace(
            name="n1",
            incarnation=1,
            process=child,
            known=[],
            tag=tag,
            folder=folder,
            data=folder / "data",
            preload=None,
            program=SimpleNamespace(cwd=None),
            address=SimpleNamespace(port=1, ports={}, host="127.0.0.1"),
            in_network_namespace=contextlib.nullcontext,
            port=int(ready.read_text()),
        )
    finally:
        stop_tree(child, KILL_NOW)


def test_what_a_node_touches_is_noted_once(node):
    events = []
    watcher = UsageWatcher([node], lambda kind, **fields: events.append((kind, fields)))
    for _ in range(2):
        watcher.look([node])
        watcher.note_left_files(node)
    assert not watcher.failures
    paths = [fields["path"] for kind, fields in events if kind == "outside_file"]
    # `given` is not kvsim's and stays in the working directory.
    assert sorted(paths) == [str(node.folder / name) for name in ("beside", "given")]
    ports = [fields["port"] for kind, fields in events if kind == "listener"]
    assert ports == [node.port]
    assert node.port in {listener.port for listener in listeners()}


def test_what_a_tree_uses_is_counted(node):
    usage = usage_of([node.process.identity], node.data)
    (node.data / "deep").mkdir()
    (node.data / "deep" / "file").write_bytes(b"x" * 1000)
    assert usage.memory > 1_000_000
    assert (usage.threads, usage.files > 3, usage.disk) == (1, True, 0)
    assert disk_used(node.data) == 1000


def test_a_sample_that_fails_ends_nothing(node):
    def broken(kind, **fields):
        raise OSError("no space")

    watcher = UsageWatcher([node], broken)
    watcher.look([node])
    assert [str(error) for error in watcher.failures] == ["no space"]
