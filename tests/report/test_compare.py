"""The same scenario against two programs, side by side."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.report.compare import ComparisonRow, render

ROOT = Path(__file__).parents[2]
STORE = ROOT / "tests" / "hostile" / "store.py"
SCENARIO = """\
scenario: short
title: a short one
cluster: cluster.yaml
vars: {k: random_key, v: random_value, w: random_value}
steps:
  - put: {at: leader, key: "{k}", value: "{v}"}
  - put: {at: follower, key: "{k}", value: "{w}", expect: refused}
  - get: {at: leader, key: "{k}", expect: {value: "{v}"}}
"""
CLUSTER = """\
cluster: c
program: good.yaml
nodes:
  n1: {role: leader, port: 9001}
  n2: {role: follower, port: 9002}
"""
PROGRAM = """\
program: NAME
start: ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}", --how=HOW]
ready: {log: "listening on port", port: owned}
speak: lines
requests: {put: "PUT {key} {value}", get: "GET {key}"}
replies:
  put: {ok: "^OK$"}
  get: {value: "^VALUE (?P<value>.*)$", not_found: "^NOT_FOUND$"}
  any: {read_only: "^ERR read-only"}
"""


@pytest.fixture
def compare(tmp_path):
    (tmp_path / "short.yaml").write_text(SCENARIO)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    for name, how in {"good": "well_behaved", "bad": "refuses_and_stores"}.items():
        described = (
            PROGRAM.replace("STORE", json.dumps(str(STORE)))
            .replace("NAME", name)
            .replace("HOW", how)
        )
        (tmp_path / f"{name}.yaml").write_text(described)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "kvsim", "compare", *words]
        return subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=180)

    return call


def test_two_equal_programs(compare):
    done = compare("good.yaml", "cluster.yaml", "short.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no difference" in done.stdout


def test_the_first_difference_is_marked(compare):
    done = compare("good.yaml", "bad.yaml", "short.yaml")
    assert done.returncode == 1
    marked = [line for line in done.stdout.splitlines() if line.startswith(">>>")]
    assert len(marked) == 1
    assert "2 put at follower" in marked[0]
    assert "but stored" in done.stdout


def test_both_get_the_same_keys_and_values(compare):
    done = compare("good.yaml", "bad.yaml", "short.yaml", "--seed", "7", "--json")
    result = json.loads(done.stdout)
    keys = [
        set(re.findall(r"k-[0-9a-f]{12}", Path(run, "history.jsonl").read_text()))
        for run in result["runs"]
    ]
    assert keys[0] == keys[1]
    assert result["seed"] == 7
    assert next(row["what"] for row in result["rows"] if not row["same"]).startswith("1.2 put")


def test_a_missing_capability_is_reported_before_anything_starts(compare, tmp_path):
    (tmp_path / "short.yaml").write_text(SCENARIO.replace("vars:", "needs: [replicates]\nvars:"))
    done = compare("good.yaml", "bad.yaml", "short.yaml")
    assert done.returncode == 4
    assert "no capability `replicates`" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_check_that_judged_only_one_side_is_no_difference():
    assert "no difference" in render(("a", "b"), [ComparisonRow("check", "pass", "not judged")])
