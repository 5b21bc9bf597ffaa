"""The reference store with elections: how long until a new leader serves, beside etcd with the same
timeouts, and the writes of an elected leader beside those of a fixed one and of etcd.

The time begins before the leader is killed, paused or cut off, and ends when another node has
acknowledged a write. Rates are of one client's pairs: each ratio is the median of pairs measured
one after the other, with `fsync: always` and a majority. Cutting etcd's links needs root.

    python benchmarks/elections.py [--json] [--runs 5] [--faults 50] [--requests 2000] [--only PART]
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import _other_stores
from _figures import Report, parser, summary
from _load import drive

from kvsim.api.cluster import LiveCluster, LiveNode
from kvsim.api.session import SessionOptions, open_session
from kvsim.client.exchange import Client, Request
from kvsim.history.outcome import OutcomeKind

ROOT = Path(__file__).resolve().parents[1]
FAULTS = ("kill", "pause", "cut")
TRY_S, PAUSE_S, LIMIT_S = 0.2, 0.005, 30.0
TIMEOUTS = {"kvstore": {}, "etcd": {"heartbeat_ms": "100", "election_ms": "500"}}
FILES = {
    ("kvstore", "kill"): "elections",
    ("kvstore", "pause"): "elections",
    ("kvstore", "cut"): "elected",
    ("etcd", "kill"): "etcd",
    ("etcd", "pause"): "etcd",
    ("etcd", "cut"): "storm-etcd",
}


@contextlib.contextmanager
def cluster(name: str, program: str | None = None, **options: str) -> Iterator[LiveCluster]:
    """A private cluster of a file in clusters/, or of `cluster.yaml` for the name "three"."""
    file = ROOT / ("cluster.yaml" if name == "three" else f"clusters/{name}.yaml")
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            SessionOptions(
                cluster=file,
                name="benchmark",
                file=Path(__file__),
                out=Path(folder),
                program=program,
                options=options,
            )
        ) as session,
    ):
        yield session.cluster


def client_of(node: LiveNode) -> Client:
    return node._launcher.connect(node.name)


def time_to_leader(live: LiveCluster, fault: str) -> float:
    """Seconds from a fault of the leader until another node has acknowledged a write."""
    leader = live.wait_for_leader(LIMIT_S)
    others = [live[name] for name in live._context.launcher.nodes if name != leader.name]
    faults = {
        "kill": leader.killed,
        "pause": leader.paused,
        "cut": lambda: live.partition([leader], others),
    }
    began_s = time.monotonic()
    with faults[fault]():
        return _first_write_s(others) - began_s


def _first_write_s(others: list[LiveNode]) -> float:
    """When one of these nodes had acknowledged a write. Raises RuntimeError after LIMIT_S."""
    number = 0
    deadline_s = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline_s:
        for node in others:
            number += 1
            client = client_of(node)
            request = Request("put", {"key": "elected", "value": f"{time.time_ns()}-{number}"})
            outcome = client.ask(request, TRY_S).outcome
            client.close()
            if outcome.kind is OutcomeKind.OK:
                return time.monotonic()
        time.sleep(PAUSE_S)
    raise RuntimeError(f"no write was acknowledged within {LIMIT_S:g} s")


def p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(0.99 * len(values)))]


def elections(report: Report, count: int) -> None:
    for fault in FAULTS:
        medians: dict[str, float] = {}
        for store in TIMEOUTS:
            if store == "etcd" and not _has_etcd(fault):
                continue
            with cluster(FILES[store, fault], **TIMEOUTS[store]) as live:
                times = [time_to_leader(live, fault) for _ in range(count)]
            medians[store], spread = summary(times)
            goal = "<= 1" if (store, fault) == ("kvstore", "kill") else ""
            report.add(f"{store}, {fault}: new leader, median", medians[store], "s", goal, spread)
            report.add(f"{store}, {fault}: new leader, p99", p99(times), "s")
        if len(medians) == len(TIMEOUTS):
            report.add(f"{fault}: kvstore to etcd", medians["kvstore"] / medians["etcd"], "ratio")


def _has_etcd(fault: str) -> bool:
    if fault == "cut" and os.geteuid() != 0:
        print("# links of etcd are cut as root only: no figure for it", file=sys.stderr)
        return False
    return _other_stores.has_etcd()


def rate(live: LiveCluster, requests: int, clients: int) -> float:
    """Writes per second at the leader."""
    leader = live.wait_for_leader(LIMIT_S)
    host, port = leader._launcher.client_address(leader.name)
    assert host == "127.0.0.1", host
    return drive(leader._node.program, port, clients, requests)


def throughput(report: Report, runs: int, requests: int) -> None:
    with contextlib.ExitStack() as stack:
        stores = {
            "elected": stack.enter_context(cluster("elections")),
            "fixed roles": stack.enter_context(
                cluster("three", str(ROOT / "nodes/kvstore/majority.yaml"), fsync="always")
            ),
        }
        if _other_stores.has_etcd():
            stores["etcd"] = stack.enter_context(cluster("etcd"))
        for clients in (1, 32):
            rates: Mapping[str, list[float]] = {name: [] for name in stores}
            for _ in range(runs):
                for name, live in stores.items():
                    rates[name].append(rate(live, requests, clients))
            for name in list(stores)[1:]:
                ratios = [
                    one / other for one, other in zip(rates["elected"], rates[name], strict=True)
                ]
                goal = ">= 1" if name == "fixed roles" else ""
                median, spread = summary(ratios)
                text = f"writes of {clients} clients: elected to {name}"
                report.add(text, median, "ratio", goal, spread)


def storm(report: Report, runs: int) -> None:
    argv = [sys.executable, "-m", "kvsim", "run", "scenarios/elections/storm.yaml", "--seed"]
    times = []
    for seed in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            began_s = time.monotonic()
            subprocess.run(
                [*argv, str(seed), "--out", folder],
                cwd=ROOT,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            times.append(time.monotonic() - began_s)
    report.add("a storm of elections", statistics.median(times), "s", spread=summary(times)[1])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--faults", type=int, default=50, help="of each kind (default: 50)")
    options.add_argument("--requests", type=int, default=2000, help="a rate (default: 2000)")
    options.add_argument("--only", choices=("elections", "throughput", "storm"))
    arguments = options.parse_args()
    report = Report(arguments.json)
    if arguments.only in (None, "elections"):
        elections(report, arguments.faults)
    if arguments.only in (None, "throughput"):
        throughput(report, arguments.runs, arguments.requests)
    if arguments.only in (None, "storm"):
        storm(report, arguments.runs)
    report.close()


if __name__ == "__main__":
    main()
