"""A store in C, driven only through its own kv_client."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CLUSTER = """\
cluster: mine
program: node.yaml
lag: {within: 300ms}
nodes:
  n1: {role: leader, port: 9001}
  n2: {role: follower, port: 9002}
  n3: {role: follower, port: 9003}
"""


@pytest.fixture
def described(home):
    """The learner's folder with node.yaml and cluster.yaml."""
    shutil.copy(HERE / "node.yaml", home)
    (home / "cluster.yaml").write_text(CLUSTER)
    return home


@pytest.mark.parametrize("scenario", ["roles", "survives"])
def test_the_learners_store_passes(described, kvsim, scenario):
    done = kvsim("run", ROOT / f"scenarios/{scenario}.yaml", "--cluster", "cluster.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_follower_that_accepts_writes_is_found(described, kvsim):
    """The learner forgot to pass the role: every node is a leader."""
    text = (described / "node.yaml").read_text().replace("--role={role}", "--role=leader")
    (described / "node.yaml").write_text(text)
    done = kvsim("run", ROOT / "scenarios/roles.yaml", "--cluster", "cluster.yaml")
    assert done.returncode == 1
    assert "the replicas diverged" in done.stdout
