"""`inject` recovers after errors and interrupts, and journals plan, evidence and recovery."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kvsim.faults.fault import Evidence, FaultFailed, Recovery, inject
from kvsim.history.history import FaultTraits

TRAITS = FaultTraits(ends_nodes="may")


@dataclass
class PlainFault:
    """A fault that breaks nothing. `interrupts`: how often its recovery is interrupted."""

    begin_fails: bool = False
    measure_fails: bool = False
    recovers: bool = True
    interrupts: int = 0
    kind: str = "plain"
    nodes: tuple[str, ...] = ("n1",)
    recovered: list[str] = field(default_factory=list)

    def plan(self):
        return {"much": 3}

    def begin(self):
        if self.begin_fails:
            raise FaultFailed("it could not begin")
        return [Evidence("n1", True, "it took effect", {"calls": 1})]

    def measure(self):
        if self.measure_fails:
            raise FaultFailed("it could not be measured")
        return [Evidence("n1–n2", None, "0 bytes")]

    def recover(self):
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        self.recovered.append("n1")
        return [Recovery("n1", self.recovers, "observed")]


def events_of(
    fault: PlainFault, error: type[BaseException] | None = None
) -> list[tuple[str, dict]]:
    events: list[tuple[str, dict]] = []

    def record(kind: str, **fields) -> None:
        events.append((kind, fields))

    def run() -> None:
        with inject(fault, record, step="2.1", traits=TRAITS):
            events.append(("inside", {}))
            if error:
                raise error

    if error or fault.begin_fails or fault.measure_fails:
        with pytest.raises(error or FaultFailed):
            run()
    else:
        run()
    return events


def test_plan_evidence_and_recovery_are_recorded_in_the_order_in_which_they_happen():
    kinds = [kind for kind, _ in events_of(PlainFault())]
    assert kinds == [
        "fault_plan",
        "fault_begin",
        "fault_evidence",
        "inside",
        "fault_evidence",
        "fault_end",
    ]


def test_the_plan_has_the_settings_and_the_traits_of_the_fault():
    _, plan = events_of(PlainFault())[0]
    assert plan == {
        "id": "2.1",
        "fault": "plain",
        "nodes": ["n1"],
        "settings": {"much": 3},
        "traits": {
            "ends_nodes": "may",
            "damages_data": False,
            "cuts_power": False,
            "may_refuse": False,
            "preloads": False,
        },
        "required": True,
    }


def test_evidence_is_recorded_with_what_was_measured():
    evidence = [fields for kind, fields in events_of(PlainFault()) if kind == "fault_evidence"]
    assert evidence[0] == {
        "id": "2.1",
        "subject": "n1",
        "took_effect": True,
        "message": "it took effect",
        "measured": {"calls": 1},
    }
    assert evidence[1]["took_effect"] is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_it_recovers_when_its_steps_are_interrupted(error):
    fault = PlainFault()
    events = events_of(fault, error)
    assert fault.recovered == ["n1"]
    end = {"id": "2.1", "recovered": True, "messages": ["observed"]}
    assert events[-1] == ("fault_end", end)


def test_it_recovers_when_it_could_not_begin():
    fault = PlainFault(begin_fails=True)
    assert [kind for kind, _ in events_of(fault)][-1] == "fault_end"
    assert fault.recovered == ["n1"]


def test_it_recovers_when_it_could_not_be_measured():
    fault = PlainFault(measure_fails=True)
    events_of(fault)
    assert fault.recovered == ["n1"]


def test_what_did_not_recover_is_recorded():
    assert events_of(PlainFault(recovers=False))[-1][1]["recovered"] is False


def test_an_interrupt_of_the_recovery_waits_until_it_is_done():
    fault, events = PlainFault(interrupts=1), []
    with (
        pytest.raises(KeyboardInterrupt),
        inject(
            fault, lambda kind, **fields: events.append((kind, fields)), step="1", traits=TRAITS
        ),
    ):
        pass
    kind, fields = events[-1]
    assert fault.recovered == ["n1"] and kind == "fault_end" and fields["recovered"]
