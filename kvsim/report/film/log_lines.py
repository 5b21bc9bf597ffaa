"""Log lines of a film, each with the time by which it had been seen. Nodes' own time stamps are not believed: clocks differ.

Pure but for reading the files.
"""

from __future__ import annotations

from typing import Any

from kvsim.errors import UsageError
from kvsim.history.log_times import log_times
from kvsim.history.record import Record
from kvsim.rundir import RunDir

LIMIT_BYTES = 256 << 10  # of one log; the end is kept, the page says what is left out
LINE_LIMIT = 2000


def log_lines(run: RunDir, record: Record) -> list[dict[str, Any]]:
    """One entry a start: node, incarnation, file, lines, `seen_s` (a time a line) and how many bytes were left out."""
    return [_of_start(run, record, e["node"], e["incarnation"]) for e in record.of_kind("spawn")]


def _of_start(run: RunDir, record: Record, node: str, incarnation: int) -> dict[str, Any]:
    path = run.log(node, incarnation)
    data = _read(path)
    cut = max(0, len(data) - LIMIT_BYTES)
    begin = data.find(b"\n", cut) + 1 if cut else 0
    lines, ends = _split(data, begin)
    times = log_times(record, node, incarnation, len(data))
    return {
        "node": node,
        "incarnation": incarnation,
        "file": str(path.relative_to(run.path)),
        "left_out_bytes": begin,
        "lines": lines,
        "seen_s": [times.seen_s(end) for end in ends],
    }


def _read(path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: a log of the run cannot be read: {error.strerror}") from error


def _split(data: bytes, begin: int) -> tuple[list[str], list[int]]:
    """The lines from byte `begin` on, as text, and the offset at which each ends."""
    lines, ends, offset = [], [], begin
    for line in data[begin:].splitlines(keepends=True):
        offset += len(line)
        lines.append(line.decode("utf-8", "replace").rstrip("\r\n")[:LINE_LIMIT])
        ends.append(offset)
    return lines, ends
