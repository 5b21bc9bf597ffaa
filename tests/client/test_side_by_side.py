"""Calls side by side: all at once, results in order, the first error in order."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.side_by_side import side_by_side


def test_all_calls_are_under_way_at_the_same_time():
    together = threading.Barrier(4, timeout=180)
    arrived = side_by_side([partial(together.wait) for _ in range(4)])
    assert sorted(arrived) == [0, 1, 2, 3]


@given(st.lists(st.integers(), max_size=5))
def test_results_have_the_order_of_the_calls(numbers):
    assert side_by_side([lambda n=n: n for n in numbers]) == numbers


def test_an_error_is_raised_when_all_have_ended():
    ended = []

    def fail(text: str) -> None:
        ended.append(text)
        raise ValueError(text)

    with pytest.raises(ValueError, match="first"):
        side_by_side([partial(ended.append, "x"), partial(fail, "first"), partial(fail, "second")])
    assert sorted(ended) == ["first", "second", "x"]
