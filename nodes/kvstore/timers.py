"""Things to do at a time: a heap of (when, number, what). Knows the monotonic clock only."""

from _heapq import heappop, heappush
from time import monotonic


class Timers:
    """Calls that are due later; `run` makes those whose time has come."""

    def __init__(self):
        self.heap = []
        self.number = 0

    def after(self, delay_s, call):
        """Have `call()` made once, `delay_s` from now."""
        self.number += 1
        heappush(self.heap, (monotonic() + delay_s, self.number, call))

    def wait_s(self, longest_s):
        """Return how long the loop may sleep."""
        return max(0.0, min(longest_s, self.heap[0][0] - monotonic())) if self.heap else longest_s

    def run(self, now_s):
        """Make the calls that are due."""
        while self.heap and self.heap[0][0] <= now_s:
            heappop(self.heap)[2]()
