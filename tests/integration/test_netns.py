"""Clusters whose nodes live in network namespaces, run as a user runs them.

Most tests need root.
"""

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
from kvsim.network.netns.router_handle import NetworkNamespaces, NoNetwork
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


def obstacle() -> str | None:
    """Why there are no namespaces here, or why packets cannot be delayed; None without obstacle."""
    try:
        with NetworkNamespaces(["client", "n1"], "1") as network:
            return network.cannot_delay
    except NoNetwork as error:
        return str(error)


OBSTACLE = obstacle()
NEEDS_NAMESPACES = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))


@dataclass(frozen=True)
class FinishedRun:
    """A run: exit status, output, proof.json and the journal's events.

    Without a proof, `proof` is None and `events` is empty.
    """

    status: int
    text: str
    proof: dict[str, Any] | None
    events: list[dict[str, Any]]

    def check(self, name: str) -> dict[str, Any]:
        assert self.proof is not None
        return next(check for check in self.proof["checks"] if check["name"] == name)

    def evidence(self) -> list[bool | None]:
        return [event["took_effect"] for event in self.events if event["event"] == "fault_evidence"]


@pytest.fixture
def start(tmp_path: Path, root: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `kvsim run` on these steps; `wrapper` are words before the command."""

    def call(steps: str, wrapper: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        (tmp_path / "cluster.yaml").write_text(CLUSTER.format(root=root))
        body = "\n".join("  " + line for line in steps.strip("\n").splitlines())
        head = "scenario: mine\ntitle: of a test\ncluster: cluster.yaml\nrequest_timeout: 300ms\n"
        (tmp_path / "mine.yaml").write_text(f"{head}steps:\n{body}\n")
        return subprocess.Popen(
            [*wrapper, sys.executable, "-m", "kvsim", "run", "mine.yaml", "--seed", "7"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return call


@pytest.fixture
def run(start, tmp_path: Path) -> Callable[..., FinishedRun]:
    """`kvsim run` on these steps, to its end."""

    def call(steps: str, wrapper: tuple[str, ...] = ()) -> FinishedRun:
        with start(steps, wrapper) as process:
            text, _ = process.communicate(timeout=TIMEOUT_S)
        folder = tmp_path / "runs/latest"
        if not (folder / "proof.json").exists():
            return FinishedRun(process.returncode, text, None, [])
        proof = json.loads((folder / "proof.json").read_text())
        lines = (folder / "history.jsonl").read_text().splitlines()
        return FinishedRun(process.returncode, text, proof, [json.loads(line) for line in lines])

    return call


@NEEDS_NAMESPACES
def test_roles_hold_when_each_node_has_its_own_address(run):
    finished = run("""
- put: {at: leader, key: k, value: v, expect: ok}
- put: {at: each follower, key: k, value: w, expect: {refused: read_only, names: leader}}
- get: {at: each follower, key: k, expect: {value: v}, eventually: 5s}
""")
    assert finished.status == 0, finished.text
    spawned = [event["address"] for event in finished.events if event["event"] == "spawn"]
    assert len({address.partition(":")[0] for address in spawned}) == 3
    assert "127.0.0.1" not in "".join(spawned)
    assert (
        finished.check("replies_come_from_nodes")["verdict"] == "pass"
        and finished.check("no_leftovers")["verdict"] == "pass"
    )


@pytest.mark.slow
@NEEDS_NAMESPACES
def test_link_faults_take_effect_and_are_recovered_from(run):
    finished = run("""
- load: {start: w, clients: 4, mix: {put: 60, get: 40}, keys: 5, rate: 300, timeout: 500ms}
- sleep: {for: 300ms, why: clients go on}
- fault: {partition: leader alone, do: [{sleep: {for: 300ms, why: let it last}}]}
- sleep: {for: 300ms, why: clients go on}
- fault: {cut: {from: client, to: leader}, do: [{sleep: {for: 300ms, why: let it last}}]}
- sleep: {for: 300ms, why: clients go on}
- fault:
    delay: {from: client, to: leader, by: 10ms}
    do: [{sleep: {for: 300ms, why: let it last}}]
- sleep: {for: 300ms, why: clients go on}
- fault: {stall: {from: n1, to: client, both: no}, do: [{sleep: {for: 300ms, why: let it last}}]}
- sleep: {for: 500ms, why: there has to be something after the faults}
- load: {stop: w}
""")
    assert finished.status == 0, finished.text
    assert finished.evidence() and all(finished.evidence())
    ends = [event for event in finished.events if event["event"] == "fault_end"]
    assert len(ends) == 4 and all(end["recovered"] for end in ends)
    assert finished.check("faults_have_evidence")["verdict"] == "pass"


@pytest.mark.slow
@NEEDS_NAMESPACES
def test_a_kill_behind_a_broken_link_is_observed_in_the_nodes_namespace(run):
    finished = run("""
- fault:
    blackhole: {from: client, to: n2}
    evidence: optional
    do:
      - fault: {kill: n2, do: [{sleep: {for: 10ms, why: it is dead}}]}
""")
    took_effect = [
        event["took_effect"]
        for event in finished.events
        if event["event"] == "fault_evidence" and event.get("subject") == "n2"
    ]
    assert took_effect == [True], finished.text


@pytest.mark.slow
@NEEDS_NAMESPACES
def test_a_storm_has_faults_of_links_and_processes(run):
    finished = run("""
- load: {start: w, clients: 4, mix: {put: 60, get: 40}, keys: 5, rate: 300, timeout: 500ms}
- storm:
    for: 2s
    duration: 200ms
    interval: 200ms
    faults: {cut: 1, random_reset: 1, delay: 1, pause: 1, partition: 1}
    targets: one follower
- sleep: {for: 300ms, why: there has to be something after the storm}
- load: {stop: w}
""")
    assert any(finished.evidence()), finished.text
    ends = [event for event in finished.events if event["event"] == "fault_end"]
    assert all(end["recovered"] for end in ends), finished.text


@NEEDS_NAMESPACES
def test_nothing_is_left_when_kvsim_is_killed(start):
    process = start("- sleep: {for: 60s, why: to be killed in}")
    children: set[str] = set()

    def all_started() -> bool:
        children.update(_children(process.pid))
        return sum("kvstore" in _command(child) for child in children) == 3

    wait_until(all_started, Deadline.after(TIMEOUT_S), "three nodes")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)
    ours = [child for child in children if "kvs" in _command(child)]
    wait_until(
        lambda: not any("kvs" in _command(child) for child in ours),
        Deadline.after(TIMEOUT_S),
        "all to be gone",
    )


@NEEDS_NAMESPACES
def test_without_permission_the_error_names_the_fix(run):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    finished = run("- get: {at: leader, key: k}", ("setpriv", "--bounding-set=-sys_admin"))
    assert finished.status == Exit.USAGE and finished.proof is None
    assert "needs root" in finished.text and "unshare --user --map-root-user --net" in finished.text


@NEEDS_NAMESPACES
def test_where_packets_cannot_be_delayed_a_delay_is_refused_before_anything_starts(run):
    script = 'mount --bind /dev/null /dev/net/tun && exec "$@"'
    without_tun = ("unshare", "--mount", "sh", "-c", script, "sh")
    finished = run(
        "- fault: {delay: {from: client, to: leader, by: 1ms}, do: [{get: {at: leader, key: k}}]}",
        without_tun,
    )
    assert finished.status == Exit.USAGE and finished.proof is None
    assert (
        "`delay` with `links: netns` holds packets" in finished.text
        and "/dev/net/tun" in finished.text
    )


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
