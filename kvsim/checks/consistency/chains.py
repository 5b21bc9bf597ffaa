"""What nodes and clients observed of one key, as chains of points for `precedence`. Pure.

What follows from real time alone is left out: of a client's operations at the leader only the first and the
last one next to a read that was served elsewhere say more than their times do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from kvsim.checks.consistency.lives import Lives
from kvsim.checks.consistency.precedence import Chain, Point
from kvsim.checks.consistency.sessions import GUARANTEES
from kvsim.history.operations import CAS_MISSED, NOWHERE, OK, READS, Operations


def node_chains(operations: Operations, reads: Sequence[int], lives: Lives | None = None) -> list[Chain]:
    """For each life of each node its reads in time: one that was called after another returned may not go
    back.
    """
    by_life: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in reads:
        node = operations.node[row]
        if operations.kind[row] not in READS or operations.outcome[row] != OK or node == NOWHERE:
            continue
        life = lives.of(node, operations.call_ns[row], operations.return_ns[row]) if lives else 0
        if life is not None:
            by_life[node, life].append(row)
    chains: list[Chain] = []
    for rows in by_life.values():
        if len(rows) > 1:
            events = [(operations.call_ns[row], False, row) for row in rows]
            events += [(operations.return_ns[row], True, row) for row in rows]
            events.sort()
            chains.append([Point(returns, operations.value[row], row) for _, returns, row in events])
    return chains


def session_chains(
    operations: Operations, rows: Sequence[int], name: str, loose: Collection[int] | None = None
) -> list[Chain]:
    """For each client what a session guarantee says about its answered operations on one key.

    `loose` are the rows whose times say nothing of the leader's order (None: all): reads that the leader did
    not serve, and everything of clients that did two things at once.
    """
    rule = GUARANTEES[name]
    sessions: dict[int, list[int]] = defaultdict(list)
    for row in sorted(rows, key=operations.call_ns.__getitem__):
        if operations.outcome[row] == OK and operations.kind[row] != CAS_MISSED:
            sessions[operations.process[row]].append(row)
    chains: list[Chain] = []
    for session in sessions.values():
        chain: list[Point] = []
        reached, awaited = -1, False  # the leader's last operation that raises; did a loose one raise since
        for row in session:
            is_read, value = operations.kind[row] in READS, operations.value[row]
            bound = rule.reads_bound if is_read else rule.writes_bound
            raises = rule.reads_raise if is_read else rule.writes_raise
            if loose is not None and row not in loose:
                if bound and awaited:
                    chain.append(Point(False, value, row))
                    awaited = False
                reached = row if raises else reached
                continue
            if reached >= 0:
                chain.append(Point(True, operations.value[reached], reached))
                reached = -1
            if bound:
                chain.append(Point(False, value, row))
            if raises:
                chain.append(Point(True, value, row))
                awaited = True
        if len(chain) > 1:
            chains.append(chain)
    return chains
