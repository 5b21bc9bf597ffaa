"""Rates and their bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.trials.confidence import Rate


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [  # from Wilson's formula, as printed in textbooks
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 2, 0.0945, 0.9055),
        (5, 100, 0.0215, 0.1118),
    ],
)
def test_bounds_are_wilsons(count, total, low, high):
    assert Rate(count, total).bounds == pytest.approx((low, high), abs=2e-4)


@given(
    st.integers(1, 100_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
)
def test_the_rate_lies_within_its_bounds(pair):
    rate = Rate(*pair)
    low, high = rate.bounds
    assert 0 <= low <= rate.value <= high <= 1


def test_of_no_runs_nothing_is_known():
    assert Rate(0, 0).bounds == (0.0, 1.0)
