"""Do only leaders accept writes, and is there one leader an epoch? By each node's own word about its role.
Pure.

A write counts against a node when the node certainly was a follower from the call to the answer. Around a
change of role nobody can tell, and such writes are counted as not judged.
"""

from __future__ import annotations

from collections import defaultdict

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.picture import picture
from kvsim.checks.consistency.roles import Roles
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import APPEND, CAS, DELETE, NOWHERE, OK, PUT

NAME = "writes_only_at_leader"
ABOUT = "only a leader accepts writes"
EPOCHS_NAME = "one_leader_per_epoch"
EPOCHS_ABOUT = "no two nodes call themselves leader in the same epoch"
WRITES = frozenset({PUT, DELETE, CAS, APPEND})
PICTURES_KEPT = 3
NO_NODE = "writes whose node is not known"
NOT_CERTAIN = "writes at a node whose role was not certain all the while"


def writes_only_at_leader(history: History) -> Answer:
    """Judge every acknowledged write against the role that its node had."""
    operations, roles = history.operations, Roles(history.samples)
    findings: list[Finding] = []
    judged, unjudged = 0, {NO_NODE: 0, NOT_CERTAIN: 0}
    names = operations.nodes.strings
    for row, (kind, outcome) in enumerate(zip(operations.kind, operations.outcome, strict=True)):
        if kind not in WRITES or outcome != OK:
            continue
        node = operations.node[row]
        if node == NOWHERE:
            unjudged[NO_NODE] += 1
            continue
        tenure = roles.throughout(names[node], operations.call_ns[row], operations.return_ns[row])
        if tenure is None:
            unjudged[NOT_CERTAIN] += 1
            continue
        judged += 1
        if tenure.role == "follower":
            findings.append(_accepted(history, row, draw=len(findings) < PICTURES_KEPT))
    return answer(NAME, ABOUT, judged, findings, unit="acknowledged writes", unjudged=unjudged)


def _accepted(history: History, row: int, *, draw: bool) -> Finding:
    operation = history.operations.operation(row)
    message = f"{whom(history.operations, row)} was accepted while {operation.node} was a follower"
    drawn = picture(history, [row]) if draw else ""
    return Violation(message, node=operation.node or "", key=operation.key, rows=(row,), picture=drawn)


def one_leader_per_epoch(history: History) -> Answer:
    """Judge every sample in which a node called itself leader and named its epoch."""
    leaders: dict[int, set[str]] = defaultdict(set)
    nameless = 0
    for sample in history.samples:
        if sample.role == "leader":
            if sample.epoch is None:
                nameless += 1
            else:
                leaders[sample.epoch].add(sample.node)
    findings: list[Finding] = [
        Violation(f"{' and '.join(sorted(nodes))} were both leader in epoch {epoch}", node=min(nodes))
        for epoch, nodes in sorted(leaders.items())
        if len(nodes) > 1
    ]
    alone = len({sample.node for sample in history.samples}) < 2
    unjudged = {
        "samples of leaders that name no epoch": nameless,
        "epochs of a node that nobody else was asked beside": len(leaders) if alone else 0,
    }
    judged = 0 if alone else len(leaders)
    return answer(EPOCHS_NAME, EPOCHS_ABOUT, judged, findings, unit="epochs", unjudged=unjudged)
