"""After recovery and quiet, do all nodes hold the same: what the leader's log ends with? Pure."""

from __future__ import annotations

from collections import defaultdict
from itertools import compress

from kvsim.checks.consistency.case import ConsistencyCheck
from kvsim.checks.consistency.masks import MAY_HAVE_HAPPENED, mask_of
from kvsim.checks.consistency.result import ConsistencyResult, Violation, make_result
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding
from kvsim.history.history import FinalRead, History
from kvsim.history.operations import CHANGES_KEY

NAME = "converged"
ABOUT = "after recovery and quiet all nodes hold the same, and it is the last of the leader's log"


def converged(history: History) -> ConsistencyResult:
    """Judge every key that two nodes read at the end, or one when the leader's log is known."""
    by_key: dict[str, dict[str, FinalRead]] = defaultdict(dict)
    for final in history.finals:
        by_key[final.key][final.node] = final
    last = None if history.leader_log is None else {**history.initial, **dict(history.leader_log)}
    findings: list[Finding] = []
    judged, read_once, unused = 0, 0, 0
    written = _written_keys(history)
    for key, finals in by_key.items():
        if key not in written and not any(final.value is not None for final in finals.values()):
            unused += 1
            continue
        if len(finals) < 2 and last is None:
            read_once += 1
            continue
        judged += 1
        message = _disagreement(finals)
        if not message and last is not None:
            message = _differs_from_log(finals, last.get(key))
        if message:
            findings.append(Violation(f"key {key!r}: {message}", key=key))
    unjudged = {
        "keys that only one node read at the end": read_once,
        "keys that no client wrote and no node holds": unused,
    }
    return make_result(NAME, ABOUT, judged, findings, unit="keys", unjudged=unjudged)


def _written_keys(history: History) -> set[str | None]:
    """The keys that a client may have written, or that were there from the start."""
    operations = history.operations
    tried = set(compress(operations.key, mask_of(operations, CHANGES_KEY, MAY_HAVE_HAPPENED)))
    logged = (key for key, _ in history.leader_log or ())
    return {*(operations.keys[key] for key in tried), *logged, *history.initial}


def _disagreement(finals: dict[str, FinalRead]) -> str:
    """Which nodes hold which value, when not all hold the same; else empty."""
    holders: dict[str | None, list[str]] = defaultdict(list)
    for node, final in sorted(finals.items()):
        holders[final.value].append(node)
    if len(holders) < 2:
        return ""
    return "; ".join(f"{_held(value)} on {', '.join(nodes)}" for value, nodes in holders.items())


def _differs_from_log(finals: dict[str, FinalRead], last: str | None) -> str:
    value = next(iter(finals.values())).value
    if value == last:
        return ""
    return f"all hold {_held(value)}, but the leader's log ends with {_held(last)}"


def _held(value: str | None) -> str:
    return "nothing" if value is None else repr(value)


CONVERGED = ConsistencyCheck(
    NAME, lambda case: converged(case.history), order=90, subject=Subject.REPLICATION
)
