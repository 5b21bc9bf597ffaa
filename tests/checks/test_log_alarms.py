"""Reports in logs: the texts of the tools themselves, and nothing that only looks like them."""

from __future__ import annotations

import pytest

from kvsim.checks.log_alarms import find_reports
from kvsim.checks.registry import apply
from kvsim.checks.verdict import Verdict
from kvsim.patterns import searcher
from tests.checks.run_record.run_builder import RunBuilder

ASAN = """\
=================================================================
==31==ERROR: AddressSanitizer: heap-use-after-free on address 0x602 at pc 0x4f
READ of size 1 at 0x602 thread T0
    #0 0x4f in main store.c:9
"""
REPORTS = {
    ASAN: "a sanitizer",
    "store.c:9:12: runtime error: signed integer overflow: 2147483647 + 1": "a sanitizer",
    "WARNING: ThreadSanitizer: data race (pid=9)": "a sanitizer",
    "panic: runtime error: index out of range [3] with length 2\n\ngoroutine 1 [running]:": "Go",
    "fatal error: concurrent map writes": "Go",
    "WARNING: DATA RACE": "Go",
    "thread 'main' panicked at src/main.rs:4:5:\nboom\nnote: run with `RUST_BACKTRACE=1`": "Rust",
    'Exception in thread "main" java.lang.Error: x\n\tat Store.put(Store.java:3)': "Java",
    "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory": "Node.js",
    "Traceback (most recent call last):\n  File \"s.py\", line 1\nKeyError: 'k'": "Python",
    "Fatal Python error: Segmentation fault": "Python",
    "*** stack smashing detected ***: terminated": "glibc",
    "double free or corruption (fasttop)": "glibc",
    "free(): invalid pointer": "glibc",
    "store: store.c:3: put: Assertion `n > 0' failed.": "a failed assertion",
    "terminate called after throwing an instance of 'std::bad_alloc'": "the C++ runtime",
}
QUIET = """\
[node] listening on 127.0.0.1:9001
no runtime error so far
client sent: panic! at the disco
refused: assertion of role failed
2026-01-01 ERROR: relation does not exist
warning: double free rooms
"""


@pytest.mark.parametrize(("text", "tool"), REPORTS.items(), ids=[key[:30] for key in REPORTS])
def test_what_a_tool_prints_is_a_report(text, tool):
    (report,) = find_reports(f"[node] listening\n{text}\n[node] next line\n")
    assert report.tool == tool
    assert report.line == (3 if text is ASAN else 2)
    assert "[node] next line" not in report.lines


def test_a_report_is_shown_whole():
    (report,) = find_reports(ASAN)
    assert list(report.lines) == ASAN.splitlines()[1:]


def test_other_lines_are_none():
    assert list(find_reports(QUIET)) == []


def test_a_description_forbids_and_allows():
    never, allow = (searcher("corrupt"),), (searcher("^Traceback"),)
    text = "index is corrupt\nTraceback (most recent call last):\n"
    (report,) = find_reports(text, never, allow)
    assert (report.line, report.lines) == (1, ("index is corrupt",))


def verdict_of(run: RunBuilder) -> Verdict | None:
    return {check.name: check.verdict for check in apply(run.record())}["logs_hold_no_alarm"]


def test_a_report_in_a_log_is_a_violation_and_a_broken_disk_explains_it():
    run = RunBuilder().up(log="as LEADER as FOLLOWER\npanic: no space left on device").step("1.1")
    assert verdict_of(run) is Verdict.FAIL
    excused = RunBuilder()
    for node in ("n1", "n2", "n3"):
        traits = {"preloads": True}
        excused.add(
            "fault_plan",
            id=f"1.{node}",
            fault="disk",
            nodes=[node],
            settings={},
            required=True,
            traits=traits,
        )
        excused.add("fault_begin", id=f"1.{node}")
        excused.add("fault_end", id=f"1.{node}", recovered=True, messages=[])
    excused.up(log="as LEADER as FOLLOWER\npanic: no space left on device").step("1.1")
    assert verdict_of(excused) is Verdict.PASS


@pytest.mark.parametrize(("why", "verdict"), [("port", Verdict.PASS), ("died", Verdict.FAIL)])
def test_what_a_start_logged_that_met_a_port_of_another_program_is_no_report(why, verdict):
    run = RunBuilder().up(log="Traceback (most recent call last):\nOSError: [Errno 98] in use")
    for node in ("n2", "n3"):
        run.add("start_failed", node=node, incarnation=1, why="port", missing=[], message="m")
    run.add("start_failed", node="n1", incarnation=1, why=why, missing=[], message="m").step("1.1")
    run.up(log="as LEADER as FOLLOWER", incarnation=2)
    assert verdict_of(run) is verdict
