"""The faults of a history: those of the run, and what its steps did to nodes."""

from __future__ import annotations

import pytest

from kvsim.history import build
from kvsim.history.build import build_history
from kvsim.history.history import NODE_ENDED, FaultSpan
from kvsim.history.journal import Event
from kvsim.history.operations import NEVER
from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.history.run_record import RunRecord
from tests.checks.run_record.run_builder import RunBuilder

MS = 1_000_000


def spans(*events: Event) -> tuple[FaultSpan, ...]:
    """The faults of a run whose load lasted from 0 s to 1 s."""
    load = [
        Event(0.0, "load_start", {"name": "w", "epoch_ns": 0}),
        Event(1.0, "load_stop", {"name": "w", "counts": {}}),
    ]
    record = RunRecord({"nodes": {}}, sorted([*load, *events], key=lambda event: event.at_s), {})
    return build_history(record).faults


def ended(at_s: float, *, signal: str = "SIGKILL", requested: bool = True) -> list[Event]:
    start = {"node": "n1", "incarnation": 1}
    return [
        Event(at_s - 0.01, "signal", {**start, "signal": signal, "why": "the scenario kills it"}),
        Event(at_s, "exit", {**start, "requested": requested}),
    ]


READY = Event(0.5, "ready", {"node": "n1", "incarnation": 2})


def test_a_kill_by_a_step_is_a_fault_until_the_node_is_ready_again():
    assert spans(*ended(0.3), READY) == (
        FaultSpan("kill", ("n1",), 290 * MS, 500 * MS, NODE_ENDED),
    )


def test_a_stop_by_a_step_is_a_restart_that_lasts_until_the_node_starts():
    assert spans(*ended(0.3, signal="SIGTERM")) == (
        FaultSpan("restart", ("n1",), 290 * MS, NEVER, NODE_ENDED),
    )


def test_the_end_of_the_run_is_no_fault():
    assert spans(*ended(1.5)) == ()


def test_the_end_of_a_node_by_itself_is_no_fault():
    assert (
        spans(Event(0.3, "exit", {"node": "n1", "incarnation": 1, "requested": False}), READY) == ()
    )


@pytest.mark.parametrize(
    ("keeps", "value", "incarnation", "counted"),
    [
        ("nothing", None, 2, False),
        ("nothing", "v", 2, True),
        ("nothing", None, 1, True),
        ("data", None, 2, True),
        (None, None, 2, True),
    ],
)
def test_an_empty_node_that_keeps_nothing_shows_no_loss(
    monkeypatch, keeps, value, incarnation, counted
):
    monkeypatch.setattr(build, "incomplete_loads", lambda record: [])
    run = RunBuilder(keeps=keeps).add("load_start", name="w", epoch_ns=0, id="1.1")
    run.add("spawn", node="n1", incarnation=incarnation, pid=1, start_ticks=1, attached=False)
    run.add("load_stop", name="w", counts={})
    run.request("n1", "get", Outcome(OutcomeKind.OK, value=value), purpose=build.FINAL)
    run.add("end", how="finished")
    assert bool(build_history(run.record()).finals) is counted


def test_a_fault_that_kills_is_counted_once():
    plan = {
        "id": "2.1",
        "fault": "kill",
        "nodes": ["n1"],
        "settings": {},
        "traits": {"ends_nodes": "always"},
        "required": True,
    }
    evidence = {"id": "2.1", "subject": "n1", "took_effect": True, "message": "", "measured": {}}
    fault = [
        Event(0.2, "fault_plan", plan),
        Event(0.25, "fault_begin", {"id": "2.1"}),
        Event(0.35, "fault_evidence", evidence),
        Event(0.6, "fault_end", {"id": "2.1", "recovered": True, "messages": []}),
    ]
    assert spans(*fault, *ended(0.3), READY) == (
        FaultSpan("kill", ("n1",), 250 * MS, 600 * MS, NODE_ENDED),
    )
