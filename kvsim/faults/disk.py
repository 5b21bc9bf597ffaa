"""Disk: what nodes have under their data directories is full, failing or slow.

A library that is loaded into the node breaks its calls and counts them; these counts are the
evidence. A program that no library reaches can have a full disk only (`file_size_limit`). A node
may end because of a full or failing disk: it must not continue as if it had stored its data.
Recovery repairs the disk and starts the nodes that have ended.
"""

from __future__ import annotations

import errno
import os
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from kvsim.config.fault_schema import StormDraw
from kvsim.config.schema import Choice, Duration, Field, Int, ListOf
from kvsim.config.target import Target
from kvsim.faults.fault import Evidence, Fault, FaultFailed, Recovery
from kvsim.faults.file_size_limit import FileSizeLimit
from kvsim.faults.node_handle import NodeHandle, names_of, start_again
from kvsim.faults.preload.control import PreloadControl
from kvsim.faults.preload.shared_memory import COUNTERS, DISK_BIT, WATCH_BIT, SharedPage
from kvsim.faults.registry import AT, BuildContext, FaultDeclaration
from kvsim.process.usage import file_sizes
from kvsim.text import plural
from kvsim.timeouts import DefaultTimeout
from kvsim.waiting import Deadline, TimedOut, wait_until

# As in preload/library/control.h.
HOW_CODES = {"full": 1, "failing": 2, "slow": 3}
CALL_BITS = {"write": 1, "sync": 2}
CERTAIN = 1 << 32

HOW = {
    "full": "nothing new fits: what would make a file longer fails with ENOSPC",
    "failing": "calls fail with EIO",
    "slow": "each sync takes longer",
}
CALLS = {"write": "what writes, or allocates space", "sync": "fsync, fdatasync and similar calls"}
DEFAULT_DELAY_S = 0.05
SEED_MASK = (1 << 64) - 1


class DiskRule(Struct, frozen=True):
    """`how`: a key of HOW. A failing disk fails `percent` of `calls`, drawn from `seed`.

    `delay_s`: how much longer each sync of a slow disk takes.
    """

    how: str
    calls: tuple[str, ...] = tuple(CALLS)
    percent: int = 100
    delay_s: float = 0.0
    seed: int = 0

    @property
    def error(self) -> int:
        """The errno of calls that fail."""
        return errno.ENOSPC if self.how == "full" else errno.EIO

    @property
    def may_end_nodes(self) -> bool:
        """A node may stop when it cannot store data; it may not when it only has to wait."""
        return self.how != "slow"

    @property
    def refuses_writes(self) -> bool:
        return self.how == "full" or (self.how == "failing" and "write" in self.calls)

    def settings(self) -> Mapping[str, Any]:
        """The settings that matter for this `how`, for the journal."""
        if self.how == "failing":
            return {"how": self.how, "calls": list(self.calls), "percent": self.percent}
        return {"how": self.how, "by_s": self.delay_s} if self.how == "slow" else {"how": self.how}

    def page_fields(self) -> dict[str, int]:
        """The rule as the library reads it from the shared page."""
        return {
            "how": HOW_CODES[self.how],
            "calls": sum(CALL_BITS[call] for call in self.calls),
            "chance": CERTAIN * self.percent // 100,
            "error": self.error,
            "delay_ns": round(self.delay_s * 1e9),
            "seed": self.seed & SEED_MASK,
        }


# --- evidence of counters ---------------------------------------------------------------------

# Of the time that a sync is held.
DELAY_TOLERANCE = 0.99

Counts = Mapping[str, int]

# Whether it took effect, and a sentence.
Effect = tuple[bool | None, str]


def disk_effect(rule: DiskRule, counts: Counts) -> Effect:
    """Whether a fault with this rule took effect, by the library's counters."""
    return EFFECTS[rule.how](rule, counts)


def _full(rule: DiskRule, counts: Counts) -> Effect:
    offered, refused = counts["writes_offered"], counts["writes_refused"]
    writes = plural(offered, "write")
    if refused:
        return True, f"{refused} of {writes} refused: {errno_text(counts['last_error'])}"
    return None, f"{writes}, none of which needed new space" if offered else "no writes"


def _failing(rule: DiskRule, counts: Counts) -> Effect:
    offered = {"write": counts["writes_offered"], "sync": counts["syncs_offered"]}
    refused = {"write": counts["writes_refused"], "sync": counts["syncs_refused"]}
    calls = {call: plural(offered[call], call) for call in rule.calls}
    if any(refused.values()):
        failed = " and ".join(f"{refused[call]} of {calls[call]}" for call in rule.calls)
        return True, f"{failed} failed: {errno_text(counts['last_error'])}"
    tried = " and ".join(calls.values())
    return None, f"{tried}, none drawn to fail" if any(offered.values()) else tried


def _slow(rule: DiskRule, counts: Counts) -> Effect:
    delayed = counts["syncs_delayed"]
    if not delayed:
        return None, "no syncs"
    mean_s = counts["delayed_ns"] / delayed / 1e9
    held = f"{plural(delayed, 'sync')} held, for {mean_s * 1000:.1f} ms each"
    return mean_s >= rule.delay_s * DELAY_TOLERANCE, held


def errno_text(error: int) -> str:
    """For example `ENOSPC (No space left on device)`."""
    return f"{errno.errorcode.get(error, str(error))} ({os.strerror(error)})"


EFFECTS: dict[str, Callable[[DiskRule, Counts], Effect]] = {
    "full": _full,
    "failing": _failing,
    "slow": _slow,
}


# --- methods to break the disk of one node ----------------------------------------------------


class DiskMethod(Protocol):
    """A method to break a node's disk. `begin` may raise FaultFailed.

    `check_recovered` observes whether `end` has undone it.
    """

    def begin(self) -> None: ...

    def evidence(self) -> Evidence: ...

    def end(self) -> None: ...

    def check_recovered(self) -> tuple[bool, str]: ...


class Unreachable(Struct, frozen=True):
    """No method: no library reaches what the node does. Its evidence states that."""

    handle: NodeHandle
    how: str
    reason: str

    def begin(self) -> None:
        pass

    def evidence(self) -> Evidence:
        name = self.handle.name
        message = (
            f"{name}: it cannot be given a {self.how} disk: {self.reason}; "
            "only `how: full` works from outside"
        )
        return Evidence(name, False, message, {"by": "nothing"})

    def end(self) -> None:
        pass

    def check_recovered(self) -> tuple[bool, str]:
        return True, "nothing was done to it"


RECOVERED_CALL_WITHIN_S = 0.3


class PreloadedLibrary(Struct, frozen=True):
    """Every process of the node shares the page, also those that start while the rule is on."""

    handle: NodeHandle
    page: SharedPage
    rule: DiskRule
    sizes: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        self.sizes.update(file_sizes(self.handle.data_dir))
        self.page.begin(DISK_BIT, self.rule.page_fields(), COUNTERS)

    def evidence(self) -> Evidence:
        name, counts = self.handle.name, {counter: self.page[counter] for counter in COUNTERS}
        took_effect, message = disk_effect(self.rule, counts)
        past = self._written_past_library(counts)
        if past:
            took_effect, message = False, f"{message}; yet {past} grew: written past the library"
        measured = {"by": "a library loaded into the node", **counts}
        return Evidence(name, took_effect, f"{name}: {message}", measured)

    def _written_past_library(self, counts: Counts) -> str:
        """A file that grew although the library saw no write that it should have refused.

        A raw call, or one inside the C library, does not pass through it.
        """
        if counts["writes_offered"] or not self.rule.refuses_writes:
            return ""
        now = file_sizes(self.handle.data_dir)
        grown = [path for path, size in now.items() if size > self.sizes.get(path, 0)]
        return os.path.relpath(min(grown), self.handle.data_dir) if grown else ""

    def end(self) -> None:
        self.page["succeeded"] = 0
        self.page.switch(on=WATCH_BIT, off=DISK_BIT)

    def check_recovered(self) -> tuple[bool, str]:
        """Whether calls succeed again, by the next call, if one is made soon."""
        refused = self._refused()
        try:
            wait_until(
                lambda: self.page["succeeded"] > 0,
                Deadline.after(RECOVERED_CALL_WITHIN_S),
                "a write or a sync",
            )
            observed = "and a write or a sync has succeeded since"
        except TimedOut:
            observed = "and there were no writes since"
        self.page.switch(off=WATCH_BIT)
        if self._refused() > refused:
            return False, "its disk still refuses writes"
        return True, f"its disk accepts writes again, {observed}"

    def _refused(self) -> int:
        return self.page["writes_refused"] + self.page["syncs_refused"]


# --- the fault --------------------------------------------------------------------------------

PING_TIMEOUT_S = 1.0
SETTLE_WITHIN_S = DefaultTimeout(10.0)


class Disk(Struct, frozen=True):
    """`methods`: those that have begun, by node."""

    handles: tuple[NodeHandle, ...]
    rule: DiskRule
    preload: PreloadControl
    kind: str = "disk"
    methods: dict[str, DiskMethod] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[str, ...]:
        return names_of(self.handles)

    def plan(self) -> Mapping[str, Any]:
        return self.rule.settings()

    def begin(self) -> Sequence[Evidence]:
        for handle in self.handles:
            if self.preload.pages[handle.name].is_on(DISK_BIT):
                raise FaultFailed(
                    f"the disk of {handle.name} is broken already, by a fault around this fault"
                )
            method = self._method(handle)
            self.methods[handle.name] = method
            method.begin()
            if self.rule.may_end_nodes:
                handle.tolerate_end(f"its disk was {self.rule.how}")
        return ()

    def measure(self) -> Sequence[Evidence]:
        return [self._evidence(handle) for handle in self._begun()]

    def recover(self) -> Sequence[Recovery]:
        for handle in self._begun():
            self.methods[handle.name].end()
        return [self._recovery(handle) for handle in self._begun()]

    def _begun(self) -> list[NodeHandle]:
        return [handle for handle in self.handles if handle.name in self.methods]

    def _method(self, handle: NodeHandle) -> DiskMethod:
        reason = self.preload.why_unreachable(handle.tree(), handle.data_dir)
        if reason is None:
            return PreloadedLibrary(handle, self.preload.pages[handle.name], self.rule)
        if self.rule.how == "full":
            return FileSizeLimit(handle)
        return Unreachable(handle, self.rule.how, reason)

    def _evidence(self, handle: NodeHandle) -> Evidence:
        evidence, ended = self.methods[handle.name].evidence(), handle.ended()
        if ended is None or ended in evidence.message:
            return evidence
        return Evidence(
            evidence.subject,
            evidence.took_effect,
            f"{evidence.message}; it {ended}",
            {**evidence.measured, "ended": ended},
        )

    def _recovery(self, handle: NodeHandle) -> Recovery:
        """A node that ended because of the disk is started again; a node that runs must answer."""
        name, failure = handle.name, _wait_until_settled(handle)
        ended_by_itself = handle.tolerate_end("")
        if handle.ended() is None and failure is not None:
            return Recovery(name, False, f"{name}: its disk works again, and {failure}")
        started = start_again(handle) if ended_by_itself else Recovery(name, True, name)
        whole, message = self.methods[name].check_recovered()
        return Recovery(name, started.recovered and whole, f"{started.message}: {message}")


def _wait_until_settled(handle: NodeHandle) -> str | None:
    """Wait until the node answers a ping or has ended: None, or what was observed instead."""
    failure: str | None = None

    def settled() -> bool:
        nonlocal failure
        failure = handle.ping(PING_TIMEOUT_S) if handle.ended() is None else None
        return failure is None

    within_s = handle.limits.of(SETTLE_WITHIN_S)
    try:
        wait_until(settled, Deadline.after(within_s), f"{handle.name} to answer or to end")
    except TimedOut:
        return f"a ping was not answered within {within_s:g}s ({failure})"
    return None


# --- the kind ---------------------------------------------------------------------------------


class DiskSettings(Struct, frozen=True):
    at: Target
    how: str
    calls: tuple[str, ...] | None
    percent: int | None
    by: float | None


def _build(context: BuildContext, settings: DiskSettings) -> Fault:
    handles = context.handles(settings.at)
    rule = DiskRule(
        settings.how,
        tuple(call for call in CALLS if call in (settings.calls or CALLS)),
        settings.percent or 100,
        DEFAULT_DELAY_S if settings.by is None else settings.by,
        zlib.crc32(f"{context.seed}:disk".encode()),
    )
    return Disk(handles, rule, context.preload)


def _draw(draw: StormDraw, rng: random.Random) -> dict[str, Any]:
    how = rng.choice(["full", "failing", "slow"])
    settings: dict[str, Any] = {"at": draw.target, "how": how}
    if how == "failing":
        settings["calls"] = rng.choice([["write"], ["sync"], ["write", "sync"]])
        settings["percent"] = rng.choice([10, 50, 100])
    elif how == "slow":
        settings["by"] = f"{max(1, round(rng.uniform(0.005, 0.1) * 1000))}ms"
    return {"disk": settings}


DISK = FaultDeclaration(
    name="disk",
    order=50,
    description="break what the nodes have under their data directories",
    settings=DiskSettings,
    fields={
        "at": AT,
        "how": Field(Choice(HOW), "what is wrong with it", default="full", default_text="full"),
        "calls": Field(
            ListOf(Choice(CALLS), length_min=1, single=True),
            "of a failing disk: which calls",
            default_text="[write, sync]",
        ),
        "percent": Field(
            Int(1, 100, "a probability in percent"),
            "of a failing disk: how many of these calls fail, drawn from the seed",
            default_text="100",
        ),
        "by": Field(
            Duration(), "of a slow disk: how much longer a sync takes", default_text="50ms"
        ),
    },
    only_with={
        "calls": ("how", ("failing",)),
        "percent": ("how", ("failing",)),
        "by": ("how", ("slow",)),
    },
    build=_build,
    evidence="the calls that were refused or held, counted in the node",
    recovery="the node is ready and answers, and its next write succeeds",
    draw=_draw,
    preloads=True,
    by_traffic=True,
    exclusive="disk",
    ends_nodes="may",
    may_refuse=True,
)
