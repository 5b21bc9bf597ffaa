"""What a link does to the bytes of one direction, and what it counts. Values and arithmetic.

Opens no socket and reads no clock. A link carries TCP, so nothing is lost in the middle of a
stream: `blackhole` swallows bytes and resets their connection when it ends, as TCP does after its
last retransmission; `stall` holds bytes and delivers them late, as TCP does while it retransmits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from kvsim.structs import to_dict

# Upstream: from the side that opened the connection; downstream: back to it.
UPSTREAM, DOWNSTREAM = DIRECTIONS = ("upstream", "downstream")


class LinkRule(Struct, frozen=True):
    """The rule for one direction of one link. `mode`: `pass`, `cut`, `blackhole` or `stall`.

    `reset_probability`: that a chunk resets its connection. `slice_bytes` 0: chunks pass whole.
    """

    mode: str = "pass"
    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    slice_bytes: int = 0
    gap_s: float = 0.0
    reset_probability: float = 0.0

    @property
    def kind(self) -> str:
        """The effect of a rule: its mode or, where bytes pass, what changes for them."""
        if self.mode != "pass":
            return self.mode
        if self.reset_probability:
            return "random_reset"
        if self.slice_bytes:
            return "slice"
        return "bandwidth" if self.bytes_per_s else "delay"

    def to_json(self) -> dict[str, Any]:
        return to_dict(self)


PASS = LinkRule()


class LinkStats(Struct):
    """What one direction of a link has counted since its last reset. Times in seconds."""

    # Bytes.
    offered: int = 0
    forwarded: int = 0
    swallowed: int = 0
    # Chunks that were forwarded, the bytes of the largest chunk, and how long chunks were held.
    chunks: int = 0
    chunk_bytes_max: int = 0
    held_s_min: float = 0.0
    held_s_max: float = 0.0
    # When the first and the last chunk was forwarded.
    first_s: float = 0.0
    last_s: float = 0.0
    # Open connections that were reset, and new connections that were refused.
    resets: int = 0
    refused: int = 0

    def count_forwarded(self, size: int, held_s: float, now_s: float) -> None:
        """Count a chunk that is forwarded."""
        self.held_s_min = held_s if not self.chunks else min(self.held_s_min, held_s)
        self.held_s_max = max(self.held_s_max, held_s)
        self.first_s = self.first_s or now_s
        self.last_s = now_s
        self.forwarded += size
        self.chunk_bytes_max = max(self.chunk_bytes_max, size)
        self.chunks += 1


class LinkClock(Struct):
    """When one direction of a link is free again. All its connections share it (bandwidth)."""

    free_at_s: float = 0.0


class DeliverySchedule:
    """When the bytes of a connection's direction may be forwarded. Jitter does not reorder them."""

    def __init__(self, rng: random.Random, clock: LinkClock) -> None:
        self._random = rng.random
        self._last_s = 0.0
        self._clock = clock

    def plan(self, rule: LinkRule, data: bytes, now_s: float) -> Iterator[tuple[float, bytes]]:
        """(due time, bytes) of each piece of a chunk that arrives now."""
        size = rule.slice_bytes or len(data)
        for index, start in enumerate(range(0, len(data), size)):
            piece = data[start : start + size]
            jitter_s = rule.jitter_s * (2 * self._random() - 1)
            due_s = now_s + rule.delay_s + jitter_s + rule.gap_s * index
            if rule.bytes_per_s:
                start_s = max(self._clock.free_at_s, now_s)
                self._clock.free_at_s = start_s + len(piece) / rule.bytes_per_s
                due_s = max(due_s, self._clock.free_at_s + rule.delay_s)
            self._last_s = due_s = max(due_s, self._last_s, now_s)
            yield due_s, piece
