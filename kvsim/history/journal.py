"""The journal of a run: one JSON object per line, written during the run, on one monotonic clock.

Bytes from a socket are stored as text with one character per byte (latin-1), so that no byte is
lost and ASCII stays readable. A crash leaves at most one incomplete last line, which the reader
leaves out. The journal knows nothing of what its events mean.

The lines are a chain: each ends with a digest of itself and of the digest before it, so that a line
that was edited, added, removed or moved later is found.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from kvsim.errors import RunInvalid, UsageError
from kvsim.run_directory import open_file, read_file

# The link of the first line follows from this.
CHAIN_START = "kvsim"
LINK_BYTES = 16
LINK_BEGIN = b',"chain":"'
LINK_END = b'"}'
LINK_SIZE = len(LINK_BEGIN) + 2 * LINK_BYTES + len(LINK_END)
# The last event of a run, `end`, is shorter.
LAST_EVENT_BYTES = 64 * 1024
# No run is longer. Nanoseconds stay within 64 bits.
TIME_MAX_S = 1e9


def to_text(data: bytes) -> str:
    """Bytes as a string of one character per byte."""
    return data.decode("latin-1")


def to_bytes(text: str) -> bytes:
    """The inverse of `to_text`."""
    return text.encode("latin-1")


# Called with the kind and the fields of an event.
OnEvent = Callable[[str, Mapping[str, Any]], None]


class Event(Struct, frozen=True):
    """One event: seconds since the run began, its kind and its fields."""

    at_s: float
    kind: str
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.fields.get(name, default)


class Journal:
    """Appends events to a file. The journal's clock is zero at the monotonic time `epoch_ns`."""

    def __init__(self, path: Path, on_event: OnEvent | None = None) -> None:
        """Create the file. Raises OSError when it exists or cannot be created.

        `on_event(kind, fields)` is called after each event is written, in the thread that wrote it.
        """
        self.path = path
        self._on_event = on_event
        self.epoch_ns = time.monotonic_ns()
        self.broken: RunInvalid | None = None
        # The thread that watches the logs writes, too.
        self._lock = threading.Lock()
        self._link = CHAIN_START
        self._fd = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644
        )

    def since_s(self, monotonic_ns: int) -> float:
        """A monotonic time in seconds since the run began."""
        return round((monotonic_ns - self.epoch_ns) / 1e9, 6)

    def write(self, kind: str, **fields: Any) -> None:
        """Append one event with the current time.

        Raises RunInvalid when it cannot be written. Later calls then do nothing, so that the caller
        can still stop nodes and recover from faults.
        """
        with self._lock:
            if self.broken is not None:
                return
            event = {"t": self.since_s(time.monotonic_ns()), "event": kind, **fields}
            body = json.dumps(event, separators=(",", ":")).encode("ascii")
            self._link = _link(self._link, body)
            self._append(body[:-1] + LINK_BEGIN + self._link.encode("ascii") + LINK_END + b"\n")
        if self._on_event is not None:
            self._on_event(kind, fields)

    def _append(self, data: bytes) -> None:
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError("only a part of the event was written")
        except OSError as error:
            problem = error.strerror or str(error)
            self.broken = RunInvalid(f"the run could not be recorded in {self.path}: {problem}")
            raise self.broken from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _link(before: str, body: bytes) -> str:
    """The link of a line, of the link before it and of its event."""
    return hashlib.blake2b(before.encode("ascii") + body, digest_size=LINK_BYTES).hexdigest()


def read_events(path: Path) -> list[Event]:
    """All events of a journal. Those of a run that was edited are read, too.

    Raises UsageError, with file and line, when the journal is missing or damaged.
    """
    # A journal that was closed in order ends with a line end.
    *complete, incomplete = read_file(path).split(b"\n")
    events = [_parse(path, number, line) for number, line in enumerate(complete, 1)]
    if incomplete and events and events[-1].kind == "end":
        raise UsageError(
            f"{path}:{len(complete) + 1}: text after the end of the run; the journal was edited"
        )
    return events


def ends(path: Path) -> bool:
    """Whether the journal holds the end of its run. Raises UsageError when it cannot be read."""
    with open_file(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_EVENT_BYTES))
        return b'"event":"end"' in file.read().rpartition(b"\n{")[2]


def broken_links(path: Path) -> list[int]:
    """The numbers of the lines that were edited or do not follow from the line before them.

    Raises UsageError when the journal cannot be read.
    """
    *lines, incomplete = read_file(path).split(b"\n")
    broken, before = [], CHAIN_START
    for number, line in enumerate(lines, 1):
        body, link = line[:-LINK_SIZE] + b"}", line[-LINK_SIZE:]
        stated = link[len(LINK_BEGIN) : -len(LINK_END)].decode("latin-1")
        whole = link.startswith(LINK_BEGIN) and link.endswith(LINK_END) and stated.isascii()
        if not (whole and stated == _link(before, body)):
            broken.append(number)
        before = stated if whole else CHAIN_START
    return [*broken, len(lines) + 1] if incomplete else broken


def last_link(path: Path) -> str:
    """The link of the last line: a digest of everything before it. Empty where it has none.

    Raises UsageError when the journal cannot be read.
    """
    lines = read_file(path).rpartition(b"\n")[0]
    link = lines[-LINK_SIZE:]
    if not (link.startswith(LINK_BEGIN) and link.endswith(LINK_END)):
        return ""
    return link[len(LINK_BEGIN) : -len(LINK_END)].decode("latin-1")


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_json(data: bytes) -> Any:
    """The value that a JSON text holds. Raises ValueError; also where it is nested too deep."""
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _parse(path: Path, number: int, line: bytes) -> Event:
    try:
        fields = decode_json(line)
        at_s, kind = fields.pop("t"), fields.pop("event")
        if type(at_s) not in (int, float) or type(kind) is not str or not 0 <= at_s < TIME_MAX_S:
            raise ValueError("time or kind of an event")
        fields.pop("chain", None)
        return Event(float(at_s), kind, fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}:{number}: not an event of a run; the journal is damaged or was edited"
        ) from error
