"""Operations in columns: rows in and out, selections by key, and unusable columns."""

from __future__ import annotations

import pytest

from kvsim.history import operations as kinds
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, KINDS, NEVER, NOWHERE, Operations, StringTable

SETS = {name: value for name, value in vars(kinds).items() if isinstance(value, frozenset)}


def small() -> Operations:
    operations = Operations()
    operations.add(1, 2, 7, "a", "put", "x", node="n1")
    operations.add(3, 4, 8, "b", "get", None, node="n2")
    operations.add(5, None, 7, "a", "cas", "y", expected="x", outcome="unknown")
    return operations


def test_rows_read_back_equal() -> None:
    first, second, third = small()
    assert (first.key, first.kind, first.value, first.node, first.outcome) == (
        "a",
        "put",
        "x",
        "n1",
        "ok",
    )
    assert second.value is None and second.process == 8
    assert (third.expected, third.value, third.return_ns, third.node) == ("x", "y", None, None)


def test_columns_hold_numbers_and_absent_values_are_zero() -> None:
    operations = small()
    assert (
        operations.value[1] == ABSENT
        and operations.node[2] == NOWHERE
        and operations.return_ns[2] == NEVER
    )
    assert operations.value[0] == operations.expected[2] != ABSENT


def test_a_selection_keeps_its_row_numbers() -> None:
    operations = small()
    assert {operations.keys[key]: list(rows) for key, rows in operations.rows_by_key().items()} == {
        "a": [0, 2],
        "b": [1],
    }
    part = operations.of_key(operations.keys.number("a"))
    assert [part.row(index) for index in range(len(part))] == [0, 2]
    nested = part.select([1])
    assert nested.row(0) == 2 and nested.operation(0) == operations.operation(2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"return_ns": 0}, "returned at 0 before it was called at 1"),
        ({"return_ns": None}, "an operation that is ok has a return time"),
        ({"kind": "increment"}, "kinds are get, put"),
        ({"outcome": "maybe"}, "outcomes are ok, refused, unknown"),
    ],
)
def test_a_contradiction_is_an_error(fields: dict, message: str) -> None:
    row = {
        "call_ns": 1,
        "return_ns": 2,
        "process": 0,
        "key": "k",
        "kind": "put",
        "value": "v",
        **fields,
    }
    with pytest.raises(ValueError, match=message):
        Operations().add(**row)


def test_problems_of_columns() -> None:
    assert small().problems() == []
    short = small()
    short.kind.pop()
    assert "differ in length" in short.problems()[0]
    out_of_range = small()
    out_of_range.value[0] = 99
    assert out_of_range.problems() == ["column value holds numbers outside 0..2"]
    backwards = small()
    backwards.call_ns[0] = 50
    assert backwards.problems() == ["an operation returned before it was called"]


def test_the_initial_value_of_a_key() -> None:
    operations = small()
    history = History(operations, initial={"a": "x"})
    assert history.initial_number(operations.keys.number("a")) == operations.values.number("x")
    assert history.initial_number(operations.keys.number("b")) == ABSENT


def test_the_sets_of_kinds_follow_from_one_table() -> None:
    named = {name: {KINDS[kind] for kind in kinds} for name, kinds in SETS.items()}
    assert named == {
        "READS": {"get", "delete_missed", "cas_met"},
        "SHOWS_VALUE": {"get", "cas_met"},
        "CHANGES_KEY": {"put", "delete", "cas", "append"},
        "WRITES_VALUE": {"put", "cas", "append"},
        "WRITES_WHOLE_VALUE": {"put", "cas"},
        "CHANGES_OTHERWISE": {"delete", "append"},
        "EXPECTS": {"cas", "cas_missed", "cas_met"},
        "OBSERVES": {"get", "delete_missed", "cas", "cas_missed", "cas_met"},
        "ONLY_OBSERVES": {"get", "delete_missed", "cas_missed", "cas_met"},
        "UNCONDITIONAL": {"put", "delete", "append"},
        "SETS_STATE": {"put", "delete"},
        "PLACED": {"get", "delete_missed", "cas_met", "put", "delete", "cas", "append"},
        "VALUELESS": {"delete", "delete_missed"},
    }


@pytest.mark.parametrize(
    ("kind", "outcome", "value", "expected"),
    [
        ("get", "ok", "v", None),
        ("get", "unknown", None, None),
        ("get", "refused", None, None),
        ("put", "ok", "v", None),
        ("delete", "ok", None, None),
        ("delete_missed", "ok", None, None),
        ("append", "unknown", "v", None),
        ("cas", "ok", "v", "e"),
        ("cas_missed", "ok", "v", "e"),
        ("cas_met", "ok", "v", "e"),
        ("cas_met", "refused", None, "e"),
    ],
)
def test_a_column_without_a_meaning_for_the_kind_is_empty(
    kind: str, outcome: str, value: str | None, expected: str | None
) -> None:
    added, raw = Operations(), Operations()
    added.add(1, 2, 0, "k", kind, "v", expected="e", outcome=outcome)
    raw.add(1, 2, 0, "k", "cas", "v", expected="e", outcome=outcome)
    raw.kind[0] = KINDS.index(kind)
    raw.normalise()
    for operations in (added, raw):
        (operation,) = operations
        assert (operation.value, operation.expected) == (value, expected)


def test_numbers_beyond_the_columns_are_an_error() -> None:
    for call, back, process in ((1, 1 << 63, 0), (-(1 << 63), 1, 0), (1, 2, 1 << 64)):
        with pytest.raises(ValueError, match="range of 62 bits"):
            Operations().add(call, back, process, "k", "put", "v")


@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_few_strings_are_found_without_the_index_of_all(is_indexed: bool) -> None:
    table = StringTable[str | None]([None, "a", "b"])
    if is_indexed:
        assert table.number("a") == 1
    assert table.find(["b", "new", None, "newer", "new"]) == {"b": 2, "new": 3, None: 0, "newer": 4}
    assert table.strings == [None, "a", "b", "new", "newer"]
    assert table.number("newer") == 4
