"""What the counters of a link say of a fault: it bit, it did not, or nobody tried. Pure.

Bytes offered and none handed on is what a cut or swallowed link looks like; time held is what a slow one looks like. Silence
proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kvsim.faults.links.rules import Rule

CLOCK_SLACK_S = 0.001
RATE_SLACK = 1.25  # the measured period begins with the first piece and ends with the last
FELT_S = 0.001


@dataclass(frozen=True)
class Total:
    """The counters of several ways taken together."""

    offered: int
    forwarded: int
    resets: int
    turned_away: int
    chunks: int
    biggest: int
    held_least_s: float
    held_most_s: float
    rate: float  # bytes a second, of the busiest way

    @classmethod
    def of(cls, seen: Iterable[Mapping[str, Any]]) -> Total:
        ways = list(seen)
        used = [way for way in ways if way["chunks"]]
        sums = {
            name: sum(way[name] for way in ways)
            for name in ("offered", "forwarded", "resets", "turned_away", "chunks")
        }
        return cls(
            **sums,
            biggest=max((way["biggest"] for way in ways), default=0),
            held_least_s=min((way["held_least_s"] for way in used), default=0.0),
            held_most_s=max((way["held_most_s"] for way in used), default=0.0),
            rate=max(map(_rate, used), default=0.0),
        )


def _rate(way: Mapping[str, Any]) -> float:
    """Bytes a second between the first piece and the last; the first took no time of it."""
    lasted_s = way["last_s"] - way["first_s"]
    return (way["forwarded"] - way["biggest"]) / lasted_s if lasted_s else 0.0


Told = tuple[bool | None, str]


def tell(what: str, total: Total, rule: Rule) -> Told:
    """Whether a fault of this kind bit, and the sentence."""
    return TELL[what](total, rule)


def _cut(total: Total, rule: Rule) -> Told:
    met = (
        f"{total.resets} resets, {total.turned_away} connections turned away, {total.forwarded} bytes through"
    )
    if total.forwarded:
        return False, met
    return (True if total.resets + total.turned_away else None), met


def _silent(total: Total, rule: Rule) -> Told:
    met = f"{total.offered} bytes offered, {total.forwarded} through"
    if total.forwarded:
        return False, met
    return (True if total.offered else None), met


def _delay(total: Total, rule: Rule) -> Told:
    met = f"{total.chunks} pieces held for {_ms(total.held_least_s)} to {_ms(total.held_most_s)} ms"
    if not total.chunks:
        return (True if total.offered else None), f"{total.offered} bytes offered, none due yet"
    return total.held_least_s >= rule.delay_s - rule.jitter_s - CLOCK_SLACK_S, met


def _bandwidth(total: Total, rule: Rule) -> Told:
    met = f"{total.forwarded} bytes at {total.rate:,.0f} a second, held for up to {_ms(total.held_most_s)} ms"
    if total.held_most_s < FELT_S:
        return None, met
    return total.rate <= rule.bytes_per_s * RATE_SLACK, met


def _slice(total: Total, rule: Rule) -> Told:
    met = f"{total.chunks} pieces of at most {total.biggest} bytes"
    return (total.biggest <= rule.slice_bytes if total.chunks else None), met


def _drop(total: Total, rule: Rule) -> Told:
    return (True if total.resets else None), f"{total.resets} resets, {total.offered} bytes offered"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


TELL: dict[str, Callable[[Total, Rule], Told]] = {
    "cut": _cut,
    "blackhole": _silent,
    "stall": _silent,
    "delay": _delay,
    "bandwidth": _bandwidth,
    "slice": _slice,
    "drop": _drop,
}
