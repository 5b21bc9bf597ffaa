"""Does every key behave as one copy, on which each operation happens at an instant between call
and return?

Judged key by key, which is exact for operations on single keys (Herlihy and Wing,
"Linearizability", 1990: a history is linearizable when each object's part is). The caller chooses
which operations count: reads of followers do not when only the leader's reads are guaranteed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from kvsim.checks.consistency.ascii_timeline import draw_timeline, log_positions
from kvsim.checks.consistency.case import ConsistencyCheck, HistoryCase
from kvsim.checks.consistency.explanation import Contradiction, explain
from kvsim.checks.consistency.proved_keys import ProvedKeys
from kvsim.checks.consistency.result import ConsistencyResult, Violation, make_result
from kvsim.checks.linearizability.budget import Budget, Meter
from kvsim.checks.linearizability.decide import KeyDecision, decide_key
from kvsim.checks.linearizability.decision import Decision, ViolationReason
from kvsim.checks.linearizability.effects import Join
from kvsim.checks.linearizability.minimal_violation import (
    NO_WRITE,
    MinimalViolation,
    find_minimal_violation,
)
from kvsim.checks.linearizability.register import Register, register_of
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.history import History
from kvsim.history.operations import (
    ABSENT,
    CHANGES_KEY,
    OBSERVES,
    OK,
    UNKNOWN,
    Operations,
)

NAME = "linearizable"
ABOUT = (
    "each key behaves as one copy, and every operation happens at one instant "
    "between call and return"
)
UNTESTED = "of keys that were not both written and read"
# Violations with a minimal set and a timeline; of the others only the reason is reported.
KEYS_EXPLAINED_MAX = 5
# Of one explanation.
EXPLANATION_SECONDS_MAX = 5.0
# The share of the budget for deciding; the rest is for explanations.
DECIDING_SHARE = 0.8
# A proof of "yes" takes two or three times as long as the answer.
CERTIFIED_OPERATIONS_MAX = 100_000

# One key: its operations, the value number that it starts with, and the decision.
DecidedKey = tuple[Operations, int, KeyDecision]


def linearizable(
    history: History,
    rows: Sequence[int] | None = None,
    *,
    budget: Budget | None = None,
    certify: bool = False,
    use_numpy: bool | None = None,
    proved: ProvedKeys | None = None,
) -> ConsistencyResult:
    """Judge the operations at `rows` (None: all). An undecided key is a finding: unknown.

    With `proved`, only the rows of its other keys are decided here, and `rows` is not used.
    """
    proved = proved or ProvedKeys(other_rows=rows)
    rows = proved.other_rows
    whole = history.operations
    chosen = whole if rows is None else whole.select(rows)
    findings: list[Finding] = []
    # Explained only when all keys are decided, with the time that is left.
    to_explain: list[tuple[int, DecidedKey]] = []
    judged, untested, undecided = proved.judged, proved.untested, Counter[str]()
    methods = Counter({f"keys decided by {name}": n for name, n in proved.methods.items()})
    meter = (budget or Budget()).meter()
    for operations, initial, result in _decided(history, chosen, meter, certify, use_numpy):
        methods[f"keys decided by {result.method}"] += 1
        methods["keys proved by a replayed order"] += result.order is not None
        finding = _finding(operations, result)
        if finding is not None:
            if result.decision.linearizable is False and len(to_explain) < KEYS_EXPLAINED_MAX:
                to_explain.append((len(findings), (operations, initial, result)))
            findings.append(finding)
        if result.decision.linearizable is None:
            undecided[_reason(result.decision)] += len(operations)
        elif finding is None and not _is_tested(operations):
            untested += len(operations)
        else:
            judged += len(operations)
    for number, (position, decided) in enumerate(to_explain):
        share = meter.share(1 / (len(to_explain) - number)).at_most(EXPLANATION_SECONDS_MAX)
        findings[position] = _explained(history, decided, share)
    unjudged = {UNTESTED: untested} | {
        f"of keys for which {reason}": count for reason, count in undecided.items()
    }
    measured = {name: count for name, count in methods.items() if count}
    return make_result(NAME, ABOUT, judged, findings, unjudged=unjudged, measured=measured)


def _decided(
    history: History,
    chosen: Operations,
    meter: Meter,
    certify: bool,
    use_numpy: bool | None,
) -> Iterator[DecidedKey]:
    """The decision on each key. All keys share the time that is not kept for explanations.

    A key that its share does not suffice for comes again at the end, with what the others left.
    """
    deciding = meter.share(DECIDING_SHARE)
    rows_by_key = chosen.rows_by_key()
    undecided: list[tuple[Operations, int]] = []
    for number, (key, its_rows) in enumerate(rows_by_key.items()):
        operations = chosen.of_key(key, its_rows)
        initial = history.initial_number(key)
        share = deciding.share(1 / (len(rows_by_key) - number))
        result = decide_key(operations, initial, meter=share, certify=certify, use_numpy=use_numpy)
        if result.decision.reason is ViolationReason.BUDGET and len(rows_by_key) > 1:
            undecided.append((operations, initial))
        else:
            yield operations, initial, result
    for number, (operations, initial) in enumerate(undecided):
        share = deciding.share(1 / (len(undecided) - number))
        yield (
            operations,
            initial,
            decide_key(operations, initial, meter=share, certify=certify, use_numpy=use_numpy),
        )


def _is_tested(operations: Operations) -> bool:
    """Has the key been both written and observed? Without that any store is linearizable."""
    kinds = {
        kind
        for kind, outcome in zip(operations.kind, operations.outcome, strict=True)
        if outcome == OK or (outcome == UNKNOWN and kind in CHANGES_KEY)
    }
    return not kinds.isdisjoint(CHANGES_KEY) and not kinds.isdisjoint(OBSERVES)


def _reason(decision: Decision) -> str:
    return decision.reason.value if decision.reason else "nothing could be decided"


def _finding(operations: Operations, result: KeyDecision) -> Finding | None:
    """The finding about one key, without an explanation; None when it is linearizable."""
    name = operations.keys[operations.key[0]] or ""
    decision = result.decision
    if decision.linearizable:
        return None
    if decision.linearizable is None:
        text = f"not decided ({_reason(decision)}; {len(operations):,} operations)"
        return Violation(f"key {name!r}: {text}", verdict=Verdict.UNKNOWN, key=name)
    return Violation(f"key {name!r}: {_reason(decision)}", key=name)


def _explained(history: History, decided: DecidedKey, meter: Meter) -> Finding:
    """The finding about a key that is not linearizable, with the proof where there is time."""
    operations, initial, result = decided
    name = operations.keys[operations.key[0]] or ""
    proof = prove(operations, initial, result, meter)
    rows = proof.rows
    if not rows:
        return Violation(f"key {name!r}: {_reason(result.decision)}", key=name)
    blocked = rows[-1] if proof.blocked is None else proof.blocked
    return Violation(
        f"key {name!r}: {explain(history.operations, proof)}",
        key=name,
        rows=rows,
        positions=log_positions(history, rows),
        blocked=proof.blocked,
        node=history.operations.operation(blocked).node or "",
        timeline=draw_timeline(history, rows, proof.blocked),
    )


def prove(
    operations: Operations, initial: int, result: KeyDecision, meter: Meter | None = None
) -> Contradiction:
    """The proof that one key is not linearizable: a minimal contradictory set, by its rows.

    Without rows there was no time to find one.
    """
    operations = _concerned(operations, result)
    register, join = register_of(operations, initial), Join(operations.values)
    minimal = find_minimal_violation(register, result.decision, join, meter)

    def rows(positions: Sequence[int]) -> tuple[int, ...]:
        return tuple(operations.row(register.index[at]) for at in positions)

    states = tuple(None if state == ABSENT else join.text(state) for state in minimal.states)
    proof = Contradiction(
        rows(minimal.at),
        minimal.reason,
        None if minimal.blocked is None else rows([minimal.blocked])[0],
        rows(minimal.order),
        states,
        minimal.relaxed,
        minimal.before,
    )
    return _with_refusal(operations, register, minimal, proof)


def _with_refusal(
    operations: Operations, register: Register, minimal: MinimalViolation, proof: Contradiction
) -> Contradiction:
    """The proof with the refused write in it, when what was read was refused."""
    if minimal.reason not in NO_WRITE or not minimal.at:
        return proof
    refused = register.refused.get(register.value[minimal.at[0]])
    if refused is None:
        return proof
    rows = (operations.row(refused), *proof.rows)
    return replace(proof, rows=rows, reason=ViolationReason.REFUSED_WRITE)


def _concerned(operations: Operations, result: KeyDecision) -> Operations:
    """The operations on the values that a quick decider names: a contradiction needs no others."""
    values = set(result.decision.values)
    if result.method not in ("columns", "numpy") or not values:
        return operations
    return operations.select([row for row, value in enumerate(operations.value) if value in values])


def _judge(case: HistoryCase) -> ConsistencyResult:
    options = case.options
    certify = options.certify
    if certify is None:
        certify = len(case.history.operations) <= CERTIFIED_OPERATIONS_MAX
    # A proof of each "yes" needs a look at each key.
    proved = None if certify else case.proved_keys
    return linearizable(
        case.history,
        case.linearizable_rows,
        budget=options.budget,
        certify=certify,
        use_numpy=options.use_numpy,
        proved=proved,
    )


LINEARIZABLE = ConsistencyCheck(NAME, _judge, order=10)
