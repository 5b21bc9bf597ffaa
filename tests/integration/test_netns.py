"""Clusters whose nodes live in network namespaces, run as a user runs them. Needs root; without it, that it says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kvsim.errors import Exit
from kvsim.faults.netns.child import Network, NoNetwork
from kvsim.waiting import Deadline, wait_until

TIMEOUT_S = 120
CLUSTER = """cluster: apart
program: {root}/nodes/kvstore/node.yaml
options: {{replication: async}}
links: netns
nodes:
  n1: {{role: leader}}
  n2: {{role: follower}}
  n3: {{role: follower}}
"""


def why_not() -> str | None:
    """Why there are no namespaces here, or not all that these runs need."""
    try:
        with Network(["client", "n1"], "1") as network:
            return network.cannot_hold
    except NoNetwork as error:
        return str(error)


APART = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@dataclass(frozen=True)
class Played:
    """One run: exit status, what was printed, proof.json and the journal's events (None and nothing when it did not come that far)."""

    status: int
    text: str
    proof: dict[str, Any] | None
    events: list[dict[str, Any]]

    def check(self, name: str) -> dict[str, Any]:
        return next(one for one in self.proof["checks"] if one["name"] == name)

    def receipts(self) -> list[bool | None]:
        return [event["bit"] for event in self.events if event["event"] == "fault_receipt"]


@pytest.fixture
def start(tmp_path: Path, root: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `kvsim run` on these steps; `wrapped` is what stands before the command."""

    def call(steps: str, wrapped: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        (tmp_path / "cluster.yaml").write_text(CLUSTER.format(root=root))
        body = "\n".join("  " + line for line in steps.strip("\n").splitlines())
        head = "scenario: mine\ntitle: of a test\ncluster: cluster.yaml\nrequest_timeout: 300ms\n"
        (tmp_path / "mine.yaml").write_text(f"{head}steps:\n{body}\n")
        return subprocess.Popen(
            [*wrapped, sys.executable, "-m", "kvsim", "run", "mine.yaml", "--seed", "7"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return call


@pytest.fixture
def play(start, tmp_path: Path) -> Callable[..., Played]:
    """Run these steps to their end."""

    def call(steps: str, wrapped: tuple[str, ...] = ()) -> Played:
        with start(steps, wrapped) as process:
            text, _ = process.communicate(timeout=TIMEOUT_S)
        run = tmp_path / "runs/latest"
        proof = json.loads((run / "proof.json").read_text()) if (run / "proof.json").exists() else None
        events = (
            [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()] if proof else []
        )
        return Played(process.returncode, text, proof, events)

    return call


@APART
def test_roles_hold_at_addresses_of_their_own(play):
    played = play("""
- put: {at: leader, key: k, value: v, expect: ok}
- put: {at: each follower, key: k, value: w, expect: {refused: read_only, names: leader}}
- get: {at: each follower, key: k, expect: {value: v}, eventually: 5s}
""")
    assert played.status == 0, played.text
    spawned = [event["address"] for event in played.events if event["event"] == "spawn"]
    assert len({address.partition(":")[0] for address in spawned}) == 3
    assert "127.0.0.1" not in "".join(spawned)
    assert (
        played.check("answers_are_ours")["verdict"] == "pass"
        and played.check("no_leftovers")["verdict"] == "pass"
    )


@APART
def test_links_are_broken_and_heal_and_the_proof_says_how(play):
    played = play("""
- load: {start: w, clients: 4, mix: {put: 60, get: 40}, keys: 5, rate: 300, timeout: 500ms}
- sleep: {for: 300ms, why: clients go on}
- fault: {partition: leader alone, do: [{sleep: {for: 300ms, why: let it last}}]}
- sleep: {for: 300ms, why: clients go on}
- fault: {cut: {from: client, to: leader}, do: [{sleep: {for: 300ms, why: let it last}}]}
- sleep: {for: 300ms, why: clients go on}
- fault: {delay: {from: client, to: leader, by: 10ms}, do: [{sleep: {for: 300ms, why: let it last}}]}
- sleep: {for: 300ms, why: clients go on}
- fault: {stall: {from: n1, to: client, both: no}, do: [{sleep: {for: 300ms, why: let it last}}]}
- sleep: {for: 500ms, why: there has to be something after the faults}
- load: {stop: w}
""")
    assert played.status == 0, played.text
    assert played.receipts() and all(played.receipts())
    ends = [event for event in played.events if event["event"] == "fault_end"]
    assert len(ends) == 4 and all(end["healed"] for end in ends)
    assert played.check("faults_have_receipts")["verdict"] == "pass"


@APART
def test_a_kill_behind_a_broken_link_is_seen_where_the_node_is(play):
    played = play("""
- fault:
    blackhole: {from: client, to: n2}
    receipt: optional
    do:
      - fault: {kill: n2, do: [{sleep: {for: 10ms, why: it is dead}}]}
""")
    killed = [event for event in played.events if event["event"] == "fault_receipt" and "subject" in event]
    assert [event["bit"] for event in killed if event["subject"] == "n2"] == [True], played.text


@APART
def test_a_storm_breaks_links_and_processes(play):
    played = play("""
- load: {start: w, clients: 4, mix: {put: 60, get: 40}, keys: 5, rate: 300, timeout: 500ms}
- storm: {for: 2s, last: 200ms, quiet: 200ms, faults: {cut: 1, drop: 1, delay: 1, pause: 1, partition: 1}, hits: one follower}
- sleep: {for: 300ms, why: there has to be something after the storm}
- load: {stop: w}
""")
    assert any(played.receipts()), played.text
    assert all(event["healed"] for event in played.events if event["event"] == "fault_end"), played.text


@APART
def test_nothing_is_left_when_kvsim_is_killed(start):
    process = start("- sleep: {for: 60s, why: to be killed in}")
    children: set[str] = set()

    def all_there() -> bool:
        children.update(_children(process.pid))
        return sum("kvstore" in _command(child) for child in children) == 3

    wait_until(all_there, Deadline.after(TIMEOUT_S), "three nodes")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)
    ours = [child for child in children if "kvs" in _command(child)]
    wait_until(
        lambda: not any("kvs" in _command(child) for child in ours),
        Deadline.after(TIMEOUT_S),
        "all to be gone",
    )


@APART
def test_without_the_right_it_says_what_to_do(play):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    played = play("- get: {at: leader, key: k}", ("setpriv", "--bounding-set=-sys_admin"))
    assert played.status == Exit.USAGE and played.proof is None
    assert "needs root" in played.text and "unshare --user --map-root-user --net" in played.text


@APART
def test_where_packets_cannot_be_made_to_wait_a_delay_is_refused_before_anything_starts(play):
    hide = 'mount --bind /dev/null /dev/net/tun && exec "$@"'
    hidden = ("unshare", "--mount", "sh", "-c", hide, "sh")
    played = play(
        "- fault: {delay: {from: client, to: leader, by: 1ms}, do: [{get: {at: leader, key: k}}]}", hidden
    )
    assert played.status == Exit.USAGE and played.proof is None
    assert "`delay` with `links: netns` lets packets wait" in played.text and "/dev/net/tun" in played.text


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
