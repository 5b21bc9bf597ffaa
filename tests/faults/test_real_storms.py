"""Storms on real systems, with facts from their documentation (`make test-real`).

Needs redis-server and etcd.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.network.netns.router_handle import NetworkNamespaces, NoNetwork

pytestmark = pytest.mark.real
TIMEOUT_S = 180
REDIS = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed"
)
ETCD = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd-server is not installed")


def unavailable() -> str | None:
    """Why network namespaces are not available here, or packets cannot be held."""
    try:
        with NetworkNamespaces(["client", "n1"], "1") as network:
            return network.cannot_delay
    except NoNetwork as error:
        return str(error)


NETNS = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


def storm(root: Path, out: Path, name: str, seed: int) -> dict:
    """Run one of the library; its proof."""
    return run(root, out, f"scenarios/storms/{name}.yaml", seed)


def run(root: Path, out: Path, scenario: str, seed: int) -> dict:
    """Run a scenario; its proof."""
    words = ["run", scenario, "--seed", str(seed), "--out", str(out), "--json"]
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
    return next(check for check in proof["load"]["checks"] if check["name"] == name)


@REDIS
@pytest.mark.parametrize("seed", [1, 2])
def test_redis_loses_acknowledged_writes_when_a_replica_takes_over(root, tmp_path, seed):
    proof = storm(root, tmp_path, "redis_failover", seed)
    lost = load_check(proof, "lost_writes")
    assert lost["found"] > 0 and "acknowledged put(" in lost["findings"][0]["message"]
    assert lost["guaranteed"] is False and proof["verdict"] == "pass"


@REDIS
@pytest.mark.parametrize("seed", [1, 2])
def test_redis_keeps_its_guarantees_without_a_failover(root, tmp_path, seed):
    proof = storm(root, tmp_path, "redis", seed)
    assert proof["verdict"] == "pass", proof["checks"]
    assert load_check(proof, "lost_writes")["found"] == 0


@ETCD
@pytest.mark.parametrize("seed", [1, 2])
def test_etcd_is_linearizable_under_kills_and_pauses(root, tmp_path, seed):
    proof = storm(root, tmp_path, "etcd", seed)
    assert load_check(proof, "linearizable")["verdict"] == "pass"
    assert proof["verdict"] == "pass", proof["checks"]


def evidence(proof: dict) -> list[str]:
    """The messages of the evidence of a run."""
    journal = Path(proof["run_directory"]) / "history.jsonl"
    events = map(json.loads, journal.read_text().splitlines())
    return [event["message"] for event in events if event["event"] == "fault_evidence"]


@REDIS
def test_redis_ends_on_a_full_disk_rather_than_acknowledge(root, tmp_path):
    proof = storm(root, tmp_path, "redis_disk", 1)
    slow, full, clock = evidence(proof)
    assert "1 sync held, for 5" in slow and "ENOSPC" in full and "it exited with status 1" in full
    assert "the last time it was 3600.000 s behind" in clock
    assert proof["verdict"] == "pass", proof["checks"]


@ETCD
def test_etcd_has_a_full_disk_from_outside_and_loses_nothing(root, tmp_path):
    proof = storm(root, tmp_path, "etcd_disk", 1)
    (message,) = evidence(proof)
    assert "none of its files may grow beyond" in message
    assert "it logged that it reached the limit" in message
    assert load_check(proof, "lost_writes")["found"] == 0
    assert proof["verdict"] == "pass", proof["checks"]


CLOCK = """
scenario: time
title: the time that a real server reports
cluster: {root}/clusters/redis.yaml
steps:
  - raw: {{at: n1, send: "TIME\\r\\n", expect: {{reply: "^\\\\*2"}}}}
  - fault:
      clock: {{at: n1, by: -1h}}
      do: [{{raw: {{at: n1, send: "TIME\\r\\n", expect: {{reply: "^\\\\*2"}}}}}}]
  - raw: {{at: n1, send: "TIME\\r\\n", expect: {{reply: "^\\\\*2"}}}}
"""


@REDIS
def test_redis_reports_a_wrong_clock_and_then_the_right_one(root, tmp_path):
    """The same as the evidence, reported by the node itself."""
    (tmp_path / "time.yaml").write_text(CLOCK.format(root=root))
    proof = run(root, tmp_path, str(tmp_path / "time.yaml"), 1)
    before, within, after = (int(claim["received"].split("\r\n")[2]) for claim in proof["claims"])
    assert 0 <= after - before < 600 and -3600 <= within - before < -3000


@ETCD
def test_a_slow_disk_for_a_go_program_makes_the_run_invalid(root, tmp_path):
    (tmp_path / "slow.yaml").write_text(
        f"scenario: slow\ntitle: of a test\ncluster: {root}/clusters/etcd.yaml\n"
        "steps: [{fault: {disk: {at: n2, how: slow}, do: [{put: {at: n2, key: a, value: b}}]}}]\n"
    )
    proof = run(root, tmp_path, str(tmp_path / "slow.yaml"), 1)
    assert proof["verdict"] == "invalid" and "etcd is a Go program" in evidence(proof)[0]


@ETCD
@NETNS
@pytest.mark.parametrize("seed", [1, 2])
def test_etcd_is_linearizable_when_its_leader_is_cut_off(root, tmp_path, seed):
    proof = storm(root, tmp_path, "etcd_partition", seed)
    assert load_check(proof, "linearizable")["verdict"] == "pass"
    assert proof["verdict"] == "pass", proof["checks"]


@REDIS
@NETNS
@pytest.mark.parametrize("seed", [1, 2])
def test_a_replica_of_redis_that_was_cut_off_catches_up(root, tmp_path, seed):
    proof = storm(root, tmp_path, "redis_replica_cut_off", seed)
    assert load_check(proof, "converged")["verdict"] == "pass"
    assert proof["verdict"] == "pass", proof["checks"]
