"""Findings that say the same are printed once, with their number."""

from __future__ import annotations

from kvsim.checks.verdict import CheckResult, Finding
from kvsim.proof.proof_text import _check


def printed(*findings: Finding) -> list[str]:
    return list(_check(CheckResult("every_request_is_answered", "Each is", 9, findings)))[1:]


def test_two_hundred_findings_that_say_the_same_are_one_with_its_number():
    same = [
        Finding(f"n1: `get k-{number:012x}`: unknown (timeout)", f"1.{number}", "n1")
        for number in range(200)
    ]
    assert printed(*same) == [
        "          200 times, first at step 1.0: n1: `get k-000000000000`: unknown (timeout)"
    ]


def test_findings_on_other_nodes_or_with_other_words_stay():
    lines = printed(
        Finding("silent", "1.1", "n1"), Finding("silent", "1.1", "n2"), Finding("late", "1.1", "n1")
    )
    assert len(lines) == 3


def test_findings_of_no_step_stay():
    assert len(printed(Finding("it ended", node="n1"), Finding("it ended", node="n1"))) == 2
