"""How much of its time limit everything in a run used, the closest first.

A near miss is shown before it becomes a failure. Only what ended within its limit is counted: what
did not has its own verdict. Requests count when they were answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import RunRecord

# A near miss uses at least this share of its limit.
NEAR = 0.8
SHOWN = 3


class TimeoutUsage(Struct, frozen=True):
    """`what` of `of` (a node, a step, a load) used `used_s` of the `allowed_s` of its limit.

    `during_fault`: a fault lasted meanwhile, so a long wait was intended.
    """

    what: str
    of: str
    used_s: float
    allowed_s: float
    during_fault: bool = False

    @property
    def share(self) -> float:
        """The part of the limit that was used; 1 is all of it."""
        return self.used_s / self.allowed_s if self.allowed_s else 0.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "share": round(self.share, 3)}


def timeout_usages(record: RunRecord) -> tuple[TimeoutUsage, ...]:
    """The closest for each thing that had a limit, and the closest of all first."""
    closest: dict[tuple[str, str, bool], TimeoutUsage] = {}
    for usage in (*_journaled(record), *_requests(record)):
        key = (usage.what, usage.of, usage.during_fault)
        if key not in closest or usage.share > closest[key].share:
            closest[key] = usage
    return tuple(sorted(closest.values(), key=lambda usage: (-usage.share, usage.what, usage.of)))


def _journaled(record: RunRecord) -> Iterator[TimeoutUsage]:
    for event in record.of_kind("limit"):
        # The journal does not state when the closest request of a load was made.
        during_fault = event["what"] == "request" and bool(record.faults)
        yield TimeoutUsage(
            event["what"], event["of"], event["used_s"], event["allowed_s"], during_fault
        )


def _requests(record: RunRecord) -> Iterator[TimeoutUsage]:
    for operation in record.operations:
        if operation.allowed_s and operation.outcome.kind is not OutcomeKind.UNKNOWN:
            used_s = round(operation.completed_s - operation.invoked_s, 4)
            during_fault = record.touched(operation)
            yield TimeoutUsage("request", operation.node, used_s, operation.allowed_s, during_fault)


def time_limits_json(record: RunRecord) -> dict[str, Any] | None:
    """How limits were adapted in the run, and how much of each was used; None for a run whose
    meta.json does not state its limits."""
    limits = record.meta.get("time_limits")
    if not limits:
        return None
    return {**limits, "used": [usage.to_json() for usage in timeout_usages(record)]}


def time_limit_lines(limits: Mapping[str, Any] | None) -> Iterator[str]:
    """The same as text: how limits were adapted, the closest of each kind, and every near miss
    while no fault lasted."""
    if not limits:
        return
    usages = [usage for usage in limits["used"] if not usage["during_fault"]]
    yield f"time limits: {_adapted(limits)}; {_closest(usages)}"
    for usage in usages:
        if usage["share"] >= NEAR:
            yield f"NEAR MISS: {_describe(usage)} ({100 * usage['share']:.0f} %)"


def _adapted(limits: Mapping[str, Any]) -> str:
    if limits["measured"]:
        slow = "" if limits["default_factor"] == 1.0 else ": this machine is slow at present"
        return f"{limits['how']}, kvsim's own x{limits['default_factor']:g}{slow}"
    return str(limits["how"] if limits["default_factor"] == 1.0 else f"all {limits['how']}")


def _closest(usages: Iterable[Mapping[str, Any]]) -> str:
    kinds: dict[str, Mapping[str, Any]] = {}
    for usage in usages:
        kinds.setdefault(usage["what"], usage)
    shown = [_describe(usage) for usage in list(kinds.values())[:SHOWN]]
    return f"closest: {', '.join(shown)}" if shown else "none was used"


def _describe(usage: Mapping[str, Any]) -> str:
    used = f"{usage['used_s']:.3g} of {usage['allowed_s']:g} s"
    return f"{usage['what']} of {usage['of']} {used}"
