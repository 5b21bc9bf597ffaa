"""How much of its time limit everything in a run has taken, the closest first: a near miss is to be seen before it is a miss. Pure.

Only what came about in time is here; what did not has a verdict of its own. Requests count when they were answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kvsim.history.outcome import Kind
from kvsim.history.record import Record

NEAR = 0.8  # of the time that is allowed
SHOWN = 3


@dataclass(frozen=True)
class Spent:
    """`what` took `used_s` of `allowed_s`; `of` says whose it was. Of the same thing done again and again, the closest.

    `broken`: a fault lasted meanwhile, so that a long wait is what was wanted.
    """

    what: str
    of: str
    used_s: float
    allowed_s: float
    broken: bool = False

    @property
    def share(self) -> float:
        """1 is all that is allowed."""
        return self.used_s / self.allowed_s if self.allowed_s else 0.0

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "share": round(self.share, 3)}


def spent(record: Record) -> tuple[Spent, ...]:
    """One for each thing that had a limit, the closest first."""
    closest: dict[tuple[str, str, bool], Spent] = {}
    for one in (*_noted(record), *_requests(record)):
        known = closest.get((one.what, one.of, one.broken))
        if known is None or one.share > known.share:
            closest[one.what, one.of, one.broken] = one
    return tuple(sorted(closest.values(), key=lambda one: (-one.share, one.what, one.of)))


def _noted(record: Record) -> Iterator[Spent]:
    for event in record.of_kind("limit"):
        broken = event["what"] == "request" and bool(
            record.faults
        )  # of a load: nobody knows which of its requests it was
        yield Spent(event["what"], event["of"], event["used_s"], event["allowed_s"], broken)


def _requests(record: Record) -> Iterator[Spent]:
    for operation in record.operations:
        if operation.allowed_s and operation.outcome.kind is not Kind.UNKNOWN:
            used_s = round(operation.completed_s - operation.invoked_s, 4)
            broken = record.touched(operation)
            yield Spent("request", operation.node, used_s, operation.allowed_s, broken)


def limits_json(record: Record, used: Iterable[Spent]) -> dict[str, Any] | None:
    """How limits were meant in the run and what was used of each; None for a run that says nothing of them."""
    meant = record.meta.get("time_limits")
    return {**meant, "used": [one.to_json() for one in used]} if meant else None


def limit_lines(limits: Mapping[str, Any] | None) -> Iterator[str]:
    """The same for people: how they were meant, the closest of each kind, and every near miss while nothing was broken."""
    if not limits:
        return
    whole = [one for one in limits["used"] if not one["broken"]]
    yield f"time limits: {_meant(limits)}; {_closest(whole)}"
    for one in whole:
        if one["share"] >= NEAR:
            yield f"NEAR MISS: {_says(one)} ({100 * one['share']:.0f} %)"


def _meant(limits: Mapping[str, Any]) -> str:
    if limits["measured"]:
        slow = "" if limits["own"] == 1.0 else ": this machine is slow just now"
        return f"{limits['how']}, kvsim's own x{limits['own']:g}{slow}"
    return limits["how"] if limits["own"] == 1.0 else f"all {limits['how']}"


def _closest(used: Iterable[Mapping[str, Any]]) -> str:
    kinds: dict[str, Mapping[str, Any]] = {}
    for one in used:
        kinds.setdefault(one["what"], one)
    shown = [_says(one) for one in list(kinds.values())[:SHOWN]]
    return f"closest: {', '.join(shown)}" if shown else "none was used"


def _says(one: Mapping[str, Any]) -> str:
    return f"{one['what']} of {one['of']} {one['used_s']:.3g} of {one['allowed_s']:g} s"
