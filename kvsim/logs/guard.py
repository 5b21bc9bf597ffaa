"""Watches how logs grow: calls out once when one floods, and notes when what arrived.

One thread; ends nothing itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

PERIOD_S = 0.1


@dataclass(frozen=True)
class Growth:
    """A log had `size` bytes at `at_s` on the monotonic clock."""

    at_s: float
    name: str
    path: Path
    size: int


class LogGuard:
    """Looks at the sizes of registered logs ten times a second, in a daemon thread of its own.

    `on_flood(growth)` is called once for each log that has passed `limit_bytes`; `on_growth(growth)`
    whenever one has grown. Both run in the guard's thread: killing from there is fine, starting a process is
    not. What they raise ends up in `failures` and does not end the watch.
    """

    def __init__(
        self,
        limit_bytes: int,
        on_flood: Callable[[Growth], object],
        *,
        on_growth: Callable[[Growth], object] | None = None,
        period_s: float = PERIOD_S,
    ) -> None:
        self.limit_bytes, self.period_s = limit_bytes, period_s
        self.failures: list[Exception] = []
        self._on_flood, self._on_growth = on_flood, on_growth
        self._sizes: dict[Path, int] = {}
        self._names: dict[Path, str] = {}
        self._flooded: set[Path] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kvsim-log-guard", daemon=True)

    def add(self, name: str, path: Path) -> None:
        """Watch the log of node `name`; it may not exist yet."""
        with self._lock:
            self._names[path], self._sizes[path] = name, 0

    def remove(self, path: Path) -> None:
        with self._lock:
            self._names.pop(path, None)
            self._sizes.pop(path, None)

    def start(self) -> LogGuard:
        self._thread.start()
        return self

    def close(self) -> None:
        """Look a last time and end the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> LogGuard:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._stop.wait(self.period_s):
            self.look()
        self.look()

    def look(self) -> None:
        """One round over all logs."""
        with self._lock:
            names = dict(self._names)
        for path, name in names.items():
            size = _size(path)
            if size != self._sizes.get(path):
                self._grown(Growth(time.monotonic(), name, path, size))

    def _grown(self, growth: Growth) -> None:
        with self._lock:
            if growth.path in self._names:
                self._sizes[growth.path] = growth.size
        if self._on_growth:
            self._call(self._on_growth, growth)
        if growth.size > self.limit_bytes and growth.path not in self._flooded:
            self._flooded.add(growth.path)
            self._call(self._on_flood, growth)

    def _call(self, listener: Callable[[Growth], object], growth: Growth) -> None:
        try:
            listener(growth)
        except Exception as error:
            self.failures.append(error)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
