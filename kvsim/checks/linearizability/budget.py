"""How much a search may cost: one budget for all keys of a history, and what is left of it.

Seconds are of the processor, of the thread that searches: on a machine that others use as well, a
search gets as far as on one of its own, so that the verdict is the same.
"""

from __future__ import annotations

import time

from msgspec import Struct

# Calls of `is_spent` between two looks at the clock.
CALLS_PER_CLOCK = 64


class Budget(Struct, frozen=True):
    """How many seconds of the processor the search may take, and how many configurations it may
    remember at a time."""

    seconds: float = 10.0
    configurations: int = 1_000_000

    def meter(self) -> Meter:
        """Start to spend it now."""
        return Meter(time.thread_time() + self.seconds, self.configurations)


class Meter(Struct):
    """What is left of a budget: until `deadline` (seconds of this thread), and configurations.

    A meter belongs to the thread that made it.
    """

    deadline: float
    configurations: int
    calls: int = 0
    expired: bool = False

    def share(self, fraction: float) -> Meter:
        """A meter of a part of the time that is left, with all the configurations."""
        return Meter(time.thread_time() + self.seconds_left() * fraction, self.configurations)

    def at_most(self, seconds: float) -> Meter:
        """A meter of the time that is left, but of no more than `seconds`."""
        return Meter(min(self.deadline, time.thread_time() + seconds), self.configurations)

    def with_configurations(self, configurations: int) -> Meter:
        """A meter of the time that is left, with no more than these configurations."""
        return Meter(self.deadline, min(configurations, self.configurations))

    def seconds_left(self) -> float:
        return max(0.0, self.deadline - time.thread_time())

    def remember(self) -> None:
        """Count one more configuration."""
        self.configurations -= 1

    def is_spent(self) -> bool:
        """Whether time or configurations ran out. Looks at the clock only now and then."""
        self.calls += 1
        if self.calls % CALLS_PER_CLOCK == 1 and time.thread_time() >= self.deadline:
            self.expired = True
        return self.expired or self.configurations < 0
