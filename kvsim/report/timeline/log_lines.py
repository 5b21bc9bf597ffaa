"""Log lines of a timeline, each with the time by which kvsim had observed it.

Time stamps inside the lines are not used, because nodes' clocks differ.
"""

from __future__ import annotations

from typing import Any

from kvsim.history.log_timestamps import log_timestamps
from kvsim.history.run_record import RunRecord
from kvsim.logs.follower import HEAD_BYTES, line_ends
from kvsim.run_directory import RunDirectory, read_file
from kvsim.text import encoding_of

# Of one log; the end is kept.
LIMIT_BYTES = 256 << 10
LINE_LIMIT = 2000


def log_lines(run: RunDirectory, record: RunRecord) -> list[dict[str, Any]]:
    """One entry for each start of a node: node, incarnation, file, lines, `observed_s` (a time for
    each line) and how many bytes at the begin were left out."""
    return [_log(run, record, e["node"], e["incarnation"]) for e in record.of_kind("spawn")]


def _log(run: RunDirectory, record: RunRecord, node: str, incarnation: int) -> dict[str, Any]:
    path = run.log(node, incarnation)
    data = read_file(path)
    cut = max(0, len(data) - LIMIT_BYTES)
    begin = data.find(b"\n", cut) + 1 if cut else 0
    lines, ends = _split(data, begin)
    times = log_timestamps(record, node, incarnation, len(data))
    return {
        "node": node,
        "incarnation": incarnation,
        "file": str(path.relative_to(run.path)),
        "left_out_bytes": begin,
        "lines": lines,
        "observed_s": [times.written_by_s(end) for end in ends],
    }


def _split(data: bytes, begin: int) -> tuple[list[str], list[int]]:
    """The lines from byte `begin` on, as text, and the offset at which each ends."""
    encoding = encoding_of(data[:HEAD_BYTES])
    shown = data[begin:]
    spans = line_ends(shown, encoding)
    begins = [0, *(after for _, after in spans)]
    ends = [*(end for end, _ in spans), len(shown)]
    lines = [
        shown[first:end].decode(encoding, "replace").removeprefix("\ufeff")[:LINE_LIMIT]
        for first, end in zip(begins, ends, strict=True)
    ]
    offsets = [begin + after for after in (*begins[1:], len(shown))]
    # After the last line end there is no line.
    return (lines, offsets) if begins[-1] < len(shown) else (lines[:-1], offsets[:-1])
