"""Many trials side by side, so many at a time, all started from one thread. Ctrl-C ends them in order and keeps what there is."""

from __future__ import annotations

import contextlib
import select
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kvsim.trials.running import PLAIN, Around, Running
from kvsim.trials.trial import Result, Trial

Report = Callable[[Trial, Result], bool]  # called for each result as it comes; true: start no more


def run_all(
    trials: Iterable[Trial],
    jobs: int,
    report: Report,
    *,
    out: Path | Callable[[Trial], Path],
    limit_s: float,
    around: Callable[[Trial], Around] = lambda _: PLAIN,
) -> bool:
    """Make all trials, `jobs` at a time; true when every one was made, false when Ctrl-C or `report` ended it early.

    The first Ctrl-C (or SIGTERM) asks the running ones to end and reports them as interrupted; the second kills them.
    """
    place = out if callable(out) else lambda _: out
    pool = _Pool(deque(), report)
    waiting = iter(trials)
    with _terminate_is_interrupt():
        try:
            for trial in waiting:
                pool.running.append(Running(trial, place(trial), limit_s, around(trial)))
                while len(pool.running) >= jobs and not pool.full:
                    pool.step()
                if pool.full:
                    break
            pool.finish()
            return not pool.full
        except KeyboardInterrupt:
            pool.interrupt()
            return False
        finally:
            pool.close()


class _Pool:
    """The running ones. `full`: the one who gets the reports wants no more."""

    def __init__(self, running: deque[Running], report: Report) -> None:
        self.running, self.report, self.full = running, report, False

    def step(self) -> None:
        """Sleep until one has ended or is due; report all that have."""
        poller = select.poll()
        for one in self.running:
            poller.register(one.handle, select.POLLIN)
        poller.poll(1000 * min(one.due_in_s() for one in self.running) + 1)
        for one in list(self.running):
            result = one.poll()
            if result is not None:
                self.running.remove(one)
                self.full = bool(self.report(one.trial, result)) or self.full

    def finish(self) -> None:
        while self.running:
            self.step()

    def interrupt(self) -> None:
        for one in self.running:
            one.interrupt()
        try:
            self.finish()
        except KeyboardInterrupt:
            for one in self.running:
                one.kill()
            self.finish()

    def close(self) -> None:
        for one in self.running:
            one.close()


@contextlib.contextmanager
def _terminate_is_interrupt() -> Iterator[None]:
    """A CI job that is cancelled gets its summary, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
