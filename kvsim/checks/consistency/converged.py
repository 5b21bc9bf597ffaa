"""Do all nodes hold the same after healing and quiet, and is it what the leader's log ends with? Pure."""

from __future__ import annotations

from collections import defaultdict

from kvsim.checks.consistency.answer import Answer, Violation, answer
from kvsim.checks.consistency.clusters import WRITES
from kvsim.checks.verdict import Finding
from kvsim.history.history import FinalRead, History
from kvsim.history.operations import REFUSED

NAME = "converged"
ABOUT = "after healing and quiet all nodes hold the same, and it is the last of the leader's log"


def converged(history: History) -> Answer:
    """Judge every key that two nodes read at the end, or one when the leader's log is known."""
    by_key: dict[str, dict[str, FinalRead]] = defaultdict(dict)
    for final in history.finals:
        by_key[final.key][final.node] = final
    last = None if history.leader_log is None else {**history.initial, **dict(history.leader_log)}
    findings: list[Finding] = []
    judged, lonely, idle = 0, 0, 0
    written = _written(history)
    for key, finals in by_key.items():
        if key not in written and not any(final.value is not None for final in finals.values()):
            idle += 1
            continue
        if len(finals) < 2 and last is None:
            lonely += 1
            continue
        judged += 1
        message = _disagreement(finals) or (_not_last(finals, last.get(key)) if last is not None else "")
        if message:
            findings.append(Violation(f"key {key!r}: {message}", key=key))
    unjudged = {
        "keys that only one node read at the end": lonely,
        "keys that nobody wrote and no node holds": idle,
    }
    return answer(NAME, ABOUT, judged, findings, unit="keys", unjudged=unjudged)


def _written(history: History) -> set[str | None]:
    """The keys that somebody may have written, or that were there from the start."""
    operations = history.operations
    columns = zip(operations.key, operations.kind, operations.outcome, strict=True)
    tried = {key for key, kind, outcome in columns if kind in WRITES and outcome != REFUSED}
    logged = {key for key, _ in history.leader_log or ()}
    return {operations.keys[key] for key in tried} | logged | set(history.initial)


def _disagreement(finals: dict[str, FinalRead]) -> str:
    """Who holds what, when not all hold the same."""
    holders: dict[str | None, list[str]] = defaultdict(list)
    for node, final in sorted(finals.items()):
        holders[final.value].append(node)
    if len(holders) < 2:
        return ""
    return "; ".join(f"{_value(value)} on {', '.join(nodes)}" for value, nodes in holders.items())


def _not_last(finals: dict[str, FinalRead], last: str | None) -> str:
    held = next(iter(finals.values())).value
    return "" if held == last else f"all hold {_value(held)}, but the leader's log ends with {_value(last)}"


def _value(value: str | None) -> str:
    return "nothing" if value is None else repr(value)
