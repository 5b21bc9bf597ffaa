"""A store that elects and reports no role: what is known of its roles, and when."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.runner.roles import WRITE_KEY

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 180
NODE = """\
program: quiet
start: ["{python}", -I, quiet_store.py, "{port}", "{others*:{port}}"MORE]
ready: {log: "^node at", port: owned, within: 10s}
order: together
requests: {put: "PUT {key} {value}", get: "GET {key}", delete: "DELETE {key}"}
replies:
  put: {ok: "^OK$"}
  delete: {ok: "^OK$"}
  get: {value: "^VALUE (?P<value>.*)$", not_found: "^NOT_FOUND$"}
  any: {read_only: "^ERR read-only$"}
capabilities: [elects, replicates]
"""
CLUSTER = """\
cluster: quiet
program: node.yaml
nodes: {n1: {role: leader}, n2: {role: follower}, n3: {role: follower}}
"""
SCENARIO = """\
scenario: failover
cluster: cluster.yaml
vars: {k: random_key, v: random_value, w: random_value}
steps:
  - put: {at: leader, key: "{k}", value: "{v}"}
  - put: {at: each follower, key: "{k}", value: "{w}", expect: {refused: read_only}}
  - kill: leader
  - put: {at: leader, key: "{k}", value: "{w}", eventually: 5s}
  - put: {at: each follower, key: "{k}", value: "{v}", expect: {refused: read_only}}
  - get: {at: leader, key: "{k}", expect: {value: "{w}"}}
checks: [no_leftovers]
"""


# Without the refusals that a store that forwards does not have.
FORWARDED = "\n".join(line for line in SCENARIO.split("\n") if "each follower" not in line)


def run(
    folder: Path, node: str, scenario: str = SCENARIO
) -> tuple[subprocess.CompletedProcess[str], list[dict]]:
    """The run, and the events of its journal."""
    texts = {"node.yaml": node, "cluster.yaml": CLUSTER, "failover.yaml": scenario}
    for name, text in texts.items():
        (folder / name).write_text(text)
    shutil.copy(ROOT / "tests/learner/quiet_store.py", folder)
    done = subprocess.run(
        [sys.executable, "-m", "kvsim", "run", "failover.yaml", "--full"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    lines = (folder / "runs/latest/history.jsonl").read_text().splitlines()
    return done, [json.loads(line) for line in lines]


@pytest.mark.slow
def test_after_a_failover_the_leader_is_found_by_a_write(tmp_path):
    done, events = run(tmp_path, NODE.replace("MORE", ""))
    assert done.returncode == 0, done.stdout + done.stderr
    roles = [(e["node"], e["role"], e["how"]) for e in events if e["event"] == "role"]
    assert roles[:2] == [("n1", "leader", "as configured"), ("n2", "follower", "as configured")]
    killed = next(at for at, e in enumerate(events) if e["event"] == "exit")
    later = [(e["node"], e["role"], e["how"]) for e in events[killed:] if e["event"] == "role"]
    # The cluster file says nothing any more.
    assert not [each for each in later if each[2] == "as configured"]
    assert ("n2", "leader", "accepts a write") in later
    assert ("n3", "follower", "refuses a write") in later
    # What was asked for that leaves no key behind.
    own = [e for e in events if e["event"] == "operation" and e.get("key") == WRITE_KEY]
    deleted = [e for e in own if e["verb"] == "delete"]
    put = [e for e in own if e["verb"] == "put" and e["outcome"]["kind"] == "ok"]
    assert [e["node"] for e in deleted] == [e["node"] for e in put] != []


@pytest.mark.slow
def test_where_followers_forward_no_role_is_claimed(tmp_path):
    node = NODE.replace("MORE", ", forwards").replace("[elects, ", "[elects, forwards, ")
    done, events = run(tmp_path, node, FORWARDED)
    killed = next(at for at, e in enumerate(events) if e["event"] == "exit")
    later = {e["how"] for e in events[killed:] if e["event"] == "role"}
    assert later == {"cannot be asked"}
    assert done.returncode != 0
