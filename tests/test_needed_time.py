"""What kvsim itself needs is booked on no node. A busy machine is a clock that jumps."""

from __future__ import annotations

import pytest

from kvsim import waiting
from kvsim.waiting import Deadline, TimedOut, wait_until


class Machine:
    """A clock; each look and each sleep takes `look_s` and `late_s` longer than it should."""

    def __init__(self, look_s: float, late_s: float) -> None:
        self.now, self.look_s, self.late_s = 100.0, look_s, late_s

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late_s

    def look(self, done_at: float) -> bool:
        found = self.now >= done_at
        self.now += self.look_s
        return found


@pytest.fixture
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(*request.param)
    monkeypatch.setattr(waiting, "time", machine)
    return machine


QUIET, BUSY = (0.0, 0.0), (3.0, 2.0)


@pytest.mark.parametrize("machine", [QUIET, BUSY], indirect=True)
def test_what_happened_in_time_is_in_time_however_late_kvsim_looks(machine: Machine) -> None:
    deadline = Deadline.after(1.0)
    assert wait_until(lambda: machine.look(100.9), deadline, "it")
    assert deadline.needed_s() <= 0.9


@pytest.mark.parametrize("machine", [QUIET, BUSY], indirect=True)
def test_what_never_happens_is_not_in_time(machine: Machine) -> None:
    with pytest.raises(TimedOut):
        wait_until(lambda: machine.look(1e9), Deadline.after(1.0), "it")


@pytest.mark.parametrize("machine", [QUIET, BUSY], indirect=True)
def test_what_is_there_at_once_needed_no_time(machine: Machine) -> None:
    deadline = Deadline.after(1.0)
    assert wait_until(lambda: machine.look(0.0), deadline, "it")
    assert deadline.needed_s() == 0.0


@pytest.mark.parametrize("machine", [QUIET], indirect=True)
def test_on_a_quiet_machine_nearly_all_of_its_time_is_counted(machine: Machine) -> None:
    deadline = Deadline.after(10.0)
    wait_until(lambda: machine.look(105.0), deadline, "it")
    assert 5.0 - waiting.PAUSE_MAX_S <= deadline.needed_s() <= 5.0
