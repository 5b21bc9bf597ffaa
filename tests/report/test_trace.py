"""trace.json: the Trace Event format as its readers want it."""

from __future__ import annotations

import json

from kvsim.history.record import Record
from kvsim.report.trace import trace
from tests.report.runs import story


def test_every_event_has_what_its_phase_needs(tmp_path):
    made = json.loads(json.dumps(trace(Record.load(story(tmp_path)))))
    for event in made["traceEvents"]:
        assert {"ph", "name", "pid", "tid"} <= set(event)
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0
        elif event["ph"] == "i":
            assert event["s"] in {"g", "p", "t"}
        else:
            assert event["ph"] == "M" and event["args"]["name"]


def test_operations_steps_roles_and_faults_are_in_it(tmp_path):
    events = trace(Record.load(story(tmp_path)))["traceEvents"]
    names = [event["name"] for event in events if event["ph"] == "X"]
    assert "put apple at n1" in names
    assert "leader 3" in names
    assert "pause n2" in names
    lost = next(event for event in events if event["args"].get("reason") == "timeout")
    assert (lost["ts"], lost["dur"]) == (2_300_000, 300_000)


def test_a_run_that_broke_off_has_an_end_for_everything(tmp_path):
    events = trace(Record.load(story(tmp_path, how=None)))["traceEvents"]
    assert all(event["dur"] >= 0 for event in events if event["ph"] == "X")
