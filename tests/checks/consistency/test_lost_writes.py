"""Lost writes where values repeat: written twice, back to the initial one, or appended to."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from kvsim.checks.consistency.leader_log import leader_log_of
from kvsim.checks.consistency.lost_writes import lost_by_final_read, lost_writes
from kvsim.checks.linearizability.register import register_of
from kvsim.history.history import FaultSpan, FaultTraits, FinalRead, History
from kvsim.history.operations import GET, NEVER, Operations
from tests.checks.linearizability.oracles import linearizable

Row = tuple[str, str | None, str]
A_B_A: list[Row] = [("put", "a", "ok"), ("put", "b", "ok"), ("put", "a", "ok")]


def in_sequence(rows: list[Row]) -> Operations:
    operations = Operations()
    for number, (kind, value, outcome) in enumerate(rows):
        operations.add(10 * number, 10 * number + 5, 0, "k", kind, value, outcome=outcome)
    return operations


def by_log(rows: list[Row], log: str) -> list[str]:
    history = History(in_sequence(rows), leader_log=tuple(("k", value) for value in log))
    return [finding.message for finding in lost_writes(history, leader_log_of(history)).findings]


def by_final(rows: list[Row], final: str, initial: str | None = None) -> list[int]:
    history = History(in_sequence(rows), initial={} if initial is None else {"k": initial})
    return lost_by_final_read(
        history, range(len(rows)), history.operations.values.number(final or None)
    )


def test_a_value_written_twice_is_in_the_log_twice() -> None:
    assert by_log(A_B_A, "aba") == []
    (missing,) = by_log(A_B_A, "ab")
    assert missing.endswith(
        "in the leader's log 1 times, but 2 writes of that value were acknowledged"
    )
    (repeated,) = by_log(A_B_A, "abaa")
    assert "in the leader's log 3 times" in repeated


def test_an_unknown_write_may_be_in_the_log_or_not() -> None:
    rows = [("put", "a", "ok"), ("put", "a", "unknown")]
    assert by_log(rows, "a") == [] and by_log(rows, "aa") == []
    assert "and 1 more may have happened" in by_log(rows, "aaa")[0]
    assert "is not in the leader's log" in by_log(rows, "")[0]


def test_a_failed_compare_and_set_is_no_write_that_the_log_should_have() -> None:
    rows: list[Row] = [("put", "a", "ok"), ("cas_met", "a", "ok"), ("cas_missed", "x", "ok")]
    history = History(in_sequence(rows), leader_log=(("k", "a"),))
    result = lost_writes(history, leader_log_of(history))
    assert (result.judged, result.found, result.unjudged) == (1, 0, ())


@pytest.mark.parametrize(
    ("rows", "final", "initial", "lost"),
    [
        (A_B_A, "a", None, []),
        (A_B_A[:2], "a", None, [1]),
        # Back to the initial value: by a write, and without one.
        (A_B_A[1:], "a", "a", []),
        (A_B_A[1:2], "a", "a", [0]),
        # A second write of the final value that may still happen.
        ([*A_B_A[:2], ("put", "a", "unknown")], "a", None, []),
        ([("put", "vx", "ok"), ("put", "v", "ok"), ("append", "x", "ok")], "vx", None, []),
        ([("put", "a", "ok"), ("delete", None, "ok"), ("put", "b", "ok")], "", None, [2]),
    ],
)
def test_the_final_read_where_values_repeat(
    rows: list[Row], final: str, initial: str | None, lost: list[int]
) -> None:
    assert by_final(rows, final, initial) == lost


def test_what_is_called_lost_has_no_order() -> None:
    rng, counts = random.Random(31), Counter[bool]()
    for _ in range(600):
        operations = Operations()
        for process in range(rng.randrange(2, 6)):
            call = rng.randrange(12)
            kind = rng.choice(["put", "put", "get"])
            outcome = rng.choice(["ok", "ok", "ok", "unknown"])
            back = call + rng.randrange(1, 5)
            operations.add(call, back, process, "k", kind, rng.choice("ab"), outcome=outcome)
        history = History(operations, initial={"k": rng.choice("ab")} if rng.random() < 0.3 else {})
        final = operations.values.number(rng.choice("ab"))
        rows = range(len(operations))
        register = register_of(operations, history.initial_number(0))
        found = lost_by_final_read(history, rows, final)
        for row in found:
            kept = [
                at
                for at in range(len(register))
                if register.value[at] == final or register.index[at] == row
            ]
            part = register.subset(kept)
            end = max(time for time in (*register.call, *register.until) if time != NEVER) + 1
            part.add(end, end, GET, final, 0, -1)
            assert not linearizable(part), (list(operations), final, row)
        counts[bool(found)] += 1
    assert min(counts.values()) > 40


CUT = FaultSpan("power_cut", ("n1",), 26, 28, FaultTraits(ends_nodes="always", cuts_power=True))
PUTS: list[Row] = [("put", "a", "ok"), ("put", "b", "ok"), ("put", "c", "ok"), ("put", "d", "ok")]


@pytest.mark.parametrize(
    ("loses_ns", "final", "lost"),
    [(0, "a", 3), (1, "a", 2), (11, "a", 1), (12, "b", 1), (12, "d", 0), (12, "c", 1)],
)
def test_what_a_power_cut_may_take_is_not_lost(loses_ns: int, final: str, lost: int) -> None:
    """Acknowledged were at 5 a, at 15 b, at 25 c; the power is cut at 26; at 35 d is."""
    operations = in_sequence(PUTS)
    by_final = History(operations, faults=(CUT,), finals=(FinalRead("n1", "k", final, 90),))
    result = lost_writes(by_final, None, loses_ns)
    assert result.found == lost
    log = tuple(("k", value) for value in "abcd"[: "abcd".index(final) + 1])
    by_log = History(operations, faults=(CUT,), leader_log=log)
    result = lost_writes(by_log, leader_log_of(by_log), loses_ns)
    assert result.found == lost


def test_only_power_cuts_take_the_last_writes() -> None:
    killed = FaultSpan("kill", ("n1",), 26, 28, FaultTraits(ends_nodes="always"))
    history = History(
        in_sequence(PUTS[:3]), faults=(killed,), finals=(FinalRead("n1", "k", "b", 90),)
    )
    assert lost_writes(history, None, 1000).found == 1
