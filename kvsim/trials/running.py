"""One trial's process: `kvsim run` in a session of its own, output to files, stopped in order when its time is over.

It dies with the *thread* that started it (the kernel's rule), so the caller waits in that thread; with it die its nodes, by their own
watchdog. Wrappers (`prlimit`, `unshare`, …) go in front of the command line.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kvsim.process.wrap import die_with_parent
from kvsim.trials.reading import result_of
from kvsim.trials.trial import Ending, Result, Trial

GRACE_S = 20.0  # for an orderly end: nodes are stopped one grace period after another
OUTPUT_BYTES = 64 << 20


def argv_of(trial: Trial, out: Path) -> list[str]:
    """The command line of a trial whose run directory is made in `out`."""
    run = [sys.executable, "-m", "kvsim", "run", trial.scenario, "--json", "--out", str(out)]
    return [*run, "--seed", str(trial.seed), *trial.arguments]


@dataclass(frozen=True)
class Around:
    """What a trial's process is put into. `env` None: kvsim's own environment. `out`: where the trial sees its `out` folder."""

    wrapper: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    out: Path | None = None


PLAIN = Around()


class Running:
    """A trial under way: `poll` now and then. Its output stands in a folder in `out`, which must be there, until it is over."""

    def __init__(self, trial: Trial, out: Path, limit_s: float, around: Around = PLAIN) -> None:
        self.trial = trial
        self.limit_s = limit_s
        self.overtime = self.interrupted = False
        self.result: Result | None = None
        self._said = Path(tempfile.mkdtemp(prefix=".trial-", dir=out))
        self._started = time.monotonic()
        self._process = self._start([*around.wrapper, *argv_of(trial, around.out or out)], around)
        self._handle = os.pidfd_open(self._process.pid)
        self._next_at: float | None = self._started + limit_s

    def _start(self, argv: list[str], around: Around) -> subprocess.Popen[bytes]:
        with (self._said / "out").open("wb") as out, (self._said / "err").open("wb") as err:
            return subprocess.Popen(
                die_with_parent(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=around.cwd,
                env=os.environ if around.env is None else around.env,
                start_new_session=True,
            )

    @property
    def handle(self) -> int:
        """A file number that is readable once the process has ended."""
        return self._handle

    def due_in_s(self) -> float:
        """Seconds until it must be looked at even if it has not ended."""
        return max(0.0, self._next_at - time.monotonic()) if self._next_at is not None else 3600.0

    def sleep(self) -> None:
        """Until it has ended or is due."""
        poller = select.poll()
        poller.register(self.handle, select.POLLIN)
        poller.poll(1000 * self.due_in_s() + 1)

    def poll(self) -> Result | None:
        """The result, or None while it runs. A trial whose time is over is asked to end, and killed when it does not."""
        if self.result is None and self._process.poll() is not None:
            self.result = self._collect()
        elif self.result is None and self._next_at is not None and time.monotonic() >= self._next_at:
            self._push()
        return self.result

    def interrupt(self) -> None:
        """Ask it to end in order; it is killed when it takes too long."""
        if not (self.interrupted or self.overtime):
            self.interrupted = True
            self._ask()

    def kill(self) -> None:
        """End it now. Its nodes die with it."""
        self.interrupted = True
        self._signal(signal.SIGKILL)
        self._next_at = None

    def close(self) -> None:
        """Make sure that it is over and that nothing of it stays in the temporary folder."""
        if self.result is None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self.result = self._collect()

    def _push(self) -> None:
        if self.overtime or self.interrupted:
            self._signal(signal.SIGKILL)
            self._next_at = None
        else:
            self.overtime = True
            self._ask()

    def _ask(self) -> None:
        self._signal(signal.SIGINT)
        self._next_at = time.monotonic() + GRACE_S

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def _collect(self) -> Result:
        os.close(self._handle)
        took_s = round(time.monotonic() - self._started, 3)
        status = self._process.returncode
        result = result_of(None if status < 0 else status, self._text("out"), self._text("err"), took_s)
        shutil.rmtree(self._said, ignore_errors=True)
        if self.overtime:
            what = f"did not end within {self.limit_s:g} s"
            return replace(
                result, ending=Ending.OVERTIME, what=what, why=what, place=result.place or "the time limit"
            )
        return replace(result, ending=Ending.INTERRUPTED) if self.interrupted else result

    def _text(self, name: str) -> str:
        with (self._said / name).open("rb") as file:
            return file.read(OUTPUT_BYTES).decode("utf-8", "replace")


def make(trial: Trial, out: Path, limit_s: float, around: Around = PLAIN) -> Result:
    """Make one trial and wait for it in this thread."""
    running = Running(trial, out, limit_s, around)
    try:
        while running.poll() is None:
            running.sleep()
        return running.result
    finally:
        running.close()
