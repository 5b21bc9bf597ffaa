"""Does every key behave as if there were one copy, on which every operation happened at one instant between
call and return?

Key by key, which is exact for operations on single keys. Which operations count is the caller's choice
(`judge` leaves out reads of followers when only the leader's reads are promised).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from kvsim.checks.consistency.answer import Answer, Violation, answer, plural
from kvsim.checks.consistency.clusters import WRITES
from kvsim.checks.consistency.linear.core import NO_WRITE, core_of
from kvsim.checks.consistency.linear.key import KeyAnswer, decide_key, joiner
from kvsim.checks.consistency.linear.register import register_of
from kvsim.checks.consistency.linear.ruling import Reason, Ruling
from kvsim.checks.consistency.linear.search import Budget
from kvsim.checks.consistency.picture import log_positions, picture
from kvsim.checks.consistency.sentence import sentence
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.history import History
from kvsim.history.operations import (
    CAS,
    CAS_MET,
    CAS_MISSED,
    DELETE_MISSED,
    GET,
    OK,
    UNKNOWN,
    Operations,
)

NAME = "linearizable"
ABOUT = "each key behaves as one copy, and every operation happens at one instant between call and return"
UNTOLD = "of keys that nobody both wrote and looked at"
LOOKS = frozenset({GET, CAS, DELETE_MISSED, CAS_MISSED, CAS_MET})
KEYS_EXPLAINED = 5  # violations with a minimal set and a picture; of the others only the fact is told


def linearizable(
    history: History,
    rows: Sequence[int] | None = None,
    *,
    budget: Budget = Budget(),  # noqa: B008
    certify: bool = False,
    use_numpy: bool | None = None,
) -> Answer:
    """Judge the operations at `rows` (None: all). Undecided keys are findings with verdict unknown."""
    whole = history.operations
    chosen = whole if rows is None else whole.select(rows)
    findings: list[Finding] = []
    judged, untold, undecided, methods = 0, 0, Counter[str](), Counter[str]()
    for key, its_rows in chosen.rows_by_key().items():
        operations = chosen.of_key(key, its_rows)
        initial = history.initial_number(key)
        result = decide_key(operations, initial, budget=budget, certify=certify, use_numpy=use_numpy)
        methods[f"keys decided by {result.method}"] += 1
        methods["keys proved by a replayed order"] += result.order is not None
        finding = _finding(history, operations, initial, result, explain=len(findings) < KEYS_EXPLAINED)
        if finding is not None:
            findings.append(finding)
        if result.ruling.linearizable is None:
            undecided[_why(result.ruling)] += len(operations)
        elif finding is None and not _tells(operations):
            untold += len(operations)
        else:
            judged += len(operations)
    unjudged = {UNTOLD: untold} | {f"of keys for which {why}": count for why, count in undecided.items()}
    measured: Mapping[str, int] = {name: count for name, count in methods.items() if count}
    return answer(NAME, ABOUT, judged, findings, unjudged=unjudged, measured=measured)


def _tells(operations: Operations) -> bool:
    """Has the key been both written and looked at? Without that any store would do."""
    seen = {
        kind
        for kind, outcome in zip(operations.kind, operations.outcome, strict=True)
        if outcome == OK or (outcome == UNKNOWN and kind in WRITES)
    }
    return not seen.isdisjoint(WRITES) and not seen.isdisjoint(LOOKS)


def _why(ruling: Ruling) -> str:
    return ruling.reason.value if ruling.reason else "nothing could be decided"


def _finding(
    history: History, operations: Operations, initial: int, result: KeyAnswer, *, explain: bool
) -> Finding | None:
    """What to say of one key; None when it is linearizable."""
    name = operations.keys[operations.key[0]] or ""
    if result.ruling.linearizable:
        return None
    if result.ruling.linearizable is None:
        count = len(operations)
        return Violation(
            f"key {name!r}: not decided ({_why(result.ruling)}; {count:,} operations)",
            verdict=Verdict.UNKNOWN,
            key=name,
        )
    if not explain:
        return Violation(f"key {name!r}: {_why(result.ruling)}", key=name)
    rows, reason, loosened = prove(operations, initial, result)
    told = sentence(history.operations, rows, reason) if rows else _why(result.ruling)
    if loosened:
        told += f" (even if {plural(loosened, 'other delete')} nearby happened at any time, or never)"
    node = history.operations.operation(rows[-1]).node if rows else None
    return Violation(
        f"key {name!r}: {told}",
        key=name,
        rows=tuple(rows),
        positions=log_positions(history, rows),
        node=node or "",
        picture=picture(history, rows),
    )


def prove(operations: Operations, initial: int, result: KeyAnswer) -> tuple[list[int], Reason, int]:
    """Rows of a minimal contradictory set for one key, in call order, the reason that shows in it, and how
    many other deletes it holds in spite of.
    """
    operations = _concerned(operations, result)
    register = register_of(operations, initial)
    core = core_of(register, result.ruling, joiner(operations))
    indexes, reason = [register.index[at] for at in core.at], core.reason
    refused = register.refused.get(operations.value[indexes[0]]) if reason in NO_WRITE else None
    if refused is not None:
        indexes, reason = [refused, *indexes], Reason.REFUSED_WRITE
    return [operations.row(index) for index in indexes], reason, core.loosened


def _concerned(operations: Operations, result: KeyAnswer) -> Operations:
    """The operations on the values that a ruling of the quick deciders names: a contradiction needs no
    others.
    """
    values = set(result.ruling.values)
    if result.method not in ("columns", "numpy") or not values:
        return operations
    return operations.select([row for row, value in enumerate(operations.value) if value in values])
