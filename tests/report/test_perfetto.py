"""trace.json: the Trace Event format, as Perfetto and Chrome read it."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvsim.history.binary_file import save
from kvsim.history.build import build_history
from kvsim.history.operations import UNKNOWN
from kvsim.history.run_record import RunRecord
from kvsim.report import perfetto
from kvsim.report.client_lanes import assign_lanes, thin
from kvsim.report.perfetto import trace
from kvsim.run_directory import RunDirectory
from tests.report.runs import Writer, failed_run, load


def trace_of(run: RunDirectory) -> dict[str, Any]:
    record = RunRecord.load(run)
    return trace(record, build_history(record))


def test_every_event_has_the_fields_of_its_phase(tmp_path):
    made = json.loads(json.dumps(trace_of(failed_run(tmp_path))))
    for event in made["traceEvents"]:
        assert {"ph", "name", "pid", "tid"} <= set(event)
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0
        elif event["ph"] == "i":
            assert event["s"] in {"g", "p", "t"}
        elif event["ph"] == "C":
            assert event["args"] == {event["name"]: event["args"][event["name"]]}
        else:
            assert event["ph"] == "M" and (event["args"].get("name") or event["args"]["labels"])


def test_requests_roles_and_faults_are_in_it(tmp_path):
    events = trace_of(failed_run(tmp_path))["traceEvents"]
    names = [event["name"] for event in events if event["ph"] == "X"]
    assert "put apple at n1" in names
    assert "leader 3" in names
    assert "pause n2" in names
    lost = next(event for event in events if event["args"].get("reason") == "timeout")
    assert (lost["ts"], lost["dur"]) == (2_300_000, 300_000)


def test_a_run_without_an_end_has_an_end_for_every_span(tmp_path):
    events = trace_of(failed_run(tmp_path, how=None))["traceEvents"]
    assert all(event["dur"] >= 0 for event in events if event["ph"] == "X")


def loaded_run(folder: Path, count: int, clients: int = 8) -> RunDirectory:
    """A run with a load of `count` operations."""
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
    return made.close()


def of_load(events, phase):
    return [event for event in events if event["ph"] == phase and event["pid"] == 3]


def test_every_operation_of_a_load_is_in_a_lane_of_its_client(tmp_path):
    made = json.loads(json.dumps(trace_of(loaded_run(tmp_path, 2_000))))
    operations = of_load(made["traceEvents"], "X")
    assert len(operations) == 2_000
    assert made["otherData"]["load"] == "all 2,000 operations"
    named = {
        event["tid"]
        for event in of_load(made["traceEvents"], "M")
        if event["name"] == "thread_name"
    }
    assert named == {event["tid"] for event in operations}
    lanes = {}
    for event in sorted(operations, key=lambda event: event["ts"]):
        assert event["ts"] >= lanes.get(event["tid"], 0.0) - 0.002, "two at once in one lane"
        lanes[event["tid"]] = event["ts"] + event["dur"]
    assert len(lanes) <= 16
    assert {"outcome", "client", "node", "value"} <= set(operations[0]["args"])
    assert any(event["name"].endswith(" unknown") for event in operations)


def test_the_trace_states_what_it_leaves_out_of_a_long_load(tmp_path, monkeypatch):
    monkeypatch.setattr(perfetto, "LOAD_LIMIT", 100)
    made = trace_of(loaded_run(tmp_path, 2_000))
    shown = of_load(made["traceEvents"], "X")
    unknown = sum(event["args"]["outcome"] == "unknown" for event in shown)
    assert 90 <= len(shown) - unknown <= 100
    summary = made["otherData"]["load"]
    assert summary.startswith(f"{len(shown)} of 2,000 operations, one in 20;")
    assert [
        e["args"]["labels"]
        for e in of_load(made["traceEvents"], "M")
        if e["name"] == "process_labels"
    ] == [summary]
    assert sum(sum(event["args"].values()) for event in of_load(made["traceEvents"], "C")) == 2_000


def test_a_run_without_a_load_has_no_lanes_for_one(tmp_path):
    made = trace_of(failed_run(tmp_path))
    assert not [event for event in made["traceEvents"] if event["pid"] == 3]
    assert made["otherData"]["load"] == ""


SPANS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50), st.integers(0, 20)), max_size=40)


@given(SPANS)
def test_clients_that_share_a_lane_never_overlap(spans):
    clients, calls = [client for client, _, _ in spans], [call for _, call, _ in spans]
    returns = [call + took for _, call, took in spans]
    lanes = assign_lanes(clients, calls, returns)
    works = {
        client: (
            min(call for number, call in zip(clients, calls, strict=True) if number == client),
            max(back for number, back in zip(clients, returns, strict=True) if number == client),
        )
        for client in set(clients)
    }
    for client, (begin, end) in works.items():
        for other, (other_begin, other_end) in works.items():
            if client < other and lanes[client] == lanes[other]:
                assert end <= other_begin or other_end <= begin


@given(
    st.lists(st.sampled_from([0, 1, UNKNOWN]), max_size=60),
    st.integers(1, 20),
    st.sets(st.integers(0, 59)),
)
def test_thinning_keeps_given_rows_and_unknown_outcomes(outcomes, limit, always):
    every, rows = thin(array("b", outcomes), limit, always)
    kept = set(rows)
    assert list(rows) == sorted(kept)
    assert always & set(range(len(outcomes))) <= kept
    unknown = {row for row, outcome in enumerate(outcomes) if outcome == UNKNOWN}
    assert len(unknown) > limit or unknown <= kept
    assert len(kept - always - unknown) <= limit + 1
    assert every > 1 or len(kept) == len(outcomes)
