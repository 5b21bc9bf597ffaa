"""A consistency check that a scenario requires judges, whatever the program guarantees."""

from __future__ import annotations

import pytest

from kvsim.checks import workload_checks
from kvsim.checks.consistency.report import Report
from kvsim.checks.consistency.result import ConsistencyResult
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.latency import Latency
from kvsim.history.run_record import RunRecord

LOST = Finding("a write is lost", node="n1")


def judged(required: set[str], **fields) -> dict[str, ConsistencyResult]:
    """The results of a run whose only check measures; `fields` are those of its result."""
    result = ConsistencyResult("lost_writes", "No write is lost", measures_only=True, **fields)
    report = Report((), (result,), 10, "run")
    record = RunRecord({"nodes": {}}, [], {})
    return {found.name: found for found in workload_checks.results(record, report, required)}


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"judged": 9, "findings": (LOST,)}, Verdict.FAIL),
        ({"judged": 9}, Verdict.PASS),
        ({"judged": 0}, Verdict.INVALID),
    ],
)
def test_a_required_check_judges_what_the_program_does_not_guarantee(fields, verdict):
    found = judged({"load_lost_writes"}, **fields)["load_lost_writes"]
    assert found.verdict is verdict
    assert workload_checks.REQUIRED_ONLY in found.about


def test_a_check_that_nothing_requires_only_measures():
    assert "load_lost_writes" not in judged(set(), judged=9, findings=(LOST,))


MEASURED = Latency("", "", 100, 500.0, p50_ms=1.0, p95_ms=5.0, p99_ms=9.0, max_ms=20.0)


@pytest.mark.parametrize(
    ("required", "found"),
    [
        ({"p50_s": 0.001, "p99_s": 0.01, "rate": 500}, []),
        ({"p99_s": 0.005}, ["p99 9.0 ms; required: 5 ms"]),
        ({"max_s": 0.019, "p50_s": 1.0}, ["max 20.0 ms; required: 19 ms"]),
        ({"rate": 501}, ["500 operations a second; required: 501"]),
    ],
)
def test_a_load_is_judged_by_what_its_step_requires(required, found):
    assert list(workload_checks.too_slow(MEASURED, required)) == found
