"""The tests start real processes. After each test no child and no listening port may be left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvsim.process import process_tree, procfs, sockets
from kvsim.process.identity import Identity, identify
from tests.process_fixtures import ProcessStarter


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[ProcessStarter]:
    processes = ProcessStarter(tmp_path)
    yield processes
    processes.clear()


@pytest.fixture(autouse=True)
def no_child_and_no_port_left() -> Iterator[None]:
    process_tree.become_subreaper()
    before, ports = _children(), set(sockets.listening([_self()]))
    yield
    process_tree.become_subreaper(False)
    assert _children() - before == set(), "a child process was left behind"
    assert set(sockets.listening([_self()])) - ports == set(), "a listening port was left behind"


def _children() -> set[str]:
    found = [entry for entry in procfs.table().values() if entry.ppid == os.getpid()]
    return {f"{entry.pid} {entry.state} {procfs.cmdline(entry.pid)}" for entry in found}


def _self() -> Identity:
    found = identify(os.getpid())
    assert found
    return found
