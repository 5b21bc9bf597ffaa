"""What the counters of links show of a fault: an effect, no effect, or no traffic.

Bytes that were offered and not forwarded show a cut or a blackhole; the time that bytes were held
shows a delay. Counters of zero show nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from kvsim.network.rules import LinkRule

CLOCK_TOLERANCE_S = 0.001

# The measured period begins with the first piece and ends with the last.
RATE_TOLERANCE = 1.25

# A bandwidth limit had something to limit when it held bytes for this long.
HELD_S_MIN = 0.001


class TotalStats(Struct, frozen=True):
    """The counters of several directions together.

    `rate`: bytes per second of the busiest direction.
    """

    offered: int
    forwarded: int
    resets: int
    refused: int
    chunks: int
    chunk_bytes_max: int
    held_s_min: float
    held_s_max: float
    rate: float

    @classmethod
    def of(cls, stats: Iterable[Mapping[str, Any]]) -> TotalStats:
        """`stats`: the fields of LinkStats of each direction."""
        directions = list(stats)
        used = [direction for direction in directions if direction["chunks"]]

        def total(name: str) -> int:
            return sum(direction[name] for direction in directions)

        return cls(
            offered=total("offered"),
            forwarded=total("forwarded"),
            resets=total("resets"),
            refused=total("refused"),
            chunks=total("chunks"),
            chunk_bytes_max=max((row["chunk_bytes_max"] for row in directions), default=0),
            held_s_min=min((row["held_s_min"] for row in used), default=0.0),
            held_s_max=max((row["held_s_max"] for row in used), default=0.0),
            rate=max(map(_rate, used), default=0.0),
        )


def _rate(stats: Mapping[str, Any]) -> float:
    """Bytes a second from the first piece to the last; the first took none of this time."""
    duration_s = float(stats["last_s"] - stats["first_s"])
    return (stats["forwarded"] - stats["chunk_bytes_max"]) / duration_s if duration_s else 0.0


# Whether it took effect, and a sentence.
Effect = tuple[bool | None, str]


def link_effect(rule: LinkRule, stats: TotalStats) -> Effect:
    """Whether a fault with this rule took effect."""
    return EFFECTS[rule.kind](stats, rule)


def _cut(stats: TotalStats, rule: LinkRule) -> Effect:
    message = (
        f"{stats.resets} resets, {stats.refused} connections refused, "
        f"{stats.forwarded} bytes forwarded"
    )
    if stats.forwarded:
        return False, message
    return (True if stats.resets + stats.refused else None), message


def _swallowed_or_held(stats: TotalStats, rule: LinkRule) -> Effect:
    message = f"{stats.offered} bytes offered, {stats.forwarded} forwarded"
    if stats.forwarded:
        return False, message
    return (True if stats.offered else None), message


def _delay(stats: TotalStats, rule: LinkRule) -> Effect:
    if not stats.chunks:
        message = f"{stats.offered} bytes offered, none due yet"
        return (True if stats.offered else None), message
    message = (
        f"{stats.chunks} pieces held for {_ms(stats.held_s_min)} to {_ms(stats.held_s_max)} ms"
    )
    return stats.held_s_min >= rule.delay_s - rule.jitter_s - CLOCK_TOLERANCE_S, message


def _bandwidth(stats: TotalStats, rule: LinkRule) -> Effect:
    message = (
        f"{stats.forwarded} bytes at {stats.rate:,.0f} a second, "
        f"held for up to {_ms(stats.held_s_max)} ms"
    )
    if stats.held_s_max < HELD_S_MIN:
        return None, message
    return stats.rate <= rule.bytes_per_s * RATE_TOLERANCE, message


def _slice(stats: TotalStats, rule: LinkRule) -> Effect:
    message = f"{stats.chunks} pieces of at most {stats.chunk_bytes_max} bytes"
    return (stats.chunk_bytes_max <= rule.slice_bytes if stats.chunks else None), message


def _random_reset(stats: TotalStats, rule: LinkRule) -> Effect:
    message = f"{stats.resets} resets, {stats.offered} bytes offered"
    return (True if stats.resets else None), message


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


EFFECTS: dict[str, Callable[[TotalStats, LinkRule], Effect]] = {
    "cut": _cut,
    "blackhole": _swallowed_or_held,
    "stall": _swallowed_or_held,
    "delay": _delay,
    "bandwidth": _bandwidth,
    "slice": _slice,
    "random_reset": _random_reset,
}
