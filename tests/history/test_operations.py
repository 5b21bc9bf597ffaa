"""Operations as columns: words in, words out, views of keys, and what makes columns unusable."""

from __future__ import annotations

import pytest

from kvsim.history.history import History
from kvsim.history.operations import ABSENT, NEVER, NOWHERE, Operations


def small() -> Operations:
    operations = Operations()
    operations.add(1, 2, 7, "a", "put", "x", node="n1")
    operations.add(3, 4, 8, "b", "get", None, node="n2")
    operations.add(5, None, 7, "a", "cas", "y", expected="x", outcome="unknown")
    return operations


def test_words_go_in_and_come_out() -> None:
    first, second, third = small()
    assert (first.key, first.kind, first.value, first.node, first.outcome) == ("a", "put", "x", "n1", "ok")
    assert second.value is None and second.process == 8
    assert (third.expected, third.value, third.return_ns, third.node) == ("x", "y", None, None)


def test_columns_hold_numbers_and_absent_is_zero() -> None:
    operations = small()
    assert (
        operations.value[1] == ABSENT and operations.node[2] == NOWHERE and operations.return_ns[2] == NEVER
    )
    assert operations.value[0] == operations.expected[2] != ABSENT


def test_a_view_of_a_key_remembers_where_it_came_from() -> None:
    operations = small()
    assert {operations.keys[key]: list(rows) for key, rows in operations.rows_by_key().items()} == {
        "a": [0, 2],
        "b": [1],
    }
    part = operations.of_key(operations.keys.number("a"))
    assert [part.row(index) for index in range(len(part))] == [0, 2]
    again = part.select([1])
    assert again.row(0) == 2 and again.operation(0) == operations.operation(2)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"return_ns": 0}, "returned at 0 before it was called at 1"),
        ({"return_ns": None}, "an operation that is ok has a return time"),
        ({"kind": "increment"}, "kinds are get, put"),
        ({"outcome": "maybe"}, "outcomes are ok, refused, unknown"),
    ],
)
def test_a_contradiction_is_refused(fields: dict, said: str) -> None:
    row = {"call_ns": 1, "return_ns": 2, "process": 0, "key": "k", "kind": "put", "value": "v", **fields}
    with pytest.raises(ValueError, match=said):
        Operations().add(**row)


def test_broken_columns_are_described() -> None:
    assert small().problems() == []
    short = small()
    short.kind.pop()
    assert "differ in length" in short.problems()[0]
    foreign = small()
    foreign.value[0] = 99
    assert foreign.problems() == ["column value holds numbers outside 0..2"]
    backwards = small()
    backwards.call_ns[0] = 50
    assert backwards.problems() == ["an operation returned before it was called"]


def test_a_key_starts_as_the_history_says() -> None:
    operations = small()
    history = History(operations, initial={"a": "x"})
    assert history.initial_number(operations.keys.number("a")) == operations.values.number("x")
    assert history.initial_number(operations.keys.number("b")) == ABSENT
