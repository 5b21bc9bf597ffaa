"""How fast a load was answered: percentiles, rates, and what does not count."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from kvsim.history.latency import latencies
from kvsim.history.operations import Operations

FIRST = range(1_000_000, 2_000_000)


def operations_of(times_ms, outcome="ok", process=1_000_000, kind="get", node="n1"):
    operations = Operations()
    for number, took_ms in enumerate(times_ms):
        call = number * 1_000_000
        operations.add(
            call, call + took_ms * 1_000_000, process, "k", kind, "v", node=node, outcome=outcome
        )
    return operations


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=300))
def test_percentiles_are_answers_that_came(times):
    whole = latencies(operations_of(times), FIRST)[0]
    ordered = sorted(times)
    assert (whole.verb, whole.node, whole.count) == ("", "", len(times))
    assert whole.p50_ms == ordered[math.ceil(0.5 * len(times)) - 1]
    assert whole.p99_ms == ordered[math.ceil(0.99 * len(times)) - 1]
    assert whole.p50_ms <= whole.p95_ms <= whole.p99_ms <= whole.max_ms == ordered[-1]


def test_all_verbs_and_nodes_have_a_row_each():
    operations = operations_of([1, 2, 3])
    for node, kind in (("n1", "put"), ("n2", "get"), ("n2", "delete_missed")):
        operations.add(0, 5_000_000, 1_000_000, "k", kind, "v", node=node)
    rows = [(row.verb, row.node, row.count) for row in latencies(operations, FIRST)]
    assert rows == [
        ("", "", 6),
        ("delete", "", 1),
        ("delete", "n2", 1),
        ("get", "", 4),
        ("get", "n1", 3),
        ("get", "n2", 1),
        ("put", "", 1),
        ("put", "n1", 1),
    ]


def test_the_rate_is_of_the_time_between_the_first_request_and_the_last_answer():
    # A request each millisecond, answered within one: 100 in 100 ms.
    assert round(latencies(operations_of([1] * 100), FIRST)[0].per_s) == 1000


def test_unknown_operations_and_other_loads_do_not_count():
    assert latencies(operations_of([1, 2], outcome="unknown"), FIRST) == []
    assert latencies(operations_of([1, 2], process=2_000_000), FIRST) == []
