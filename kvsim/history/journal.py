"""The journal of a run: one JSON object a line, written as the run goes, on one monotonic clock.

Bytes from a socket are kept as text in which each character is one byte (latin-1), so that nothing is lost and ASCII stays
readable. A crash leaves at most one torn last line, which reading leaves out. Knows nothing of what the events mean.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvsim.errors import RunInvalid, UsageError


def to_text(data: bytes) -> str:
    """Bytes as a string of one character a byte."""
    return data.decode("latin-1")


def to_bytes(text: str) -> bytes:
    """The inverse of `to_text`."""
    return text.encode("latin-1")


Listen = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Event:
    """Something that happened: seconds since the run began, what kind of thing, and its fields."""

    at_s: float
    kind: str
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.fields.get(name, default)


class Journal:
    """Append events to a file. `epoch_ns` is the monotonic time that the journal calls zero."""

    def __init__(self, path: Path, listen: Listen | None = None) -> None:
        """`listen(kind, fields)` hears of every event once it is written, in the thread that wrote it."""
        self.path = path
        self._listen = listen
        self.epoch_ns = time.monotonic_ns()
        self.broken: RunInvalid | None = None
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def since_s(self, monotonic_ns: int) -> float:
        """A monotonic time in the journal's seconds."""
        return round((monotonic_ns - self.epoch_ns) / 1e9, 6)

    def write(self, kind: str, **fields: Any) -> None:
        """Append one event, stamped now.

        Raises RunInvalid when the disk does not take it; once only, so that whoever tidies up afterwards can go on.
        """
        if self.broken is not None:
            return
        event = {"t": self.since_s(time.monotonic_ns()), "event": kind, **fields}
        data = json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError("the file took only a part of it")
        except OSError as error:
            problem = error.strerror or str(error)
            self.broken = RunInvalid(f"the run could not be recorded in {self.path}: {problem}")
            raise self.broken from error
        if self._listen is not None:
            self._listen(kind, fields)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_events(path: Path) -> list[Event]:
    """All events of a journal. Raises UsageError naming file and line where it is missing or damaged."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot read the journal: {error.strerror}") from error
    whole, torn = lines[:-1], lines[-1]  # a journal that was closed in order ends with a line end
    events = [_parse(path, number, line) for number, line in enumerate(whole, 1)]
    if torn and events and events[-1].kind == "end":
        raise UsageError(f"{path}:{len(lines)}: text after the end of the run; the journal was edited")
    return events


def _parse(path: Path, number: int, line: bytes) -> Event:
    try:
        fields = json.loads(line)
        return Event(float(fields.pop("t")), str(fields.pop("event")), fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}:{number}: not an event of a run; the journal is damaged or was edited"
        ) from error
