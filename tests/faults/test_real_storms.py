"""Storms on real systems, with facts known from their documentation. Needs redis-server and etcd; `make test-real`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real
TIMEOUT_S = 180
REDIS = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
ETCD = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd-server is not installed")


def storm(root: Path, out: Path, name: str, seed: int) -> dict:
    """Run one of the library; its proof."""
    words = ["run", f"scenarios/storms/{name}.yaml", "--seed", str(seed), "--out", str(out), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "kvsim", *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def load_check(proof: dict, name: str) -> dict:
    return next(one for one in proof["load"]["checks"] if one["name"] == name)


@REDIS
@pytest.mark.parametrize("seed", [1, 2])
def test_redis_loses_acknowledged_writes_when_a_replica_takes_over(root, tmp_path, seed):
    proof = storm(root, tmp_path, "redis_failover", seed)
    lost = load_check(proof, "lost_writes")
    assert lost["found"] > 0 and "acknowledged put(" in lost["findings"][0]["message"]
    assert lost["promised"] is False and proof["verdict"] == "pass"


@REDIS
@pytest.mark.parametrize("seed", [1, 2])
def test_redis_keeps_its_promises_without_a_failover(root, tmp_path, seed):
    proof = storm(root, tmp_path, "redis", seed)
    assert proof["verdict"] == "pass", proof["checks"]
    assert load_check(proof, "lost_writes")["found"] == 0


@ETCD
@pytest.mark.parametrize("seed", [1, 2])
def test_etcd_is_linearizable_under_kills_and_pauses(root, tmp_path, seed):
    proof = storm(root, tmp_path, "etcd", seed)
    assert load_check(proof, "linearizable")["verdict"] == "pass"
    assert proof["verdict"] == "pass", proof["checks"]
