"""What a run did to its nodes, as the consistency checks read it."""

from __future__ import annotations

from kvsim.history.assembled import assemble
from kvsim.history.history import FaultSpan
from kvsim.history.journal import Event
from kvsim.history.operations import NEVER
from kvsim.history.record import Record

MS = 1_000_000


def spans(*events: Event) -> tuple[FaultSpan, ...]:
    """The faults of a run whose load lasted from 0 s to 1 s."""
    load = [Event(0.0, "load_start", {"name": "w", "epoch_ns": 0}), Event(1.0, "load_stop", {"name": "w"})]
    record = Record({"nodes": {}}, sorted([*load, *events], key=lambda event: event.at_s), {})
    return assemble(record, []).faults


def ended(at_s: float, *, signal: str = "SIGKILL", wanted: bool = True) -> list[Event]:
    start = {"node": "n1", "incarnation": 1}
    return [
        Event(at_s - 0.01, "signal", {**start, "signal": signal, "why": "the scenario kills it"}),
        Event(at_s, "exit", {**start, "wanted": wanted}),
    ]


READY = Event(0.5, "ready", {"node": "n1", "incarnation": 2})


def test_a_kill_by_a_step_is_a_fault_until_the_node_is_ready_again():
    assert spans(*ended(0.3), READY) == (FaultSpan("kill", ("n1",), 290 * MS, 500 * MS),)


def test_a_stop_by_a_step_is_a_restart_and_lasts_for_ever_when_nobody_starts_the_node():
    assert spans(*ended(0.3, signal="SIGTERM")) == (FaultSpan("restart", ("n1",), 290 * MS, NEVER),)


def test_the_end_of_the_run_is_no_fault():
    assert spans(*ended(1.5)) == ()


def test_a_node_that_ended_by_itself_is_no_fault():
    assert spans(Event(0.3, "exit", {"node": "n1", "incarnation": 1, "wanted": False}), READY) == ()


def test_a_fault_that_kills_is_counted_once():
    plan = {"id": "2.1", "fault": "kill", "nodes": ["n1"], "settings": {}, "required": True}
    receipt = {"id": "2.1", "subject": "n1", "bit": True, "says": "", "evidence": {}}
    fault = [
        Event(0.2, "fault_plan", plan),
        Event(0.25, "fault_begin", {"id": "2.1"}),
        Event(0.35, "fault_receipt", receipt),
        Event(0.6, "fault_end", {"id": "2.1", "healed": True, "says": []}),
    ]
    assert spans(*fault, *ended(0.3), READY) == (FaultSpan("kill", ("n1",), 250 * MS, 600 * MS),)
