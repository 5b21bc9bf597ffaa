"""Play a short scenario against the store that misbehaves, the way a user would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORE = Path(__file__).with_name("store.py")
LIMIT_S = 30  # nothing a store does may hold kvsim longer

PROGRAM = """\
program: hostile
start: ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}", "--how={how}"]
options: {how: HOW}
order: together
ready: READY
stop: STOP
speak: lines
requests: {put: "PUT {key} {value}", get: "GET {key}", delete: "DELETE {key}", ping: PING}
replies:
  put:    {ok: "^OK$"}
  get:    {value: "^VALUE (?P<value>.*)$", not_found: "^NOT_FOUND$"}
  delete: {ok: "^OK$", not_found: "^NOT_FOUND$"}
  ping:   {ok: "^PONG$"}
  any:    {read_only: "^ERR read-only"}
capabilities: [roles, restart]
"""
CLUSTER = "cluster: hostile\nprogram: node.yaml\nnodes: {n1: {role: leader, port: 9001}, n2: {role: follower, port: 9002}}\n"
SCENARIO = """\
scenario: hostile
title: a short one
cluster: cluster.yaml
needs: [roles]
request_timeout: 300ms
vars: {k: random_key, v: random_value, w: random_value}
steps:
  - put: {at: leader, key: "{k}", value: "{v}"}
  - get: {at: leader, key: "{k}", expect: {value: "{v}"}}
  - put: {at: follower, key: "{k}", value: "{w}", expect: refused}
  - get: {at: follower, key: "{k}", expect: served}
"""
AGAIN = """\
  - kill: leader
  - start: leader
"""


@dataclass
class Played:
    """How it ended. `said` is everything a user can read: proof, stderr."""

    verdict: str
    status: int
    said: str
    took_s: float
    proof: dict = field(default_factory=dict)
    folder: Path = Path()


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Played]:
    """`play(how, ready=…, stop=…, more=…)`: the scenario against two nodes of one behaviour."""

    def call(
        how: str, ready: str = "{port: owned, within: 2s}", stop: str = "{grace: 1s}", more: str = ""
    ) -> Played:
        text = PROGRAM.replace("STORE", json.dumps(str(STORE))).replace("HOW", how)
        (tmp_path / "node.yaml").write_text(text.replace("READY", ready).replace("STOP", stop))
        (tmp_path / "cluster.yaml").write_text(CLUSTER)
        (tmp_path / "hostile.yaml").write_text(SCENARIO + more)
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "kvsim", "run", "hostile.yaml", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        proof = json.loads(done.stdout) if done.stdout else {}
        text = (tmp_path / "runs/latest/proof.txt").read_text() if proof else ""
        said = text + done.stderr
        return Played(
            proof.get("verdict", "none"), done.returncode, said, time.monotonic() - begin, proof, tmp_path
        )

    return call
