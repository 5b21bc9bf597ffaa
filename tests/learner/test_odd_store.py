"""A store that needs the unusual forms of node.yaml, run with scenarios that every store has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 180
NODE = """\
program: odd
start:
  ["{python}", -I, odd_store.py, "{index0}", "{role}", "{port}", "{ports.admin}",
   "{leader.index0}", "{others*}"]
role_words: {leader: main, follower: "copy of {leader.port}"}
ports: admin
stdin: open
ready: {port: owned, within: 10s, log: "^node {index0} is {role}, beside 2$"}
cluster_ready: {request: {send: status, reply: "^$"}, at: one}
order: together
stop: {order: followers_first, exit: {TERM: 3}}
keeps: nothing
requests:
  put: {first_of: ["CREATE {key} {value}", "MODIFY {key} {value}"]}
  get: "READ {key}"
  status: {speak: {kind: http, port: admin}, send: GET /}
replies:
  any: {read_only: "^not me, ask node (?P<leader_index0>\\\\d+)$"}
  put: {ok: "^DONE$", next: "^EXISTS$"}
  get: {value: "^VALUE (?P<value>.*)$", not_found: "^NONE$"}
  status: {ok: {status: [200, 503]}}
status: {role: status, words: {200: leader, 503: follower}}
role_log: {leader: " is main", follower: "is copy of {leader.port}"}
capabilities: [roles, redirect, status]
"""
CLUSTER = """\
cluster: odd
program: node.yaml
lag: {follower: never, within: 100ms}
nodes: {n1: {role: follower}, n2: {role: leader}, n3: {role: follower}}
"""
RESTARTED = """\
scenario: restarted
cluster: cluster.yaml
vars: {k: random_key, v: random_value, w: random_value}
steps:
  - put: {at: leader, key: "{k}", value: "{v}"}
  - put: {at: leader, key: "{k}", value: "{w}"}
  - get: {at: leader, key: "{k}", expect: {value: "{w}"}}
  - restart: leader
  - get: {at: leader, key: "{k}", expect: not_found}
checks: [acknowledged_writes_survive, exits_clean, no_leftovers]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node.yaml").write_text(NODE)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    (tmp_path / "restarted.yaml").write_text(RESTARTED)
    shutil.copy(ROOT / "tests/learner/odd_store.py", tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["scenarios/roles.yaml", "scenarios/redirect.yaml", ""])
def test_an_odd_store_passes(folder: Path, scenario: str) -> None:
    path = ROOT / scenario if scenario else folder / "restarted.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "kvsim", "run", str(path), "--cluster", "cluster.yaml", "--full"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if scenario:
        assert "left out: program odd is not `delete`" in done.stdout
