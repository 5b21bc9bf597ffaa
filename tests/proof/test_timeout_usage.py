"""Which time limits a recorded run almost reached, and the lines that report it."""

from __future__ import annotations

import pytest

from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import judge
from kvsim.proof.proof_text import render
from kvsim.proof.timeout_usage import time_limit_lines
from tests.report.runs import META, Writer

LIMITS = {
    "how": "calibrated",
    "default_factor": 2.5,
    "user_factor": 1.0,
    "measured": {"spawn_ms": 2.5, "loop_ms": 1.2},
}


@pytest.fixture
def writer(tmp_path) -> Writer:
    written = Writer(tmp_path)
    written.run.write_meta({**META, "time_limits": LIMITS})
    written.node("n1", 0.01)
    written.step(0.06, 0.1)
    return written


def limits_of(writer: Writer):
    return judge(RunRecord.load(writer.close())).time_limits


def test_the_highest_usage_of_each_thing_is_reported_and_sorted(writer):
    for used_s in (0.5, 4.5, 1.0):
        writer.event(0.05, "limit", what="ready", of="n1", used_s=used_s, allowed_s=5.0)
    writer.event(0.05, "limit", what="stop", of="n1", used_s=0.1, allowed_s=3.0)
    used = limits_of(writer)["used"]
    assert [(usage["what"], usage["used_s"], usage["share"]) for usage in used] == [
        ("ready", 4.5, 0.9),
        ("stop", 0.1, 0.033),
    ]


def test_only_answered_requests_count(writer):
    writer.operation(0.07, "n1", "put", {"kind": "ok"}, 0.4, allowed_s=1.0)
    writer.operation(
        0.07, "n2", "put", {"kind": "unknown", "reason": "timeout"}, 1.0, allowed_s=1.0
    )
    writer.operation(0.07, "n3", "put", {"kind": "ok"}, 0.9)
    assert [(usage["what"], usage["of"]) for usage in limits_of(writer)["used"]] == [
        ("request", "n1")
    ]


def test_a_near_miss_is_a_line_of_the_proof(writer):
    writer.event(0.05, "limit", what="ready", of="n1", used_s=4.5, allowed_s=5.0)
    writer.event(0.05, "limit", what="stop", of="n2", used_s=0.041, allowed_s=3.0)
    record = RunRecord.load(writer.close())
    text = render(judge(record), record)
    assert (
        "time limits: calibrated, kvsim's own x2.5: this machine is slow at present; "
        "closest: ready of n1 4.5 of 5 s, stop of n2 0.041 of 3 s\n"
        "NEAR MISS: ready of n1 4.5 of 5 s (90 %)\nagain: "
    ) in text


def test_a_long_wait_during_a_fault_is_no_near_miss(writer):
    writer.event(
        0.1, "fault_plan", id="1.1", fault="pause", nodes=["n1"], settings={}, required=True
    )
    writer.event(0.1, "fault_begin", id="1.1")
    writer.operation(0.2, "n1", "put", {"kind": "ok"}, 0.9, allowed_s=1.0)
    writer.operation(0.2, "n2", "put", {"kind": "ok"}, 0.1, allowed_s=1.0)
    writer.event(1.5, "fault_end", id="1.1", recovered=True, messages=[])
    writer.operation(1.6, "n1", "put", {"kind": "ok"}, 0.05, allowed_s=1.0)
    writer.event(1.7, "limit", what="request", of="load w", used_s=0.95, allowed_s=1.0)
    limits = limits_of(writer)
    during_fault = {
        (usage["of"], usage["used_s"]) for usage in limits["used"] if usage["during_fault"]
    }
    assert during_fault == {("n1", 0.9), ("load w", 0.95)}
    assert [line.partition("closest: ")[2] for line in time_limit_lines(limits)] == [
        "request of n2 0.1 of 1 s"
    ]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (
            {"how": "calibrated", "default_factor": 1.0, "measured": {"loop_ms": 1.0}},
            "calibrated, kvsim's own x1; ",
        ),
        ({"how": "as-written", "default_factor": 1.0, "measured": {}}, "as-written; "),
        ({"how": "x3", "default_factor": 3.0, "measured": {}}, "all x3; "),
    ],
)
def test_the_line_states_how_limits_were_adapted(limits, text):
    assert list(time_limit_lines({**limits, "used": []})) == [f"time limits: {text}none was used"]
