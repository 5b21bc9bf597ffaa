"""Runs a short scenario against the store that misbehaves, as a user would."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

STORE = Path(__file__).with_name("store.py")
# kvsim must end in this time with every behaviour.
TIMEOUT_S = 180

PROGRAM = """\
program: hostile
start:
  ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}",
   "--how={how}"]
options: {how: HOW}
order: together
ready: READY
stop: STOP
speak: {kind: lines, connection: persistent, reply_max_bytes: 1000000}
requests: {put: "PUT {key} {value}", get: "GET {key}", delete: "DELETE {key}", ping: PING}
replies:
  put:    {ok: "^OK$"}
  get:    {value: "^VALUE (?P<value>.*)$", not_found: "^NOT_FOUND$"}
  delete: {ok: "^OK$", not_found: "^NOT_FOUND$"}
  ping:   {ok: "^PONG$"}
  any:    {read_only: "^ERR read-only"}
capabilities: [roles, restart]
"""
CLUSTER = """\
cluster: hostile
program: node.yaml
nodes: {n1: {role: leader, port: 9001}, n2: {role: follower, port: 9002}}
"""
SCENARIO = """\
scenario: hostile
title: a short one
cluster: cluster.yaml
needs: [roles]
request_timeout: REQUEST_TIMEOUT
vars: {k: random_key, v: random_value, w: random_value}
steps:
  - put: {at: leader, key: "{k}", value: "{v}"}
  - get: {at: leader, key: "{k}", expect: {value: "{v}"}}
  - put: {at: follower, key: "{k}", value: "{w}", expect: refused}
  - get: {at: follower, key: "{k}", expect: served}
"""


@dataclass
class HostileRun:
    """How a run ended. `text` is everything that a user can read: proof.txt and stderr."""

    verdict: str
    text: str
    proof: dict = field(default_factory=dict)
    folder: Path = Path()


@pytest.fixture
def run_against(tmp_path: Path) -> Callable[..., HostileRun]:
    """`run_against(behaviour, …)`: the scenario against two nodes of one behaviour.

    A test of a store that never gets ready, never ends or never answers sets a shorter limit.
    """

    def run(
        behaviour: str,
        ready: str = "{port: owned, within: 10s}",
        stop: str = "{grace: 10s}",
        request_timeout: str = "2s",
        more: str = "",
    ) -> HostileRun:
        program = PROGRAM.replace("STORE", json.dumps(str(STORE))).replace("HOW", behaviour)
        (tmp_path / "node.yaml").write_text(program.replace("READY", ready).replace("STOP", stop))
        (tmp_path / "cluster.yaml").write_text(CLUSTER)
        scenario = SCENARIO.replace("REQUEST_TIMEOUT", request_timeout)
        (tmp_path / "hostile.yaml").write_text(scenario + more)
        done = subprocess.run(
            [sys.executable, "-m", "kvsim", "run", "hostile.yaml", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        proof = json.loads(done.stdout) if done.stdout else {}
        proof_text = (tmp_path / "runs/latest/proof.txt").read_text() if proof else ""
        return HostileRun(proof.get("verdict", "none"), proof_text + done.stderr, proof, tmp_path)

    return run
