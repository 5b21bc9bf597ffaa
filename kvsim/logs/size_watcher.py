"""Watches the sizes of logs: reports each growth, and once when a log is too large.

One thread. Ends no process itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from msgspec import Struct

PERIOD_S = 0.1


class LogGrowth(Struct, frozen=True):
    """A log had `size` bytes at `at_s` on the monotonic clock."""

    at_s: float
    name: str
    path: Path
    size: int


class SizeWatcher:
    """Reads the sizes of registered logs ten times a second, in a daemon thread.

    `on_flood(growth)` is called once for each log that is larger than its limit;
    `on_growth(growth)` whenever a log has grown. Both run in the watcher's thread: there they may
    kill a process, but not start one. What they raise is added to `failures` and does not end the
    watch.
    """

    def __init__(
        self,
        on_flood: Callable[[LogGrowth], object],
        *,
        on_growth: Callable[[LogGrowth], object] | None = None,
        period_s: float = PERIOD_S,
    ) -> None:
        self.period_s = period_s
        self.failures: list[Exception] = []
        self._on_flood, self._on_growth = on_flood, on_growth
        self._sizes: dict[Path, int] = {}
        self._limits: dict[Path, int] = {}
        self._names: dict[Path, str] = {}
        self._flooded: set[Path] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kvsim-log-sizes", daemon=True)

    def add(self, name: str, path: Path, limit_bytes: int) -> None:
        """Watch the log of node `name`, which may not exist yet."""
        with self._lock:
            self._names[path], self._sizes[path] = name, 0
            self._limits[path] = limit_bytes

    def remove(self, path: Path) -> None:
        with self._lock:
            self._names.pop(path, None)
            self._sizes.pop(path, None)

    def start(self) -> SizeWatcher:
        self._thread.start()
        return self

    def close(self) -> None:
        """Read the sizes once more and end the thread. Safe to repeat."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> SizeWatcher:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._stop.wait(self.period_s):
            self.check_sizes()
        self.check_sizes()

    def check_sizes(self) -> None:
        """Read the sizes of all logs now."""
        with self._lock:
            names = dict(self._names)
        for path, name in names.items():
            size = _size(path)
            if size != self._sizes.get(path):
                self._report(LogGrowth(time.monotonic(), name, path, size))

    def _report(self, growth: LogGrowth) -> None:
        with self._lock:
            if growth.path in self._names:
                self._sizes[growth.path] = growth.size
        if self._on_growth:
            self._call(self._on_growth, growth)
        if growth.size > self._limits[growth.path] and growth.path not in self._flooded:
            self._flooded.add(growth.path)
            self._call(self._on_flood, growth)

    def _call(self, listener: Callable[[LogGrowth], object], growth: LogGrowth) -> None:
        try:
            listener(growth)
        except Exception as error:
            self.failures.append(error)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
