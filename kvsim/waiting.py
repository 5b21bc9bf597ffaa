"""Wait for a condition, with a deadline on the monotonic clock.

A wait that fails reports what was observed last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct, field

T = TypeVar("T")

PAUSE_S = 0.004
PAUSE_MAX_S = 0.05
PAUSE_GROWTH = 1.3


class Deadline(Struct, frozen=True):
    """A time on the monotonic clock. Nested waits share a deadline, so that all end in time."""

    at: float
    timeout_s: float
    # When the last try that did not hold began. A list: the deadline itself does not change.
    _misses: list[float] = field(default_factory=list)

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds, seconds)

    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def used_s(self) -> float:
        """Seconds since it was set; more than `timeout_s` once it has passed."""
        return self.timeout_s - (self.at - time.monotonic())

    def note_miss(self, began: float) -> None:
        """A try that began at this time did not hold."""
        self._misses[:] = [began]

    def needed_s(self) -> float:
        """How long what is waited for certainly needed: until the last try that did not hold began.

        What kvsim itself needed to look, or to wake up, is not in it.
        """
        begin = self.at - self.timeout_s
        return max(0.0, self._misses[0] - begin) if self._misses else 0.0

    def passed(self) -> bool:
        return time.monotonic() >= self.at


class TimedOut(Exception):
    """The deadline passed. `last` describes what was observed last."""

    def __init__(self, what: str, timeout_s: float, last: str) -> None:
        self.what, self.timeout_s, self.last = what, timeout_s, last
        super().__init__(f"waited {timeout_s:g}s for {what}; last observed: {last or 'nothing'}")


def wait_until(
    condition: Callable[[], T | None],
    deadline: Deadline,
    what: str,
    *,
    check_alive: Callable[[], object] = lambda: None,
    last_observed: Callable[[], str] = str,
) -> T:
    """Wait until `condition` returns a true value, and return it.

    `check_alive` is called first in every round and raises when the condition can never be met.
    Pauses start at 4 ms and grow to 50 ms. Raises TimedOut with `last_observed()` when `condition`
    does not hold in a try that begins after the deadline. A try that only ends after it shows
    nothing: it may have observed too early, and its own time is not that of what it observes.
    """
    pause_s = PAUSE_S
    while True:
        check_alive()
        began, last_try = time.monotonic(), deadline.passed()
        value = condition()
        if value:
            return value
        deadline.note_miss(began)
        if last_try:
            raise TimedOut(what, deadline.timeout_s, last_observed())
        time.sleep(min(pause_s, deadline.left_s()))
        pause_s = min(pause_s * PAUSE_GROWTH, PAUSE_MAX_S)
