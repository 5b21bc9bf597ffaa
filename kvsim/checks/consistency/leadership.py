"""Do only leaders accept writes, and is there one leader a term? By what each node reported. Pure.

A write counts against a node when the node certainly was a follower from the call to the answer.
Around a change of role that is not certain, and such writes are counted as not judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import compress

from kvsim.checks.consistency.ascii_timeline import draw_first_timelines
from kvsim.checks.consistency.case import ConsistencyCheck
from kvsim.checks.consistency.masks import mask_of, rows_in
from kvsim.checks.consistency.result import (
    ConsistencyResult,
    Violation,
    describe_request,
    make_result,
)
from kvsim.checks.consistency.role_periods import (
    FOLLOWER,
    LEADER,
    NO_ROLE,
    RolePeriods,
    roles_throughout,
)
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import CHANGES_KEY, NOWHERE

NAME = "writes_only_at_leader"
ABOUT = "only a leader accepts writes"
TERMS_NAME = "one_leader_per_term"
TERMS_ABOUT = "no two nodes call themselves leader in the same term"
NO_TERM = "periods of leaders that name no term"
UNCONFIRMED = "single samples of a leader and its term, which no second sample confirms"
NO_NODE = "writes whose node is not known"
NOT_CERTAIN = "writes at a node whose role was not certain during all of them"


def writes_only_at_leader(history: History) -> ConsistencyResult:
    """Judge every acknowledged write by the role that its node had."""
    operations, roles = history.operations, RolePeriods(history.samples)
    acknowledged = mask_of(operations, CHANGES_KEY)
    throughout = roles_throughout(operations, roles, acknowledged)
    judged, unjudged = 0, {NO_NODE: 0, NOT_CERTAIN: 0}
    # The nodes whose writes have to be looked at one by one.
    open_nodes: set[int] = set()
    for node, count in Counter(compress(operations.node, acknowledged)).items():
        role = throughout[node]
        if node == NOWHERE:
            unjudged[NO_NODE] += count
        elif role == NO_ROLE:
            unjudged[NOT_CERTAIN] += count
        elif role is None or role == FOLLOWER:
            open_nodes.add(node)
        else:
            judged += count
    findings: list[Finding] = []
    for row in rows_in(acknowledged) if open_nodes else ():
        node = operations.node[row]
        if node not in open_nodes:
            continue
        period = roles.covering(
            operations.nodes[node], operations.call_ns[row], operations.return_ns[row]
        )
        if period is None:
            unjudged[NOT_CERTAIN] += 1
            continue
        judged += 1
        if period.role == FOLLOWER:
            findings.append(_accepted(history, row, len(findings)))
    return make_result(NAME, ABOUT, judged, findings, unit="acknowledged writes", unjudged=unjudged)


def _accepted(history: History, row: int, number: int) -> Finding:
    operation = history.operations.operation(row)
    request = describe_request(history.operations, row)
    return Violation(
        f"{request} was accepted while {operation.node} was a follower",
        node=operation.node or "",
        key=operation.key,
        rows=(row,),
        timeline=draw_first_timelines(history, [row], number),
    )


def one_leader_per_term(history: History) -> ConsistencyResult:
    """Judge every period in which a node called itself leader of one term.

    A period needs two samples, the second asked after the first was answered: the fields of one
    status response may be of two moments.
    """
    leaders: dict[int, set[str]] = defaultdict(set)
    without_term = unconfirmed = 0
    for node, periods in RolePeriods(history.samples).periods.items():
        for period in periods:
            if period.role != LEADER:
                continue
            if period.term is None:
                without_term += 1
            elif period.sure_to_ns > period.sure_from_ns:
                leaders[period.term].add(node)
            else:
                unconfirmed += 1
    findings: list[Finding] = [
        Violation(f"{' and '.join(sorted(nodes))} were both leader in term {term}", node=min(nodes))
        for term, nodes in sorted(leaders.items())
        if len(nodes) > 1
    ]
    alone = len({sample.node for sample in history.samples}) < 2
    unjudged = {
        NO_TERM: without_term,
        UNCONFIRMED: unconfirmed,
        "terms of the only node that was asked": len(leaders) if alone else 0,
    }
    judged = 0 if alone else len(leaders)
    return make_result(TERMS_NAME, TERMS_ABOUT, judged, findings, unit="terms", unjudged=unjudged)


WRITES_ONLY_AT_LEADER = ConsistencyCheck(
    NAME,
    lambda case: writes_only_at_leader(case.history),
    order=40,
    demanded=lambda case: not case.options.followers_forward,
    subject=Subject.ROLES,
)
ONE_LEADER_PER_TERM = ConsistencyCheck(
    TERMS_NAME,
    lambda case: one_leader_per_term(case.history),
    order=50,
    demanded=lambda case: True,
    subject=Subject.FAILOVER,
)
