"""Prefix and session guarantees without the leader's log.

A guarantee holds when some order of the writes fits both the leader's own operations and all that
was observed. Key by key that is exact (`precedence_graph`), as long as a key has no deletes; over
all keys together it is sound (`cross_key`): violations among overlapping operations may be missed.
Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

from kvsim.checks.consistency.ascii_timeline import draw_timeline
from kvsim.checks.consistency.incarnations import Incarnations
from kvsim.checks.consistency.inferred import implied
from kvsim.checks.consistency.inferred.clusters import LeaderClusters, clusters_of
from kvsim.checks.consistency.inferred.cross_key import (
    MissedWrite,
    NodeSweep,
    ShownValue,
    missed_by_session,
    missed_write_finding,
)
from kvsim.checks.consistency.inferred.implied import JUDGED, groups_of, shown_before
from kvsim.checks.consistency.inferred.observations import node_observations, session_observations
from kvsim.checks.consistency.inferred.precedence_graph import Cycle, find_cycle
from kvsim.checks.consistency.inferred.sessions import ClientSessions, sessions_of
from kvsim.checks.consistency.masks import (
    both,
    inverted,
    mask_of,
    mask_of_keys,
    mask_of_rows,
    rows_in,
)
from kvsim.checks.consistency.prefix import NAME as PREFIX
from kvsim.checks.consistency.result import (
    NEVER_WRITTEN,
    NO_INCARNATION,
    ConsistencyResult,
    Violation,
    describe_request,
    describe_value,
    make_result,
)
from kvsim.checks.consistency.session_guarantees import SESSION_GUARANTEES
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, NEVER, OK, READS

ABOUT_PREFIX = (
    "each node's reads go forward along some order of the writes "
    "that the leader's own operations allow"
)
NAMES = (PREFIX, *SESSION_GUARANTEES)
OUTSIDE = (
    "operations on keys with appends, values written twice or a value at the start, "
    "whose order only a log shows"
)
DELETED = (
    "deletes, and reads that found nothing, of keys with deletes, whose order only a log shows"
)
NO_ORDER = "operations on keys for which the leader's own operations already have no order"
LEFT_GROUPS = {
    implied.OUTSIDE: OUTSIDE,
    implied.NEVER_WRITTEN: NEVER_WRITTEN,
    implied.DELETED: DELETED,
}


def infer(
    history: History,
    followers: Sequence[int],
    sessions: Sequence[int],
    leader_reads: Iterable[int],
    one_copy: bytes = b"",
    *,
    use_numpy: bool = False,
) -> dict[str, ConsistencyResult]:
    """Check name → result: `prefix` for the reads at `followers`, and every session guarantee for
    the operations at `sessions`.

    `leader_reads` are reads that the leader served, on which its order rests. A key that satisfies
    all guarantees together, as most keys do, satisfies each, so that one graph decides it.
    `one_copy` has a byte a key number, not 0 for keys that are linearizable by exact deciders, with
    all their operations: they need no graph where each client made one request at a time, and a
    history of such keys only has to be counted.
    """
    clients = sessions_of(history.operations, sessions, use_numpy=use_numpy)
    inference = _Inference(history, followers, clients, leader_reads, one_copy)
    if one_copy and all(one_copy):
        inference.judge_one_copy()
    else:
        for key, rows in history.operations.rows_by_key().items():
            inference.judge_key(key, rows)
        inference.judge_all_keys()
    return {name: inference.result(name) for name in NAMES}


class _Inference:
    """All guarantees over one history: what was judged, found and left."""

    def __init__(
        self,
        history: History,
        followers: Sequence[int],
        sessions: ClientSessions,
        leader_reads: Iterable[int],
        one_copy: bytes,
    ) -> None:
        self.history, self.operations = history, history.operations
        self.one_copy = one_copy or bytes(len(self.operations.keys))
        self.incarnations = Incarnations(history)
        self.is_follower_read = mask_of_rows(len(self.operations), followers)
        self.is_leader_read = mask_of_rows(len(self.operations), leader_reads)
        self.sessions = sessions
        self.judged = Counter[str]()
        self.unjudged = {
            name: {OUTSIDE: 0, DELETED: 0, NO_ORDER: 0, NEVER_WRITTEN: 0, NO_INCARNATION: 0}
            for name in NAMES
        }
        self.findings: dict[str, list[Finding]] = {name: [] for name in NAMES}
        self.keys_with_findings: dict[str, set[int]] = {name: set() for name in NAMES}
        self.shown: dict[int, ShownValue] = {}
        # Clients that read at other nodes, so that their times do not prove everything.
        self.clients: set[int] = set()

    def judge_one_copy(self) -> None:
        """Judge a history whose keys all are one copy: see `implied`.

        Most keys are only counted. Keys of concurrent clients are judged as any other.
        """
        operations, follower = self.operations, self.is_follower_read
        flags = bytearray(len(operations.keys))
        for key in self.concurrent_keys:
            flags[key] = 1
        counted = inverted(mask_of_keys(operations, flags))
        masks = groups_of(self.history)
        for group, all_rows in masks.items():
            mask = both(counted, all_rows)
            counts = self.sessions.counts_in(mask)
            if group == JUDGED:
                self.judged.update(counts)
                continue
            self.unjudged[PREFIX][LEFT_GROUPS[group]] += both(follower, mask).count(1)
            for name, count in counts.items():
                self.unjudged[name][LEFT_GROUPS[group]] += count
        for key, rows in operations.rows_by_key().items() if self.concurrent_keys else ():
            if key in self.concurrent_keys:
                self.judge_key(key, rows)
        reads = both(both(follower, inverted(self.is_leader_read)), mask_of(operations, READS))
        reads = both(reads, masks.get(JUDGED, bytes(len(operations))))
        self.judged[PREFIX], unknown = shown_before(operations, rows_in(reads), self.incarnations)
        self.unjudged[PREFIX][NO_INCARNATION] += unknown

    @cached_property
    def concurrent_keys(self) -> set[int]:
        """Keys of clients with two requests at once: the order of such a client's calls need not be
        an order that explains them.
        """
        concurrent, operations = self.sessions.concurrent, self.operations
        if not concurrent:
            return set()
        pairs = zip(operations.key, operations.process, strict=True)
        return {key for key, process in pairs if process in concurrent}

    # One key.

    def judge_key(self, key: int, rows: Sequence[int]) -> None:
        operations, is_leader_read = self.operations, self.is_leader_read
        kinds, outcomes = operations.kind, operations.outcome
        reads = [row for row in rows if kinds[row] in READS and outcomes[row] == OK]
        clusters = clusters_of(operations, [row for row in reads if is_leader_read[row]], rows)
        if clusters is None or self.history.initial_number(key) != ABSENT:
            self._leave(rows, OUTSIDE)
        elif not clusters.row and not clusters.deletes:
            self._leave(rows, NEVER_WRITTEN)
        elif not clusters.have_an_order():
            self._leave(rows, NO_ORDER)
        else:
            self._judge(key, rows, reads, clusters)

    def _leave(self, rows: Sequence[int], why: str) -> None:
        self.unjudged[PREFIX][why] += sum(map(self.is_follower_read.__getitem__, rows))
        for name, count in self.sessions.counts(rows).items():
            self.unjudged[name][why] += count

    def _judge(
        self, key: int, rows: Sequence[int], reads: Sequence[int], clusters: LeaderClusters
    ) -> None:
        values, is_leader_read = self.operations.value, self.is_leader_read
        # On a key without deletes: a value that no client wrote, see `read_values_were_written`.
        left = [row for row in rows if values[row] not in clusters.first]
        if left:
            self._leave(left, DELETED)
            rows = [row for row in rows if values[row] in clusters.first]
            reads = [row for row in reads if values[row] in clusters.first]
        for name, count in self.sessions.counts(rows).items():
            self.judged[name] += count
        untimed = [row for row in reads if not is_leader_read[row]]
        self._note_shown_values(untimed, clusters)
        self._find_cycles(key, rows, untimed, clusters)

    def _note_shown_values(self, reads: Sequence[int], clusters: LeaderClusters) -> None:
        """Note what real time proves of reads that the leader did not serve."""
        if not reads:
            return
        values, calls = self.operations.value, self.operations.call_ns
        overwritten = clusters.overwritten(self.operations, {values[row] for row in reads})
        for row in reads:
            value = values[row]
            writer = clusters.row.get(value, -1)
            written_ns = calls[writer] if writer >= 0 else -NEVER
            self.shown[row] = ShownValue(written_ns, writer, *overwritten[value])

    def _find_cycles(
        self, key: int, rows: Sequence[int], untimed: Sequence[int], clusters: LeaderClusters
    ) -> None:
        process, sessions = self.operations.process, self.sessions
        clients = {process[row] for row in untimed if sessions.has(row)} | sessions.concurrent
        self.clients |= clients
        if self.one_copy[key] and key not in self.concurrent_keys:
            return
        of_clients = (
            [row for row in rows if process[row] in clients and sessions.has(row)]
            if clients
            else []
        )
        if not untimed and not of_clients:
            return
        all_untimed = {*untimed, *(r for r in of_clients if process[r] in sessions.concurrent)}
        follower_reads = [row for row in untimed if self.is_follower_read[row]]
        observed = {PREFIX: node_observations(self.operations, follower_reads, self.incarnations)}
        strongest = session_observations(self.operations, of_clients, "sequential", all_untimed)
        if find_cycle(clusters, [*observed[PREFIX], *strongest]) is None:
            return
        observed |= {
            name: session_observations(self.operations, of_clients, name, all_untimed)
            for name in SESSION_GUARANTEES
        }
        for name, observations in observed.items():
            cycle = find_cycle(clusters, observations)
            if cycle is not None:
                self.keys_with_findings[name].add(key)
                self.findings[name].append(_cycle_finding(self.history, cycle))

    # All keys together.

    def judge_all_keys(self) -> None:
        operations = self.operations
        reads = [row for row in self.shown if self.is_follower_read[row]]
        nodes = NodeSweep(operations, self.shown, self.incarnations)
        self._add_findings(PREFIX, nodes.missed_writes(reads))
        self.judged[PREFIX] = nodes.judged
        self.unjudged[PREFIX][NO_INCARNATION] += nodes.left
        by_client = self.sessions.by_client(self.clients - self.sessions.concurrent)
        for name, rule in SESSION_GUARANTEES.items():
            if rule.reads_bound:
                for rows in by_client.values():
                    missed = missed_by_session(rows, operations, self.shown, rule)
                    self._add_findings(name, missed)

    def _add_findings(self, name: str, missed_writes: Iterable[MissedWrite]) -> None:
        findings = self.findings[name]
        for missed in missed_writes:
            if self.operations.key[missed.read] not in self.keys_with_findings[name]:
                findings.append(missed_write_finding(self.history, missed, len(findings)))

    def result(self, name: str) -> ConsistencyResult:
        judged = self.judged[name]
        about = (
            ABOUT_PREFIX
            if name == PREFIX
            else SESSION_GUARANTEES[name].about + ", by real time and observation"
        )
        return make_result(
            name,
            about,
            judged,
            self.findings[name],
            unit="reads" if name == PREFIX else "operations",
            unjudged=self.unjudged[name],
            measured={"order": "inferred from real time and what was observed"} if judged else {},
        )


def _cycle_finding(history: History, cycle: Cycle) -> Finding:
    operations = history.operations
    rows = sorted({row for pair in cycle.pairs for row in pair}, key=operations.call_ns.__getitem__)
    key = operations.keys[operations.key[rows[0]]] or ""
    values = " before ".join(
        describe_value(operations.values[value]) for value in (*cycle.values, cycle.values[0])
    )
    pairs = "; ".join(
        f"{describe_request(operations, before)} came before {describe_request(operations, after)}"
        for before, after in cycle.pairs[:3]
    )
    message = f"key {key!r}: its writes would have to be in a cycle, {values}: {pairs}"
    timeline = draw_timeline(history, rows)
    return Violation(message, key=key, rows=tuple(rows), timeline=timeline)
