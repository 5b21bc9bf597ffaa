"""What a link does to bytes that flow one way, and what it has seen of them. Values and arithmetic; no socket, no clock.

A link carries TCP, so nothing is lost out of the middle of a stream: `blackhole` swallows bytes and resets their connection when
it heals, as TCP does when it has given up; `stall` holds them and delivers them late, as TCP does when it has not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

MODES = ("pass", "cut", "blackhole", "stall")
WAYS = ("up", "down")  # from who connected to whom was connected to, and back


@dataclass(frozen=True)
class Rule:
    """One way of one link. `drop` is the probability that a chunk resets its connection; `slice_bytes` 0: as they come."""

    mode: str = "pass"
    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    slice_bytes: int = 0
    gap_s: float = 0.0
    drop: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


PASS = Rule()


@dataclass
class Seen:
    """What one way of one link has seen since it was last asked to forget. Times in seconds."""

    offered: int = 0  # bytes
    forwarded: int = 0
    swallowed: int = 0
    chunks: int = 0  # handed on
    biggest: int = 0  # bytes of the biggest chunk handed on
    held_least_s: float = 0.0
    held_most_s: float = 0.0
    first_s: float = 0.0
    last_s: float = 0.0
    resets: int = 0  # connections that were open
    turned_away: int = 0  # connections that were just being opened

    def hand_on(self, size: int, held_s: float, now: float) -> None:
        """Count a chunk that goes on its way."""
        self.held_least_s = held_s if not self.chunks else min(self.held_least_s, held_s)
        self.held_most_s = max(self.held_most_s, held_s)
        self.first_s = self.first_s or now
        self.last_s = now
        self.forwarded += size
        self.biggest = max(self.biggest, size)
        self.chunks += 1


@dataclass
class Lane:
    """One way of a link, which all its connections share: when it is free again, for the bandwidth."""

    free: float = 0.0


class Pace:
    """When the next bytes of one flow may go on: their order holds, whatever the jitter."""

    def __init__(self, rng: random.Random, lane: Lane) -> None:
        self._random = rng.random
        self._last = 0.0
        self._lane = lane

    def plan(self, rule: Rule, data: bytes, now: float) -> Iterator[tuple[float, bytes]]:
        """(when, what) for each piece of a chunk that arrived now."""
        size = rule.slice_bytes or len(data)
        for place, start in enumerate(range(0, len(data), size)):
            piece = data[start : start + size]
            due = now + rule.delay_s + rule.jitter_s * (2 * self._random() - 1) + rule.gap_s * place
            if rule.bytes_per_s:
                self._lane.free = max(self._lane.free, now) + len(piece) / rule.bytes_per_s
                due = max(due, self._lane.free + rule.delay_s)
            self._last = due = max(due, self._last, now)
            yield due, piece
