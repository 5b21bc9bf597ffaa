"""Every state that a power cut may leave of a recorded run: a node is started on each, and asked.

One run is recorded. Each node of it is started by itself on each of its states. A leader that
acknowledges writes without the others is read: what was acknowledged by then has to be there, and
no value may be read that nobody wrote. Of all others it is asked only whether they start; not if
they do not even start alone on what the run left. The states are tried by several processes, each
with a node at a time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from kvsim.client.exchange import Request
from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.needs import meets
from kvsim.config.program import Role
from kvsim.errors import NodeFailed, RunInvalid
from kvsim.faults.power.disk_model import DiskState
from kvsim.faults.power.disk_recording import DiskRecording, put_files
from kvsim.faults.power.moments import moments_of, share_of_each, states_at
from kvsim.history.build import build_history
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import RunRecord
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node, note_nothing
from kvsim.launcher.watchdog_guard import scratch
from kvsim.network.topology import TOPOLOGIES
from kvsim.process.environment import ProcessTag, new_run_tag
from kvsim.process.process_tree import end_with_parent, own_descendants
from kvsim.text import one_line, truncate
from kvsim.timeouts import Timeouts

CHUNK_STATES = 20
READ_TIMEOUT_S = 5.0
VALUE_MAX = 60

# Key → the values that it may have; None: it may be absent.
Expected = Mapping[str, frozenset[str | None]]


class WriteSpan(Struct, frozen=True):
    """A write of the run. `ended_ns` None: its outcome is not known."""

    key: str
    value: str | None
    begun_ns: int
    ended_ns: int | None


class Attempt(Struct, frozen=True):
    """A state to start a node on, and what it has to show."""

    state: DiskState
    expected: Expected
    moment: str


class PowerSweep(Struct, frozen=True):
    """What came of it. `legal`: how many states the moments have; `tried`: those that differ.

    `findings`: (moment, what was wrong). `skipped`: why nothing was tried.
    """

    node: str
    moments: int
    legal: int
    made: int
    tried: int
    took_s: float
    reads: int
    findings: tuple[tuple[str, str], ...]
    skipped: str = ""


def writes_of(record: RunRecord, epoch_ns: int) -> list[WriteSpan]:
    """The writes of steps and loads that happened, or may have happened."""
    found = [
        WriteSpan(
            write.key or "",
            write.value,
            epoch_ns + round(write.invoked_s * 1e9),
            epoch_ns + round(write.completed_s * 1e9)
            if write.outcome.kind is OutcomeKind.OK
            else None,
        )
        for write in record.writes
        if write.outcome.kind is not OutcomeKind.REFUSED and not write.missed
    ]
    history = build_history(record)
    if history is None:
        return found
    for row in range(len(history.operations)):
        operation = history.operations.operation(row)
        if operation.kind in ("put", "delete", "cas") and operation.outcome != "refused":
            ended = operation.return_ns if operation.outcome == "ok" else None
            value = None if operation.kind == "delete" else operation.value
            found.append(WriteSpan(operation.key, value, operation.call_ns, ended))
    return found


def expected_at(writes: Sequence[WriteSpan], must_ns: int, may_ns: int) -> Expected:
    """What each key may show when the power is cut then."""
    by_key: dict[str, list[WriteSpan]] = defaultdict(list)
    for write in writes:
        if write.begun_ns <= may_ns:
            by_key[write.key].append(write)
    found: dict[str, frozenset[str | None]] = {}
    for key, spans in by_key.items():
        done = [span for span in spans if span.ended_ns is not None and span.ended_ns <= must_ns]
        last = max(done, key=lambda span: span.begun_ns, default=None)
        if last is None:
            found[key] = frozenset({None, *(span.value for span in spans)})
        else:
            found[key] = frozenset(
                span.value
                for span in spans
                if span is last or span.ended_ns is None or span.ended_ns > last.begun_ns
            )
    return found


def attempts_of(
    recording: DiskRecording, writes: Sequence[WriteSpan], limit: int, seed: int
) -> tuple[list[Attempt], int, int, int]:
    """(the attempts that differ, moments, legal states, states made). Raises RunInvalid."""
    disk = recording.disk
    if disk is None:
        raise RunInvalid("the node of this run was never started: nothing was recorded")
    if disk.not_followed:
        raise RunInvalid(f"its power cannot be cut: {'; '.join(dict.fromkeys(disk.not_followed))}")
    legal = [moment.legal for moment in moments_of(recording.model_at_start(), recording.calls)]
    share = share_of_each(legal, limit)
    model = recording.model_at_start()
    attempts: dict[tuple[int, int], Attempt] = {}
    made = 0
    rng = random.Random(f"{seed}:power")
    for moment in moments_of(model, recording.calls):
        expected = expected_at(writes, moment.must_ns, moment.may_ns)
        for cut in states_at(model, moment, share, rng):
            made += 1
            key = cut.state.digest(), hash(frozenset(expected.items()))
            attempts.setdefault(key, Attempt(cut.state, expected, cut.moment))
    return list(attempts.values()), len(legal), sum(legal), made


def sweep_power(
    cluster: Cluster,
    name: str,
    recording: DiskRecording,
    writes: Sequence[WriteSpan],
    *,
    limit: int,
    seed: int,
    jobs: int,
    timeouts: Timeouts,
    on_progress: Callable[[int, int], None] = lambda tried, planned: None,
) -> PowerSweep:
    """Try the states of one node of a run that is over. Raises RunInvalid."""
    reads_it = is_read(cluster, name)
    attempts, moments, legal, made = attempts_of(recording, writes if reads_it else (), limit, seed)
    alone = alone_of(cluster) if reads_it else replace(cluster, links="direct")
    begun = time.monotonic()
    findings: list[tuple[str, str]] = []
    tried = reads = 0
    chunks = [attempts[at : at + CHUNK_STATES] for at in range(0, len(attempts), CHUNK_STATES)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        max(1, jobs), context, initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        if not reads_it and recording.disk is not None:
            left = Attempt(recording.disk.now(), {}, "what the run left")
            _, found = pool.submit(try_states, alone, name, [left], timeouts).result()
            if found:
                why = f"it does not start alone on what the run left: {found[0][1]}"
                return PowerSweep(name, moments, legal, made, 0, 0.0, 0, (), why)
        futures = [pool.submit(try_states, alone, name, chunk, timeouts) for chunk in chunks]
        for future in as_completed(futures):
            count, found = future.result()
            findings += found
            tried, reads = tried + len(count), reads + sum(count)
            on_progress(tried, len(attempts))
    took_s = time.monotonic() - begun
    return PowerSweep(name, moments, legal, made, tried, took_s, reads, tuple(findings))


def leader_of(cluster: Cluster) -> NodeSpec:
    """The configured leader, or the first node."""
    return next((node for node in cluster.nodes if node.role is Role.LEADER), cluster.nodes[0])


def is_read(cluster: Cluster, name: str) -> bool:
    """Whether a node that is started alone has to show what was acknowledged."""
    leader = leader_of(cluster)
    return name == leader.name and meets(leader.program, "acks_alone")


def alone_of(cluster: Cluster) -> Cluster:
    """The leader of a cluster, alone."""
    return replace(cluster, nodes=(leader_of(cluster),), links="direct")


def try_states(
    cluster: Cluster, name: str, attempts: Sequence[Attempt], timeouts: Timeouts
) -> tuple[list[int], list[tuple[str, str]]]:
    """Start a node on each state: how many keys were read of each, and what was wrong."""
    counts, findings = [], []
    with _node_of(cluster, timeouts) as launcher:
        node = launcher.nodes[name]
        for attempt in attempts:
            node.data.mkdir(parents=True, exist_ok=True)
            put_files(node.data, attempt.state)
            problems = list(_problems(launcher, node.name, attempt.expected))
            findings += [(attempt.moment, problem) for problem in problems]
            counts.append(len(attempt.expected))
    return counts, findings


@contextlib.contextmanager
def _node_of(cluster: Cluster, timeouts: Timeouts) -> Iterator[Launcher]:
    """A launcher of a cluster whose nodes do not run, in a folder that is removed after any end."""
    run = new_run_tag()
    with scratch("kvsim-power-", run) as folder:
        yield from _launcher_in(folder, run, cluster, timeouts)


def _launcher_in(
    folder: Path, run: str, cluster: Cluster, timeouts: Timeouts
) -> Iterator[Launcher]:
    def data_of(name: str) -> Path:
        return folder / name / "data"

    with TOPOLOGIES["direct"](cluster, data_of, "power", ()) as topology:
        # Most of the work would be to read the whole process table, for each state.
        nodes = [
            Node(
                address,
                ProcessTag(run, address.node.name),
                folder / address.node.name,
                look=own_descendants,
            )
            for address in topology.addresses
        ]
        launcher = Launcher(cluster, nodes, note_nothing, timeouts=timeouts)
        try:
            yield launcher
        finally:
            launcher.stop_all()


def _problems(launcher: Launcher, name: str, expected: Expected) -> Iterator[str]:
    """What is wrong with a node that starts on a state."""
    try:
        launcher.start(name)
    except NodeFailed as error:
        if launcher.nodes[name].up:
            launcher.kill(name)
        # The last line is the node's own.
        last = one_line(str(error)).rpartition(" | ")[2]
        yield f"{name} does not start: {last.replace(str(launcher.nodes[name].data), '')}"
        return
    client = launcher.connect(name)
    try:
        for key, allowed in expected.items():
            outcome = client.ask(Request("get", {"key": key}), READ_TIMEOUT_S).outcome
            if outcome.kind is not OutcomeKind.OK:
                yield f"`get {key}` was not answered with a value: {outcome.detail}"
            elif outcome.value not in allowed:
                wanted = " or ".join(sorted(map(_shown, allowed))[:3])
                yield f"`get {key}` showed {_shown(outcome.value)}; expected {wanted}"
    finally:
        client.close()
        launcher.kill(name)


def _shown(value: str | None) -> str:
    return "not found" if value is None else truncate(repr(value), VALUE_MAX)
