"""A load process, from kvsim's side: start it, follow its progress, stop it, take its counts.

Never sends a request to a node itself.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import queue
import struct
import threading
from collections.abc import Callable
from typing import Any

from kvsim.errors import LoadBroken, RunInvalid
from kvsim.process.worker import NO_LINE, WorkerProcess, WorkerUnavailable, close_on_error
from kvsim.timeouts import PLAIN, DefaultTimeout, Timeouts
from kvsim.waiting import Deadline, TimedOut, wait_until
from kvsim.workload.plan import LoadPlan

START_TIMEOUT_S = DefaultTimeout(15.0)
STOP_TIMEOUT_S = DefaultTimeout(60.0)
# A load writes a line twice a second. The end of its process is noticed at once.
LINE_TIMEOUT_S = 3600.0
READER_END_TIMEOUT_S = 2.0

# Called with the number of operations so far.
OnProgress = Callable[[int], None]


class LoadProcess:
    """One load that runs beside the scenario. The caller must close it."""

    def __init__(
        self,
        plan: LoadPlan,
        on_progress: OnProgress = lambda count: None,
        timeouts: Timeouts = PLAIN,
    ) -> None:
        """Start it and wait until it has started. Raises RunInvalid when it does not start.

        `on_progress` is called in another thread.
        """
        self.plan = plan
        self._timeouts = timeouts
        self._on_progress = on_progress
        self._made = 0
        self._result: queue.Queue[dict[str, Any] | WorkerUnavailable] = queue.Queue()
        self._process = WorkerProcess("kvsim.workload")
        self._reader = threading.Thread(target=self._read, name=f"load {plan.name}", daemon=True)
        data = pickle.dumps(plan)
        with close_on_error(self):
            self._process.send(struct.pack(">Q", len(data)) + data)
            try:
                self._process.read_line(timeouts.of(START_TIMEOUT_S))
            except WorkerUnavailable as error:
                raise RunInvalid(f"load {plan.name} did not start: {error}") from error
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_made(self, count: int, deadline: Deadline) -> None:
        """Wait until it has made so many operations, has ended, or the deadline has passed."""

        def has_made() -> bool:
            return self._made >= count or not self._reader.is_alive()

        with contextlib.suppress(TimedOut):
            wait_until(has_made, deadline, f"{count} operations of load {self.plan.name}")

    def stop(self) -> dict[str, Any]:
        """Let it complete the requests under way and save; returns what `drive` returned.

        Raises RunInvalid when it broke.
        """
        self._process.close_stdin()
        return self.wait(self._timeouts.of(STOP_TIMEOUT_S))

    def wait(self, timeout_s: float) -> dict[str, Any]:
        """Wait for a load that ends by itself (`stop_after`). Returns and raises as `stop`."""
        try:
            result = self._result.get(timeout=timeout_s)
        except queue.Empty:
            result = WorkerUnavailable(False, NO_LINE)
        if isinstance(result, WorkerUnavailable):
            raise LoadBroken(f"load {self.plan.name} did not finish: {result}") from result
        self.close()
        return result

    def close(self) -> None:
        """End it. Safe to repeat."""
        self._process.close_stdin()
        if self._reader.is_alive():
            self._reader.join(READER_END_TIMEOUT_S)
        self._process.close()

    def _read(self) -> None:
        """Read its lines; the last one holds its counts."""
        while True:
            try:
                line: dict[str, Any] = json.loads(self._process.read_line(LINE_TIMEOUT_S))
            except WorkerUnavailable as error:
                self._result.put(error)
                return
            # The process was closed in the other thread.
            except (OSError, ValueError):
                self._result.put(WorkerUnavailable(True, "its process was ended"))
                return
            if "made" not in line:
                self._result.put(line)
                return
            self._made = line["made"]
            self._on_progress(self._made)
