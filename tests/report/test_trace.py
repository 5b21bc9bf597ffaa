"""trace.json: the Trace Event format as its readers want it."""

from __future__ import annotations

import json
from array import array

from hypothesis import given
from hypothesis import strategies as st

from kvsim.history.history_file import save
from kvsim.history.operations import UNKNOWN
from kvsim.history.record import Record
from kvsim.report import trace_load
from kvsim.report.clients import lanes_of, thinned
from kvsim.report.trace import trace
from tests.report.runs import Writer, load, story


def test_every_event_has_what_its_phase_needs(tmp_path):
    made = json.loads(json.dumps(trace(Record.load(story(tmp_path)))))
    for event in made["traceEvents"]:
        assert {"ph", "name", "pid", "tid"} <= set(event)
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0
        elif event["ph"] == "i":
            assert event["s"] in {"g", "p", "t"}
        else:
            assert event["ph"] == "M" and (event["args"].get("name") or event["args"]["labels"])


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


def loaded(folder, count: int, clients: int = 8):
    """The record of a run with a load of so many operations."""
    made = Writer(folder)
    made.step(0.001, 9.0)
    made.event(
        0.002,
        "load_start",
        id="1.1",
        name="w",
        epoch_ns=0,
        clients=clients,
        timeout_s=0.3,
        mix={"put": 1},
        minima={},
    )
    made.run.load("w").parent.mkdir()
    save(load(count, clients=clients), made.run.load("w"))
    return Record.load(made.close())


def of_load(events, phase):
    return [event for event in events if event["ph"] == phase and event["pid"] == 3]


def test_every_operation_of_a_load_stands_in_a_lane_of_its_client(tmp_path):
    made = json.loads(json.dumps(trace(loaded(tmp_path, 2_000))))
    operations = of_load(made["traceEvents"], "X")
    assert len(operations) == 2_000
    assert made["otherData"]["load"] == "all 2,000 operations"
    named = {event["tid"] for event in of_load(made["traceEvents"], "M") if event["name"] == "thread_name"}
    assert named == {event["tid"] for event in operations}
    lanes = {}
    for event in sorted(operations, key=lambda event: event["ts"]):
        assert event["ts"] >= lanes.get(event["tid"], 0.0) - 0.002, "two at once in one lane"
        lanes[event["tid"]] = event["ts"] + event["dur"]
    assert len(lanes) <= 16
    assert {"outcome", "client", "node", "value"} <= set(operations[0]["args"])
    assert any(event["name"].endswith(" unknown") for event in operations)


def test_what_is_left_out_of_a_long_load_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(trace_load, "LIMIT", 100)
    made = trace(loaded(tmp_path, 2_000))
    shown = of_load(made["traceEvents"], "X")
    unknown = sum(event["args"]["outcome"] == "unknown" for event in shown)
    assert 90 <= len(shown) - unknown <= 100
    said = made["otherData"]["load"]
    assert said.startswith(f"{len(shown)} of 2,000 operations, one in 20;")
    assert [
        e["args"]["labels"] for e in of_load(made["traceEvents"], "M") if e["name"] == "process_labels"
    ] == [said]
    assert sum(sum(event["args"].values()) for event in of_load(made["traceEvents"], "C")) == 2_000


def test_a_run_without_a_load_has_no_lanes_for_one(tmp_path):
    made = trace(Record.load(story(tmp_path)))
    assert not [event for event in made["traceEvents"] if event["pid"] == 3]
    assert made["otherData"]["load"] == ""


SPANS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50), st.integers(0, 20)), max_size=40)


@given(SPANS)
def test_clients_that_share_a_lane_are_never_at_work_at_once(spans):
    clients, calls = [client for client, _, _ in spans], [call for _, call, _ in spans]
    returns = [call + took for _, call, took in spans]
    lanes = lanes_of(clients, calls, returns)
    works = {
        client: (
            min(call for one, call in zip(clients, calls, strict=True) if one == client),
            max(back for one, back in zip(clients, returns, strict=True) if one == client),
        )
        for client in set(clients)
    }
    for one, (begin, end) in works.items():
        for other, (other_begin, other_end) in works.items():
            if one < other and lanes[one] == lanes[other]:
                assert end <= other_begin or other_end <= begin


@given(
    st.lists(st.sampled_from([0, 1, UNKNOWN]), max_size=60), st.integers(1, 20), st.sets(st.integers(0, 59))
)
def test_thinning_keeps_what_proves_and_what_has_no_answer(outcomes, limit, proving):
    every, rows = thinned(array("b", outcomes), limit, proving)
    kept = set(rows)
    assert list(rows) == sorted(kept)
    assert proving & set(range(len(outcomes))) <= kept
    unknown = {row for row, outcome in enumerate(outcomes) if outcome == UNKNOWN}
    assert len(unknown) > limit or unknown <= kept
    assert len(kept - proving - unknown) <= limit + 1
    assert every > 1 or len(kept) == len(outcomes)
