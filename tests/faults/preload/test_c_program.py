"""A learner's store in C, which writes by stdio and checks no result: a full disk finds it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LEARNER = Path(__file__).parents[2] / "learner"
CLUSTER = "cluster: mine\nprogram: ./node.yaml\nnodes:\n  a: {role: leader, port: 7001}\n"
SCENARIO = """\
scenario: mine
title: of a test
cluster: cluster.yaml
steps:
  - put: {at: a, key: k, value: v}
  - fault:
      disk: {at: a, HOW}
      do: [{put: {at: a, key: l, value: w, expect: {any_of: [ok, refused, unknown]}}}]
  - restart: a
  - get: {at: a, key: k, expect: {value: v}}
  - get: {at: a, key: l}
"""


@pytest.fixture
def run(tmp_path: Path, root: Path, built: Path):
    """Run the scenario on the store, linked with these flags; its proof, and the evidence."""

    def make(how: str, *flags: str) -> tuple[dict, str]:
        (tmp_path / "build").mkdir()
        for name, more in (("kvstore", flags), ("kv_client", ())):
            words = ["cc", "-o", str(tmp_path / "build" / name), str(LEARNER / f"{name}.c"), *more]
            if subprocess.run(words, stderr=subprocess.DEVNULL, timeout=180).returncode:
                pytest.skip(f"the compiler does not take {flags}")
        shutil.copy(LEARNER / "node.yaml", tmp_path)
        node = (tmp_path / "node.yaml").read_text().replace("log: linebuf", "log: pty")
        # The exit status of its client after a lost connection.
        node = node.replace("  any:\n", "  any:\n    unknown: {status: 3}\n")
        (tmp_path / "node.yaml").write_text(node)
        (tmp_path / "cluster.yaml").write_text(CLUSTER)
        (tmp_path / "mine.yaml").write_text(SCENARIO.replace("HOW", how))
        done = subprocess.run(
            [sys.executable, "-m", "kvsim", "run", "mine.yaml", "--json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.stdout, done.stderr
        proof = json.loads(done.stdout)
        journal = tmp_path / "runs/latest/history.jsonl"
        events = map(json.loads, journal.read_text().splitlines())
        return proof, next(
            event["message"] for event in events if event["event"] == "fault_evidence"
        )

    return make


def findings(proof: dict, name: str) -> list[str]:
    (check,) = [check for check in proof["checks"] if check["name"] == name]
    return [finding["message"] for finding in check["findings"]]


@pytest.mark.parametrize("flags", [(), ("-fsanitize=address",)], ids=["plain", "with a sanitizer"])
def test_a_store_that_checks_no_result_is_found(run, flags):
    proof, message = run("how: full", *flags)
    assert message == "a: 1 of 1 write refused: ENOSPC (No space left on device)"
    assert findings(proof, "acknowledged_writes_survive") == [
        "a acknowledged `put l w`, and later a showed not found"
    ]


def test_a_static_store_reaches_a_limit_from_outside(run):
    proof, message = run("how: full", "-static")
    assert message == "a: none of its files may grow beyond 0 bytes; it was killed by SIGXFSZ"
    assert proof["verdict"] == "pass", proof["checks"]


def test_a_failing_disk_for_a_static_program_makes_the_run_invalid(run):
    proof, message = run("how: failing", "-static")
    assert "it cannot be given a failing disk: kvstore did not load the library" in message
    assert findings(proof, "faults_have_evidence") and proof["verdict"] == "invalid"
