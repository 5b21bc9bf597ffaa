"""Notices when kvsim itself was stopped or got no processor: the gaps in its own clock.

What kvsim measures across such a gap says nothing of a store. Knows nothing of runs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

# A process that sleeps for TICK_S and wakes up so much later did not run in between.
GAP_MIN_S = 0.5
TICK_S = 0.05

# Called with the last time at which kvsim certainly ran, and the time at which it ran again, in
# nanoseconds of the monotonic clock.
OnGap = Callable[[int, int], None]


class ClockGaps:
    """Call `tick` often: two calls with too much time between them are a gap."""

    def __init__(self, on_gap: OnGap, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._on_gap, self._clock = on_gap, clock
        self._last_ns = clock()

    def tick(self) -> None:
        now_ns = self._clock()
        last_ns, self._last_ns = self._last_ns, now_ns
        if now_ns - last_ns >= GAP_MIN_S * 1e9:
            self._on_gap(last_ns, now_ns)


@contextlib.contextmanager
def watch_own_clock(on_gap: OnGap) -> Iterator[None]:
    """While inside, a thread reports every gap. A last one is reported before this returns."""
    stopped = threading.Event()
    gaps = ClockGaps(on_gap)

    def watch() -> None:
        while not stopped.wait(TICK_S):
            gaps.tick()

    thread = threading.Thread(target=watch, name="own clock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        gaps.tick()
