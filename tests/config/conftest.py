"""A small project for tests of kvsim.config: a program, a cluster of three, and a scenario."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.errors import FileProblems

PROGRAM = """\
program: toy
start: [./toy, "--port={port}", "--data-dir={data_dir}", "--role={role}"]
start_follower: ["--leader={leader.addr}"]
requests: {put: "PUT {key} {value}", get: "GET {key}", ping: PING, status: STATUS}
replies: {ok: "^OK$", read_only: "^ERR read-only"}
capabilities: [roles, redirect]
options: {fsync: never}
"""
CLUSTER = """\
cluster: three
program: toy
nodes:
  n1: {role: leader,   port: 9001}
  n2: {role: follower, port: 9002}
  n3: {role: follower, port: 9003}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nodes/toy/node.yaml and cluster.yaml; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nodes" / "toy").mkdir(parents=True)
    (tmp_path / "nodes" / "toy" / "node.yaml").write_text(PROGRAM)
    (tmp_path / "nodes" / "toy" / "toy").symlink_to("/bin/true")
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    return tmp_path


@pytest.fixture
def problems_of() -> Callable[..., list[str]]:
    """Call a loader that must raise FileProblems; its problems, one line each."""

    def call(load: Callable[..., object], *args: object, **kwargs: object) -> list[str]:
        with pytest.raises(FileProblems) as caught:
            load(*args, **kwargs)
        return [str(problem) for problem in caught.value.problems]

    return call
