"""Waiting for a condition under one monotonic deadline. Asks "dead?" before "ready?" and says at the end what it last saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

STEP_S = 0.004
STEP_MAX_S = 0.05


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock, handed down through every wait so that nested waits share one budget."""

    at: float
    budget_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds, seconds)

    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def used_s(self) -> float:
        """Seconds since it was set; more than the budget once it has passed."""
        return self.budget_s - (self.at - time.monotonic())

    def passed(self) -> bool:
        return time.monotonic() >= self.at


class TimedOut(Exception):
    """The deadline passed. `last` is what was seen last, in words."""

    def __init__(self, saying: str, budget_s: float, last: str) -> None:
        self.saying, self.budget_s, self.last = saying, budget_s, last
        super().__init__(f"waited {budget_s:g}s for {saying}; last seen: {last or 'nothing'}")


def wait_until(
    ask: Callable[[], T | None],
    deadline: Deadline,
    saying: str,
    *,
    dead: Callable[[], object] = lambda: None,
    last_seen: Callable[[], str] = lambda: "",
) -> T:
    """Return the first true answer of `ask`.

    `dead` is called first in every round and raises when waiting further is pointless. Polls start at 4 ms and widen to
    50 ms. Raises TimedOut with `last_seen()` once the deadline has passed; `ask` is always tried at least once.
    """
    step_s = STEP_S
    while True:
        dead()
        answer = ask()
        if answer:
            return answer
        left_s = deadline.left_s()
        if not left_s:
            raise TimedOut(saying, deadline.budget_s, last_seen())
        time.sleep(min(step_s, left_s))
        step_s = min(step_s * 1.3, STEP_MAX_S)
