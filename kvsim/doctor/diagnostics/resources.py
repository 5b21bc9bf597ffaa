"""Resources: threads, files and memory that grow with every connection or request.

Counts are those of the node's whole process tree, after rounds of equal work. What grows in every
round by about the same is a leak; the slope is given with its interval over the rounds.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

from msgspec import Struct

from kvsim.client.exchange import Request
from kvsim.doctor.program_under_test import ProgramUnderTest, RunningProgram
from kvsim.doctor.registry import Diagnosis, diagnostic, error, ok, skipped, warning
from kvsim.waiting import Deadline, TimedOut, wait_until

ROUNDS = 4
CONNECTIONS = 50
# A client that is a program of its own takes longer.
CONNECTIONS_OF_COMMAND = 10
WRITES = 400
VALUE_BYTES = 1_000
# A round that leaves so much for each connection or write is one that leaks.
LEAK_MIN = 0.5
SETTLE_S = 2.0
KEY = "doctor"


class Slope(Struct, frozen=True):
    """How much a count grew for each unit of work: the mean of all rounds, and their range."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, counts: list[int], work: int) -> Slope:
        """`counts` are those before the first round and after each."""
        slopes = [(after - before) / work for before, after in itertools.pairwise(counts)]
        return cls(sum(slopes) / len(slopes), min(slopes), max(slopes))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f} in {ROUNDS} rounds)"


@diagnostic("Does it give back its threads and files when connections end?", order=172)
def connections_leave_nothing(program: ProgramUnderTest) -> Diagnosis:
    verb = next((verb for verb in ("ping", "get") if program.supports(verb)), None)
    if verb is None:
        return skipped("node.yaml has no `ping` and no `get` in `requests`")
    is_command = program.spec.speak.kind == "command"
    count = CONNECTIONS_OF_COMMAND if is_command else CONNECTIONS
    fields = {"key": KEY} if verb == "get" else {}
    with program.start() as running:

        def connect() -> None:
            for _ in range(count):
                running.ask(verb, fields)

        found = _grow(running, connect, count, ("files", "threads"))
    leaks = [f"{slope} {name}" for name, slope in found.items() if slope.low >= LEAK_MIN]
    if leaks:
        return error(
            f"each connection that came and went left {' and '.join(leaks)}",
            "a connection is not closed, or its thread not ended: some day it has none left",
            "close the socket when the client has closed it, and end or join its thread",
        )
    return ok(f"after {ROUNDS * count} connections it has as many threads and files as before")


@diagnostic("Does its memory stay the same when one key is written again and again?", order=174)
def memory_stays_bounded(program: ProgramUnderTest) -> Diagnosis:
    if not program.supports("put") or program.spec.speak.kind == "command":
        return skipped("needs `put` in `requests`, and a protocol over a connection")
    with program.start() as running, contextlib.closing(running.client()) as client:
        request = Request("put", {"key": KEY, "value": "v" * VALUE_BYTES})

        def write() -> None:
            for _ in range(WRITES):
                client.ask(request, running.timeout_s)

        slope = _grow(running, write, WRITES, ("bytes",))["bytes"]
    if slope.low >= VALUE_BYTES:
        return warning(
            f"each write of one key with {VALUE_BYTES} bytes left {slope} bytes of memory",
            "old values stay in memory, which is full some day",
            "free what was overwritten; a log that is kept needs a snapshot now and then",
        )
    return ok(f"{ROUNDS * WRITES} writes of one key left {max(0.0, slope.mean):.0f} bytes each")


def _grow(
    running: RunningProgram, work: Callable[[], None], units: int, names: tuple[str, ...]
) -> dict[str, Slope]:
    """The slope of each count over equal rounds of work; the first round warms it up."""
    work()
    counts = [_settled(running, names, None)]
    for _ in range(ROUNDS):
        work()
        counts.append(_settled(running, names, counts[-1]))
    return {name: Slope.of([count[name] for count in counts], units) for name in names}


def _settled(
    running: RunningProgram, names: tuple[str, ...], before: dict[str, int] | None
) -> dict[str, int]:
    """The counts once they are those of before again, or after a while."""
    last: dict[str, int] = {}

    def is_settled() -> bool:
        last.update(_count(running, names))
        return before is None or all(last[name] <= before[name] for name in names)

    with contextlib.suppress(TimedOut):
        wait_until(is_settled, Deadline.after(SETTLE_S), "its counts to fall")
    return dict(last)


def _count(running: RunningProgram, names: tuple[str, ...]) -> dict[str, int]:
    """Counts of the node's process tree."""
    # Late: only these diagnostics need it.
    import psutil

    totals = dict.fromkeys(names, 0)
    for identity in running.node.tree():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(identity.pid)
            own = {"files": process.num_fds(), "threads": process.num_threads()}
            own["bytes"] = process.memory_info().rss
            for name in names:
                totals[name] += own[name]
    return totals
