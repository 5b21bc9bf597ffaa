"""What nodes and clients observed of one key, as sequences of observations for `precedence_graph`.

What follows from real time alone is left out: of a client's operations at the leader, only the
first and the last one next to a read that another node served prove more than their times do. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from kvsim.checks.consistency.incarnations import Incarnations
from kvsim.checks.consistency.inferred.precedence_graph import Observation, Observations
from kvsim.checks.consistency.session_guarantees import SESSION_GUARANTEES
from kvsim.history.operations import NOWHERE, OK, PLACED, READS, Operations


def node_observations(
    operations: Operations, reads: Sequence[int], incarnations: Incarnations | None = None
) -> list[Observations]:
    """The reads of each incarnation of each node, in time.

    A read that was called after another one returned may not go back.
    """
    by_incarnation: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in reads:
        node = operations.node[row]
        if operations.kind[row] not in READS or operations.outcome[row] != OK or node == NOWHERE:
            continue
        period = operations.call_ns[row], operations.return_ns[row]
        number = incarnations.of(node, *period) if incarnations else 0
        if number is not None:
            by_incarnation[node, number].append(row)
    found: list[Observations] = []
    for rows in by_incarnation.values():
        if len(rows) > 1:
            events = [(operations.call_ns[row], False, row) for row in rows]
            events += [(operations.return_ns[row], True, row) for row in rows]
            events.sort()
            found.append(
                [Observation(returns, operations.value[row], row) for _, returns, row in events]
            )
    return found


def session_observations(
    operations: Operations, rows: Sequence[int], name: str, untimed: Collection[int] | None = None
) -> list[Observations]:
    """What a session guarantee says about each client's answered operations on one key.

    `untimed` are the rows whose times prove nothing of the leader's order (None: all): reads that
    the leader did not serve, and everything of clients that made two requests at once.
    """
    rule = SESSION_GUARANTEES[name]
    sessions: dict[int, list[int]] = defaultdict(list)
    for row in sorted(rows, key=operations.call_ns.__getitem__):
        if operations.outcome[row] == OK and operations.kind[row] in PLACED:
            sessions[operations.process[row]].append(row)
    found: list[Observations] = []
    for session in sessions.values():
        observations: list[Observation] = []
        # The last timed operation that raises, and whether an untimed one raised since the last
        # timed one that is bound.
        raised_by, untimed_raised = -1, False
        for row in session:
            is_read, value = operations.kind[row] in READS, operations.value[row]
            bound = rule.reads_bound if is_read else rule.writes_bound
            raises = rule.reads_raise if is_read else rule.writes_raise
            if untimed is not None and row not in untimed:
                if bound and untimed_raised:
                    observations.append(Observation(False, value, row))
                    untimed_raised = False
                raised_by = row if raises else raised_by
                continue
            if raised_by >= 0:
                observations.append(Observation(True, operations.value[raised_by], raised_by))
                raised_by = -1
            if bound:
                observations.append(Observation(False, value, row))
            if raises:
                observations.append(Observation(True, value, row))
                untimed_raised = True
        if len(observations) > 1:
            found.append(observations)
    return found
