"""Waiting with a deadline: only a try that begins after the deadline shows that it was missed."""

from __future__ import annotations

import pytest

from kvsim.waiting import Deadline, TimedOut, wait_until


def test_a_slow_try_that_began_in_time_is_not_the_last():
    deadline, tries = Deadline.after(0.01), 0

    def holds() -> bool:
        nonlocal tries
        tries += 1
        if tries == 1:
            while not deadline.passed():
                pass
        return tries == 2

    assert wait_until(holds, deadline, "the second try")


def test_a_try_after_the_deadline_is_the_last():
    tries: list[bool] = []
    with pytest.raises(TimedOut, match="waited 0s for it; last observed: nothing"):
        wait_until(lambda: tries.append(True), Deadline.after(0.0), "it")
    assert tries == [True]
