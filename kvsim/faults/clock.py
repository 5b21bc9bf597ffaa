"""Clock: the wall clock that nodes see is moved, or runs fast or slow.

The nodes' monotonic clock and the clocks of all other processes stay true. Evidence: how often the
node read the clock, and the last time it was given beside the true time. Recovery makes the clock
true at once, as a jump.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from kvsim.config.cluster import Cluster
from kvsim.config.fault_schema import StormDraw
from kvsim.config.schema import Factor, Field, Shift
from kvsim.config.target import Target
from kvsim.faults.fault import Evidence, Fault, FaultFailed, Recovery
from kvsim.faults.node_handle import NodeHandle, names_of
from kvsim.faults.preload.control import PreloadControl
from kvsim.faults.preload.shared_memory import CLOCK_BIT, CLOCK_COUNTERS
from kvsim.faults.registry import AT, BuildContext, FaultDeclaration

NS = 1_000_000_000


class Clock(Struct, frozen=True):
    """`by_s` ahead, behind when negative; `rate` seconds pass on it in one second.

    `unreachable`: node -> why the library cannot move its clock; None when it can.
    """

    handles: tuple[NodeHandle, ...]
    by_s: float
    rate: float
    preload: PreloadControl
    kind: str = "clock"
    unreachable: dict[str, str | None] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[str, ...]:
        return names_of(self.handles)

    def plan(self) -> Mapping[str, Any]:
        return {"by_s": self.by_s, "rate": self.rate}

    def begin(self) -> Sequence[Evidence]:
        rule = {
            "clock_offset_ns": round(self.by_s * NS),
            "clock_anchor_ns": time.time_ns(),
            "clock_extra_ppb": round((self.rate - 1) * NS),
        }
        for handle in self.handles:
            page = self.preload.pages[handle.name]
            if page.is_on(CLOCK_BIT):
                raise FaultFailed(
                    f"the clock of {handle.name} is moved already, by a fault around this fault"
                )
            reason = self.preload.why_unreachable(handle.tree(), handle.data_dir)
            self.unreachable[handle.name] = reason
            if reason is None:
                page.begin(CLOCK_BIT, rule, CLOCK_COUNTERS)
        return ()

    def measure(self) -> Sequence[Evidence]:
        return [self._evidence(name) for name in self.nodes if name in self.unreachable]

    def recover(self) -> Sequence[Recovery]:
        return [self._recovery(name) for name in self.nodes if name in self.unreachable]

    def _evidence(self, name: str) -> Evidence:
        reason = self.unreachable[name]
        if reason is not None:
            return Evidence(name, False, f"{name}: its clock cannot be moved: {reason}")
        page = self.preload.pages[name]
        counts: dict[str, float] = {counter: page[counter] for counter in CLOCK_COUNTERS}
        if not counts["clock_reads"]:
            return Evidence(name, None, f"{name}: it never read the clock", counts)
        ahead_s = (counts["clock_reported_ns"] - counts["clock_real_ns"]) / NS
        message = (
            f"{name}: read the clock {counts['clock_reads']} times; "
            f"the last time it was {describe_shift(ahead_s)}"
        )
        return Evidence(name, ahead_s != 0, message, {**counts, "ahead_s": ahead_s})

    def _recovery(self, name: str) -> Recovery:
        page = self.preload.pages[name]
        if self.unreachable[name] is None:
            page.switch(off=CLOCK_BIT)
        return Recovery(name, not page.is_on(CLOCK_BIT), f"{name}: its clock is this machine's")


def describe_shift(ahead_s: float) -> str:
    """For example `30.000 s ahead`."""
    return f"{abs(ahead_s):.3f} s {'ahead' if ahead_s >= 0 else 'behind'}"


# --- the kind ---------------------------------------------------------------------------------


class ClockSettings(Struct, frozen=True):
    at: Target
    by: float
    rate: float


def _build(context: BuildContext, settings: ClockSettings) -> Fault:
    return Clock(context.handles(settings.at), settings.by, settings.rate, context.preload)


def _problems(settings: ClockSettings, cluster: Cluster) -> Iterator[str]:
    if settings.by == 0 and settings.rate == 1:
        yield "clock: by 0s and at rate 1 it is this machine's clock"


def _draw(draw: StormDraw, rng: random.Random) -> dict[str, Any]:
    """10 ms to a quarter of an hour, ahead or behind."""
    by_ms = round(10 ** rng.uniform(1, 6)) * rng.choice([-1, 1])
    rate = rng.choice([0.5, 1, 1, 2])
    return {"clock": {"at": draw.target, "by": f"{by_ms:+d}ms", "rate": rate}}


CLOCK = FaultDeclaration(
    name="clock",
    order=60,
    description="move the wall clock of the nodes, or make it run fast or slow; "
    "their monotonic clock stays true",
    settings=ClockSettings,
    fields={
        "at": AT,
        "by": Field(Shift(), "how far ahead (+) or behind (-)", required=True),
        "rate": Field(
            Factor(0.1, 10, "how many seconds pass on it in one"),
            "how fast it runs",
            default=1.0,
            default_text="1",
        ),
    },
    bare="",
    build=_build,
    evidence="how often the node read the clock, and how wrong it was the last time",
    recovery="the clock is the machine's again",
    draw=_draw,
    preloads=True,
    by_traffic=True,
    exclusive="clock",
    problems=_problems,
)
