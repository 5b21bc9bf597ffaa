"""Were processes kept from running? By the kernel's word: how long their threads waited for a CPU.

A thread that sleeps waits for no CPU. Linux only; says so where the kernel does not count.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from kvsim.process import procfs
from kvsim.waiting import Deadline, TimedOut, wait_until

# Of the time, a thread may wait this share for a CPU and still counts as running freely.
SHARE_MAX = 0.2
RUNNABLE, DISK_WAIT, STOPPED = "R", "D", "Tt"
# Of the process that reads the times, whose thread is always runnable: it runs.
RUNNING = ""
WAITING = frozenset({RUNNABLE, DISK_WAIT})
# How long a wait that goes on may take to end.
SETTLE_S = 0.5


class ThreadTime(NamedTuple):
    """One thread: nanoseconds on a CPU, nanoseconds waiting for one, and its state."""

    ran_ns: int
    waited_ns: int
    state: str


# Of a thread that has ended.
RAN = ThreadTime(-1, -1, RUNNING)


class RunDelays(Struct, frozen=True):
    """The threads of some processes at one moment, by process and thread."""

    at_ns: int
    threads: Mapping[tuple[int, int], ThreadTime]

    @classmethod
    def of(cls, pids: Iterable[int]) -> RunDelays:
        threads = {
            (pid, thread): ThreadTime(ran, waited, RUNNING if pid == os.getpid() else state)
            for pid in pids
            for thread, (ran, waited, state) in procfs.thread_times(pid).items()
        }
        return cls(time.monotonic_ns(), threads)

    @classmethod
    def settled(cls, pids: Sequence[int]) -> RunDelays:
        """As `of`, with the waits of that moment counted to their end.

        The kernel counts a wait when it is over. A thread that has just been woken (the end of a
        connection wakes it) waits, too, and says nothing of the time before. A wait that lasts
        longer than SETTLE_S is left as it was.
        """
        first = cls.of(pids)
        found = [first]

        def is_counted() -> bool:
            found.append(cls.of(pids))
            return not first.still_waiting(found[-1])

        if first.still_waiting(first):
            with contextlib.suppress(TimedOut):
                wait_until(is_counted, Deadline.after(SETTLE_S), "threads to get a CPU")
        last, waiting = found[-1].threads, first.still_waiting(found[-1])
        threads = {
            key: thread
            if key in waiting or thread.state not in WAITING
            else last.get(key, thread)._replace(state=RUNNING)
            for key, thread in first.threads.items()
        }
        return cls(first.at_ns, threads)

    def still_waiting(self, later: RunDelays) -> set[tuple[int, int]]:
        """The threads that waited for a CPU or a disk, and have not run until `later`."""
        return {
            key
            for key, thread in self.threads.items()
            if thread.state in WAITING and later.threads.get(key, RAN)[:2] == thread[:2]
        }


def kept_from_running(before: RunDelays, after: RunDelays) -> str:
    """What kept the processes from running between two moments; empty when nothing did. Pure."""
    if not any(thread.ran_ns for thread in after.threads.values()):
        return "the kernel does not count how long it waited for a CPU"
    elapsed_ns = max(1, after.at_ns - before.at_ns)
    for key, now in after.threads.items():
        earlier = before.threads.get(key, ThreadTime(0, 0, RUNNABLE))
        ran_ns, waited_ns = now.ran_ns - earlier.ran_ns, now.waited_ns - earlier.waited_ns
        if now.state and now.state in STOPPED:
            return "it was stopped by a signal"
        if now.state == DISK_WAIT:
            return "it waited for a disk"
        # The kernel adds a wait that is still going on when it is over.
        if now.state == RUNNABLE:
            waited_ns = max(waited_ns, elapsed_ns - ran_ns)
        if waited_ns > SHARE_MAX * elapsed_ns:
            return f"it waited {waited_ns / 1e9:.2g} of {elapsed_ns / 1e9:.2g}s for a CPU"
    return ""
