"""Used and allowed: which time limits came close in a recorded run, and how that is said."""

from __future__ import annotations

import pytest

from kvsim.evidence.proof import judge
from kvsim.evidence.proof_text import render
from kvsim.evidence.spent import limit_lines
from kvsim.history.record import Record
from tests.report.runs import META, Writer

MEANT = {"how": "calibrated", "own": 2.5, "written": 1.0, "measured": {"spawn_ms": 2.5, "loop_ms": 1.2}}


@pytest.fixture
def made(tmp_path) -> Writer:
    written = Writer(tmp_path)
    written.run.write_meta({**META, "time_limits": MEANT})
    written.node("n1", 0.01)
    written.step(0.06, 0.1)
    return written


def limits_of(made: Writer):
    return judge(Record.load(made.close())).time_limits


def test_the_closest_of_each_thing_is_kept_and_the_closest_of_all_stands_first(made):
    for used_s in (0.5, 4.5, 1.0):
        made.event(0.05, "limit", what="ready", of="n1", used_s=used_s, allowed_s=5.0)
    made.event(0.05, "limit", what="stop", of="n1", used_s=0.1, allowed_s=3.0)
    used = limits_of(made)["used"]
    assert [(one["what"], one["used_s"], one["share"]) for one in used] == [
        ("ready", 4.5, 0.9),
        ("stop", 0.1, 0.033),
    ]


def test_requests_count_when_they_were_answered(made):
    made.operation(0.07, "n1", "put", {"kind": "ok"}, 0.4, allowed_s=1.0)
    made.operation(0.07, "n2", "put", {"kind": "unknown", "reason": "timeout"}, 1.0, allowed_s=1.0)
    made.operation(0.07, "n3", "put", {"kind": "ok"}, 0.9)
    assert [(one["what"], one["of"]) for one in limits_of(made)["used"]] == [("request", "n1")]


def test_a_near_miss_has_a_line_of_its_own_in_the_proof(made):
    made.event(0.05, "limit", what="ready", of="n1", used_s=4.5, allowed_s=5.0)
    made.event(0.05, "limit", what="stop", of="n2", used_s=0.041, allowed_s=3.0)
    record = Record.load(made.close())
    text = render(judge(record), record)
    assert (
        "time limits: calibrated, kvsim's own x2.5: this machine is slow just now; "
        "closest: ready of n1 4.5 of 5 s, stop of n2 0.041 of 3 s\n"
        "NEAR MISS: ready of n1 4.5 of 5 s (90 %)\nagain: "
    ) in text


def test_what_took_long_while_something_was_broken_is_no_near_miss(made):
    made.event(0.1, "fault_plan", id="1.1", fault="pause", nodes=["n1"], settings={}, required=True)
    made.event(0.1, "fault_begin", id="1.1")
    made.operation(0.2, "n1", "put", {"kind": "ok"}, 0.9, allowed_s=1.0)
    made.operation(0.2, "n2", "put", {"kind": "ok"}, 0.1, allowed_s=1.0)
    made.event(1.5, "fault_end", id="1.1", healed=True, says=[])
    made.operation(1.6, "n1", "put", {"kind": "ok"}, 0.05, allowed_s=1.0)
    made.event(1.7, "limit", what="request", of="load w", used_s=0.95, allowed_s=1.0)
    limits = limits_of(made)
    broken = {(one["of"], one["used_s"]) for one in limits["used"] if one["broken"]}
    assert broken == {("n1", 0.9), ("load w", 0.95)}
    assert [line.partition("closest: ")[2] for line in limit_lines(limits)] == ["request of n2 0.1 of 1 s"]


@pytest.mark.parametrize(
    ("meant", "said"),
    [
        ({"how": "calibrated", "own": 1.0, "measured": {"loop_ms": 1.0}}, "calibrated, kvsim's own x1; "),
        ({"how": "as-written", "own": 1.0, "measured": {}}, "as-written; "),
        ({"how": "x3", "own": 3.0, "measured": {}}, "all x3; "),
    ],
)
def test_how_limits_were_meant_is_said(meant, said):
    assert list(limit_lines({**meant, "used": []})) == [f"time limits: {said}none was used"]


def test_a_run_of_an_older_kvsim_says_nothing_of_limits(tmp_path):
    older = Writer(tmp_path)
    record = Record.load(older.close())
    proof = judge(record)
    assert proof.time_limits is None
    assert "time limits" not in render(proof, record)
