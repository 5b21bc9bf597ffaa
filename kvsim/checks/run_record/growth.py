"""Checks of resources: what nodes use must not grow with every connection, request or read.

Judged by samples of each node while a load worked, without its first part, in which clients
connect and caches fill. Growth counts when it is large and its slope rises with certainty.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from msgspec import Struct

from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.slope import SAMPLES_MIN, LineSlope, slope_of
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding, warning
from kvsim.history.build import CLIENTS_OF_ONE_LOAD, build_history
from kvsim.history.journal import Event
from kvsim.history.operations import KINDS, OK, Operations
from kvsim.history.run_record import RunRecord

# The part of a load that is not judged.
WARM_UP = 0.25
# Less than this is no growth: a thread pool, a block of an allocator.
COUNT_MIN = 60
BYTES_MIN = 8 << 20
# A count that falls by so much of its growth after the load was no leak.
FALLS = 0.2
WRITING = frozenset({"put", "delete", "cas"})


class Growth(Struct, frozen=True):
    """What one number of a node did while a load worked."""

    node: str
    load: str
    step: str
    first: float
    last: float
    slope: LineSlope

    def describe(self, what: str, unit: float = 1.0, digits: int = 0) -> str:
        first, last, mean, low, high = (
            f"{value / unit:,.{digits}f}"
            for value in (self.first, self.last, self.slope.mean, self.slope.low, self.slope.high)
        )
        return (
            f"{what} of {self.node} grew from {first} to {last} while load {self.load} worked: by "
            f"{mean} a second ({low} to {high})"
        )


@run_check(
    "Open files and threads do not grow while the number of clients stays the same",
    subject=Subject.RESOURCES,
    order=260,
)
def files_and_threads_level_off(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every node during every load, where there are enough samples. Growth that falls again
    after the load is none.
    """
    judged, findings = 0, []
    for load, node, samples, after in _windows(record):
        judged += 1
        for field, what in (("files", "the open files"), ("threads", "the threads")):
            growth = _growth(load, node, samples, field)
            if growth is None or growth.last - growth.first < COUNT_MIN:
                continue
            kept = growth.last - FALLS * (growth.last - growth.first)
            if after is not None and after[field] >= kept:
                text = f"{growth.describe(what)}, and they did not fall after it"
                findings.append(Finding(text, growth.step, node))
    return judged, findings


@run_check(
    "Memory levels off under load, and disk space while clients only read",
    subject=Subject.RESOURCES,
    order=270,
)
def memory_and_disk_level_off(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every node during every load, where there are enough samples. Growth is a warning: a
    collector of garbage, a cache or a log in memory may stop it later.
    """
    judged, findings = 0, []
    for load, node, samples, _ in _windows(record):
        judged += 1
        writes = any(load["mix"].get(verb) for verb in WRITING)
        for field, what in (("memory", "the memory"), ("disk", "the data directory")):
            growth = None if writes and field == "disk" else _growth(load, node, samples, field)
            if growth is not None and growth.last - growth.first >= BYTES_MIN:
                text = growth.describe(f"{what} (in MiB)", 1 << 20, 1)
                findings.append(warning(text, step=growth.step, node=node))
    return judged, findings


def _growth(load: Event, node: str, samples: Sequence[Event], field: str) -> Growth | None:
    """None where the slope does not rise for certain."""
    values = [float(event[field]) for event in samples]
    slope = slope_of([event.at_s for event in samples], values)
    if slope is None or not slope.rises:
        return None
    return Growth(node, load["name"], load["id"], values[0], values[-1], slope)


def _windows(record: RunRecord) -> Iterator[tuple[Event, str, list[Event], Event | None]]:
    """Load, node, the samples of one incarnation during the load, and the last one after it."""
    stops = {event["name"]: event.at_s for event in record.of_kind("load_stop")}
    for load in record.of_kind("load_start"):
        if load["name"] not in stops:
            continue
        end_s = stops[load["name"]]
        begin_s = load.at_s + WARM_UP * (end_s - load.at_s)
        for samples in _by_incarnation(record).values():
            during = [event for event in samples if begin_s <= event.at_s <= end_s]
            after = [event for event in samples if event.at_s > end_s]
            if len(during) >= SAMPLES_MIN:
                yield load, during[0]["node"], during, after[-1] if after else None


def _by_incarnation(record: RunRecord) -> dict[tuple[str, int], list[Event]]:
    found: dict[tuple[str, int], list[Event]] = {}
    for event in record.of_kind("usage"):
        found.setdefault((event["node"], event["incarnation"]), []).append(event)
    return found


# A load with fewer keys shows nothing; so many parts of it are compared.
KEYS_MIN, PARTS = 1_000, 12
# So many times longer at the end: anything less may be the machine.
SLOWER = 3.0


@run_check(
    "A write does not take longer because there are more keys",
    subject=Subject.RESOURCES,
    order=280,
)
def writes_keep_their_pace(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every load without a rate that has put a thousand keys or more, if kvsim itself always
    ran: the time for a write over the number of keys. A slope that rises for certain, to three
    times as long, is a warning.
    """
    judged, findings = 0, []
    for number, load in enumerate(record.of_kind("load_start"), 1):
        if record.clock_gaps or load["rate"] or load["key_count"] < KEYS_MIN:
            continue
        history = build_history(record)
        if history is None:
            continue
        keys, took_us = _pace(history.operations, number * CLIENTS_OF_ONE_LOAD)
        slope = slope_of(keys[1:], took_us[1:])
        if slope is None or keys[-1] < KEYS_MIN:
            continue
        judged += 1
        first, last = statistics.fmean(took_us[1:4]), statistics.fmean(took_us[-3:])
        if slope.rises and last >= SLOWER * first:
            mean, low, high = (value * 1000 for value in (slope.mean, slope.low, slope.high))
            text = (
                f"load {load['name']}: a write took {first:,.0f} us with {keys[1]:,.0f} keys, and "
                f"{last:,.0f} us with {keys[-1]:,.0f}: {mean:,.0f} us more for every 1,000 keys "
                f"({low:,.0f} to {high:,.0f})"
            )
            findings.append(warning(text, step=load["id"]))
    return judged, findings


def _pace(operations: Operations, first: int) -> tuple[list[float], list[float]]:
    """The number of keys in each part of a load, and the microseconds from write to write."""
    puts = sorted(
        (operations.return_ns[row], operations.key[row])
        for row, process in enumerate(operations.process)
        if first <= process < first + CLIENTS_OF_ONE_LOAD
        and operations.outcome[row] == OK
        and KINDS[operations.kind[row]] == "put"
    )
    size = len(puts) // PARTS
    if size < PARTS:
        return [], []
    keys, took_us, seen = [], [], set[int]()
    for begin in range(0, PARTS * size, size):
        part = puts[begin : begin + size]
        seen.update(key for _, key in part)
        keys.append(float(len(seen)))
        took_us.append((part[-1][0] - part[0][0]) / 1000 / (size - 1))
    return keys, took_us
