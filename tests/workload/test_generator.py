"""The generator: operations follow the weights, and equal seeds give equal operations."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.workload.generator import LastObserved, OperationGenerator, weighted_table, zipf_weights


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5).filter(any))
def test_a_table_holds_each_weight_by_its_share(weights):
    counts, table = Counter(weighted_table(weights)), weighted_table(weights)
    for index, weight in enumerate(weights):
        assert (counts[index] > 0) == (weight > 0)
        assert abs(counts[index] / len(table) - weight / sum(weights)) < 0.01


def test_a_table_without_weights_is_an_error():
    with pytest.raises(ValueError, match="no weight"):
        weighted_table([0, 0])


def generated(seed: str, skew: float, count: int = 5000) -> list[tuple[str, int]]:
    generator = OperationGenerator({"put": 1, "get": 3}, 10, skew, seed)
    return [generator.next() for _ in range(count)]


def test_equal_seeds_give_equal_operations_and_others_do_not():
    assert generated("1", 1.0) == generated("1", 1.0) != generated("2", 1.0)


def test_without_skew_all_keys_are_equally_frequent():
    counts = Counter(key for _, key in generated("1", 0.0))
    assert set(counts) == set(range(10)) and max(counts.values()) < 1.5 * min(counts.values())


def test_with_skew_the_first_key_is_the_most_frequent():
    counts = Counter(key for _, key in generated("1", 1.0))
    share = zipf_weights(10, 1.0)[0] / sum(zipf_weights(10, 1.0))
    assert counts[0] == max(counts.values()) and abs(counts[0] / 5000 - share) < 0.05


def test_a_compare_and_set_goes_to_the_key_observed_last():
    last = LastObserved()
    assert last.with_expected("cas", 3) == ("get", 3, None)
    last.observe(1, "a")
    last.observe(2, "b")
    assert last.with_expected("cas", 3) == ("cas", 2, "b")
    assert last.with_expected("put", 3) == ("put", 3, None)
    last.observe(1, None)
    assert last.with_expected("cas", 3) == ("cas", 2, "b")
    last.observe(2, None)
    assert last.with_expected("cas", 3) == ("get", 3, None)
