"""Many trials side by side, at most `jobs` at a time, all started from one thread.

Ctrl-C ends them in order and keeps their results.
"""

from __future__ import annotations

import contextlib
import select
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kvsim.trials.trial import Trial, TrialResult
from kvsim.trials.trial_process import UNWRAPPED, RunningTrial, TrialWrapper

# Called for each result as it comes. When it returns true, no more trials are started.
OnResult = Callable[[Trial, TrialResult], bool]


def run_all(
    trials: Iterable[Trial],
    jobs: int,
    on_result: OnResult,
    *,
    out: Path | Callable[[Trial], Path],
    limit_s: float,
    wrapper_of: Callable[[Trial], TrialWrapper] = lambda _: UNWRAPPED,
) -> bool:
    """Make all trials; false when Ctrl-C or `on_result` ended it before every one was made.

    `out` is the folder for run directories, or gives it for each trial. The first Ctrl-C (or
    SIGTERM) asks the running trials to end and reports them as interrupted; the second kills them.
    """
    pool = _Pool(on_result)
    with sigterm_as_interrupt():
        try:
            for trial in trials:
                folder = out(trial) if callable(out) else out
                pool.running.append(RunningTrial(trial, folder, limit_s, wrapper_of(trial)))
                while len(pool.running) >= jobs and not pool.stopped:
                    pool.step()
                if pool.stopped:
                    break
            pool.finish()
            return not pool.stopped
        except KeyboardInterrupt:
            pool.interrupt()
            return False
        finally:
            pool.close()


class _Pool:
    """The running trials. `stopped`: `on_result` returned true."""

    def __init__(self, on_result: OnResult) -> None:
        self.on_result = on_result
        self.running: list[RunningTrial] = []
        self.stopped = False

    def step(self) -> None:
        """Sleep until a trial has ended or is due; report all that have ended."""
        poller = select.poll()
        for running in self.running:
            poller.register(running, select.POLLIN)
        poller.poll(1000 * min(running.due_in_s() for running in self.running) + 1)
        for running in list(self.running):
            result = running.poll()
            if result is not None:
                self.running.remove(running)
                self.stopped = self.on_result(running.trial, result) or self.stopped

    def finish(self) -> None:
        while self.running:
            self.step()

    def interrupt(self) -> None:
        for running in self.running:
            running.interrupt()
        try:
            self.finish()
        except KeyboardInterrupt:
            for running in self.running:
                running.kill()
            self.finish()

    def close(self) -> None:
        for running in self.running:
            running.close()


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt inside, so that a cancelled CI job gets its summary, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
