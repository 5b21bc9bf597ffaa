"""Rows that are added in whole columns are those that are added one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.history.operations import KINDS, NEVER, OUTCOMES, Operations
from kvsim.history.row_batch import BATCH_ROWS, add_in_batches
from kvsim.history.typed_values import encode

TIMES = st.integers(-5, 5) | st.sampled_from([NEVER, -NEVER - 1, True, 1.0])
TEXTS = st.sampled_from(["", "a", "b", "\ud800", 1])
ROWS = st.tuples(
    TIMES,
    st.none() | st.integers(5, 9),
    st.integers(0, 2),
    st.sampled_from(["k", "", "ü"]),
    st.sampled_from([*KINDS, "increment"]),
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.sampled_from([*OUTCOMES, "unknown", "unknown"]),
    st.sampled_from([None, "n1", "n2"]),
)


def add_one(operations: Operations, row: tuple) -> None:
    call, returned, process, key, kind, value, expected, outcome, node = row
    if type(call) is not int:
        raise ValueError("no integer")
    operations.add(
        call,
        returned,
        process,
        encode(key) or "",
        kind,
        encode(value),
        expected=encode(expected),
        outcome=outcome,
        node=node,
    )


def outcome_of(add) -> tuple[list, str]:
    operations, message = Operations(), ""
    try:
        add(operations)
    except ValueError as error:
        message = str(error)
    return list(operations), message


@settings(max_examples=300, deadline=None)
@given(st.lists(ROWS, max_size=6))
def test_a_batch_is_what_its_rows_are(rows: list[tuple]) -> None:
    def one_by_one(operations: Operations) -> None:
        for row in rows:
            add_one(operations, row)

    def in_batches(operations: Operations) -> None:
        add_in_batches(
            operations,
            enumerate(rows, 1),
            lambda entries: [*zip(*entries, strict=True)],
            lambda line, row: add_one(operations, row),
        )

    assert outcome_of(in_batches) == outcome_of(one_by_one)


@pytest.mark.parametrize("count", [BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1])
def test_all_rows_of_several_batches_are_added_in_their_order(count: int) -> None:
    operations = Operations()
    rows = [(at, at, 1, "k", "put", str(at), None, "ok", None) for at in range(count)]
    add_in_batches(
        operations, enumerate(rows), lambda entries: [*zip(*entries, strict=True)], pytest.fail
    )
    assert [operation.call_ns for operation in operations] == list(range(count))
