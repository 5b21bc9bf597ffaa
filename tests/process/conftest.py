"""Tests start real processes on a stage; afterwards no child and no listening port may be left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvsim.process import proc, sockets, tree
from kvsim.process.identity import Identity, of
from tests.process.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.clear()


@pytest.fixture(autouse=True)
def no_child_and_no_port_left() -> Iterator[None]:
    tree.become_subreaper()
    before, ports = _children(), set(sockets.listening([_self()]))
    yield
    tree.become_subreaper(False)
    assert _children() - before == set(), "a child process was left behind"
    assert set(sockets.listening([_self()])) - ports == set(), "a listening port was left behind"


def _children() -> set[str]:
    found = [entry for entry in proc.table().values() if entry.ppid == os.getpid()]
    return {f"{entry.pid} {entry.state} {proc.cmdline(entry.pid)}" for entry in found}


def _self() -> Identity:
    found = of(os.getpid())
    assert found
    return found
