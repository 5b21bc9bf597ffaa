"""A scope heals whatever happened inside it, and writes down plan, receipts and healing in that order."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kvsim.faults.fault import FaultFailed, Healing, Receipt
from kvsim.faults.scope import scope


@dataclass
class Plain:
    """A fault that breaks nothing."""

    breaks_off: bool = False
    end_raises: bool = False
    heals: bool = True
    interrupts: int = 0  # how often healing is interrupted
    kind: str = "plain"
    nodes: tuple[str, ...] = ("n1",)
    healed: list[str] = field(default_factory=list)

    def plan(self):
        return {"much": 3}

    def begin(self):
        if self.breaks_off:
            raise FaultFailed("it would not break")
        return [Receipt("n1", True, "it bit", {"seen": 1})]

    def end(self):
        if self.end_raises:
            raise FaultFailed("it cannot be looked at")
        return [Receipt("n1->n2", None, "nobody tried")]

    def heal(self):
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        self.healed.append("n1")
        return [Healing("n1", self.heals, "looked at")]


def notes_of(fault: Plain, error: type[BaseException] | None = None) -> list[tuple[str, dict]]:
    notes: list[tuple[str, dict]] = []

    def play() -> None:
        with scope(fault, lambda kind, **fields: notes.append((kind, fields)), step="2.1"):
            notes.append(("inside", {}))
            if error:
                raise error

    if error or fault.breaks_off or fault.end_raises:
        with pytest.raises(error or FaultFailed):
            play()
    else:
        play()
    return notes


def test_plan_receipts_and_healing_are_noted_in_the_order_in_which_they_happen():
    kinds = [kind for kind, _ in notes_of(Plain())]
    assert kinds == ["fault_plan", "fault_begin", "fault_receipt", "inside", "fault_receipt", "fault_end"]


def test_the_plan_says_everything_before_it_is_carried_out():
    _, plan = notes_of(Plain())[0]
    assert plan == {"id": "2.1", "fault": "plain", "nodes": ["n1"], "settings": {"much": 3}, "required": True}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_it_heals_when_its_steps_break_off(error):
    fault = Plain()
    notes = notes_of(fault, error)
    assert fault.healed == ["n1"]
    assert notes[-1] == ("fault_end", {"id": "2.1", "healed": True, "says": ["looked at"]})


def test_it_heals_when_it_could_not_be_carried_out():
    fault = Plain(breaks_off=True)
    assert [kind for kind, _ in notes_of(fault)][-1] == "fault_end"
    assert fault.healed == ["n1"]


def test_it_heals_when_its_receipts_could_not_be_had():
    fault = Plain(end_raises=True)
    notes_of(fault)
    assert fault.healed == ["n1"]


def test_what_did_not_heal_is_said():
    assert notes_of(Plain(heals=False))[-1][1]["healed"] is False


def test_an_interrupt_in_the_middle_of_healing_waits_until_it_is_done():
    fault, notes = Plain(interrupts=1), []
    with (
        pytest.raises(KeyboardInterrupt),
        scope(fault, lambda kind, **more: notes.append((kind, more)), step="1"),
    ):
        pass
    assert fault.healed == ["n1"] and notes[-1][0] == "fault_end" and notes[-1][1]["healed"]
