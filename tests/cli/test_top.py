"""`kvsim top`: what is left out where the terminal is narrow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvsim.cli.top import GAP, HEADS, LAST_LINE, columns_that_fit

ROW = [
    "a-long-node-name-17",
    "follower",
    "up",
    "1234567",
    "100%",
    "1024.5 MiB",
    "1024",
    "65536",
    "1024.5 MiB",
    "123.4 ms",
    "1000000",
    "1000000",
    "[node] a line of the log that is as long as lines of logs are in practice",
]


def test_a_wide_terminal_shows_everything():
    assert columns_that_fit([ROW], 250) == list(range(len(HEADS)))


@given(st.integers(1, 300), st.integers(1, 20))
def test_names_and_roles_are_always_there_and_the_rest_fits(width, count):
    columns = columns_that_fit([ROW] * count, width)
    assert columns[:2] == [0, 1] and columns == sorted(set(columns))
    whole = [column for column in columns if column != LAST_LINE]
    taken = sum(len(max(HEADS[column], ROW[column], key=len)) + GAP for column in whole) - GAP
    assert taken <= width or len(whole) == 2


def test_eighty_columns_show_the_state():
    assert [HEADS[column] for column in columns_that_fit([ROW], 80)][:3] == [
        "node",
        "role",
        "state",
    ]
