"""What clients do next: the weights hold, every verb gets its turn, one seed draws alike."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.load.choosing import Chooser, LastSeen, slots, zipf


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5).filter(any))
def test_a_table_holds_each_weight_by_its_share(weights):
    counts, table = Counter(slots(weights)), slots(weights)
    for index, weight in enumerate(weights):
        assert (counts[index] > 0) == (weight > 0)
        assert abs(counts[index] / len(table) - weight / sum(weights)) < 0.01


def test_nothing_to_choose_from_is_an_error():
    with pytest.raises(ValueError, match="no weight"):
        slots([0, 0])


def drawn(seed: str, skew: float, count: int = 5000) -> list[tuple[str, int]]:
    chooser = Chooser({"put": 1, "get": 3}, 10, skew, seed)
    return [chooser.next() for _ in range(count)]


def test_one_seed_draws_alike_and_another_otherwise():
    assert drawn("1", 1.0) == drawn("1", 1.0) != drawn("2", 1.0)


def test_without_skew_all_keys_are_alike():
    counts = Counter(key for _, key in drawn("1", 0.0))
    assert set(counts) == set(range(10)) and max(counts.values()) < 1.5 * min(counts.values())


def test_with_skew_the_first_key_is_asked_for_most():
    counts = Counter(key for _, key in drawn("1", 1.0))
    share = zipf(10, 1.0)[0] / sum(zipf(10, 1.0))
    assert counts[0] == max(counts.values()) and abs(counts[0] / 5000 - share) < 0.05


def test_a_compare_and_set_goes_where_a_value_was_seen_last():
    last = LastSeen()
    assert last.meant("cas", 3) == ("get", 3, None)
    last.note(1, "a")
    last.note(2, "b")
    assert last.meant("cas", 3) == ("cas", 2, "b")
    assert last.meant("put", 3) == ("put", 3, None)
    last.note(1, None)
    assert last.meant("cas", 3) == ("cas", 2, "b")
    last.note(2, None)
    assert last.meant("cas", 3) == ("get", 3, None)
