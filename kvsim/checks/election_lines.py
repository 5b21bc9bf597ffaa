"""The lines of logs that tell of elections: terms, votes, candidates, leaders, removed entries.

Which lines these are, `elections: {logs: …}` of node.yaml says. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from kvsim.history.log_timestamps import log_timestamps
from kvsim.history.run_record import RunRecord
from kvsim.patterns import searcher
from kvsim.text import truncate

LINE_MAX = 160
# Kinds of lines that name the term in which the node is from then on.
ENTERS_TERM = frozenset({"term", "candidate", "leader"})


class ElectionLine(Struct, frozen=True):
    """One line of the log of one incarnation. `number` is that of the line, from 1.

    `written_s`: when kvsim had seen it, in seconds since the run began. `term` and `index` are None
    where the line names none.
    """

    node: str
    incarnation: int
    number: int
    kind: str
    text: str
    written_s: float
    term: int | None = None
    index: int | None = None
    candidate: str = ""

    @property
    def place(self) -> str:
        """Where the line is, below the run directory: `nodes/n1/1.log:12`."""
        return f"nodes/{self.node}/{self.incarnation}.log:{self.number}"

    def __str__(self) -> str:
        return f"`{truncate(self.text.strip(), LINE_MAX)}` ({self.place})"


def election_lines(record: RunRecord) -> Mapping[str, Sequence[ElectionLine]]:
    """Node → its lines, over all incarnations in order. Found once for each record."""
    return record.built(_lines)


def _lines(record: RunRecord) -> Mapping[str, Sequence[ElectionLine]]:
    found: dict[str, list[ElectionLine]] = defaultdict(list)
    for node, incarnation in sorted(record.logs):
        found[node] += _of_log(record, node, incarnation)
    return dict(found)


def _of_log(record: RunRecord, node: str, incarnation: int) -> Iterator[ElectionLine]:
    patterns = (record.nodes[node].get("elections") or {}).get("logs", {})
    searches = [
        (kind, searcher(pattern)) for kind, several in patterns.items() for pattern in several
    ]
    if not searches:
        return
    log = record.logs[node, incarnation]
    times = log_timestamps(record, node, incarnation, len(log.encode("utf-8", "replace")))
    offset = 0
    for number, text in enumerate(log.splitlines(keepends=True), 1):
        offset += len(text.encode("utf-8", "replace"))
        for kind, search in searches:
            if match := search(text):
                named = match.groupdict()
                yield ElectionLine(
                    node,
                    incarnation,
                    number,
                    kind,
                    text,
                    times.written_by_s(offset),
                    _number(named.get("term")),
                    _number(named.get("index")),
                    named.get("candidate") or "",
                )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
