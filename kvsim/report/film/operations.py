"""The rows and lanes of a film's operations: kvsim's own requests from the journal, the load's clients from its history.

Clients that never overlap share a lane, so there are no more lanes than requests were ever under way at once.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Collection, Iterable

from kvsim.checks.verdict import Finding
from kvsim.history.assembled import FINAL
from kvsim.history.history import History
from kvsim.history.journal import to_text
from kvsim.history.operations import KINDS, NEVER, NOWHERE, OUTCOMES
from kvsim.history.outcome import Kind, Reason
from kvsim.history.record import Operation, Record
from kvsim.report.clients import lanes_of, thinned
from kvsim.report.film.columns import NEVER as NEVER_US
from kvsim.report.film.columns import Strings, new_columns, ordered

LOOKS = frozenset({"role", "readback"})  # what kvsim asks for its own purposes, beside the scenario
TEXT_LIMIT = 4096
LOAD_LIMIT = 250_000  # answered operations of a load; more would make a page that no browser likes
NO_STEP = 0xFFFF
NO_NODE = 0xFFFF


class Rows:
    """Collect operations; `finish` gives the columns. `lanes` and `names` are what the numbers in them stand for.

    `_load_rows` tells where each row of the load's history stands; its last ones are kvsim's own final reads.
    """

    def __init__(self, record: Record, strings: Strings) -> None:
        self.strings = strings
        self.columns = new_columns()
        self.lanes: list[dict[str, object]] = []
        self.names: dict[str, list[str]] = {
            "verb": [],
            "outcome": list(OUTCOMES),
            "reason": ["", *Reason],
            "purpose": [],
        }
        self._nodes = {name: number for number, name in enumerate(record.nodes)}
        self._steps = {event["id"]: number for number, event in enumerate(record.of_kind("step"))}
        self._lanes: dict[str, int] = {}
        self._by_step: dict[tuple[str, str], list[int]] = {}
        self._load_rows: dict[int, int] = {}
        self.thinned, self.load_total = 1, 0
        self._finals: list[int] = []
        for operation in record.operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        row = len(self.columns["start_s"])
        outcome, looks = operation.outcome, operation.purpose in LOOKS
        self._append(
            start_s=operation.invoked_s,
            took_us=_us(operation.completed_s - operation.invoked_s),
            lane=self._lane("kvsim looks" if looks else "scenario", "looks" if looks else "scenario"),
            client=0,
            node=self._nodes.get(operation.node, NO_NODE),
            verb=self._number("verb", operation.verb),
            outcome=self.names["outcome"].index(str(outcome.kind)),
            reason=self.names["reason"].index(str(outcome.reason or "")),
            purpose=self._number("purpose", " ".join(filter(None, (operation.purpose, operation.phase)))),
            step=self._steps.get(operation.step, NO_STEP),
            key=self.strings.number(operation.key),
            value=self.strings.number(operation.value if operation.is_write else outcome.value),
            sent=self.strings.number(to_text(operation.sent)[:TEXT_LIMIT]),
            received=self.strings.number(to_text(operation.received)[:TEXT_LIMIT]),
            detail=self.strings.number("" if outcome.kind is Kind.OK else outcome.detail),
        )
        if operation.purpose == FINAL and outcome.kind is Kind.OK:
            self._finals.append(row)
        if operation.step and not looks:
            self._by_step.setdefault((operation.step, operation.node), []).append(row)

    def _append(self, **row: float) -> None:
        for name, column in self.columns.items():
            column.append(row[name])

    def _lane(self, name: str, kind: str) -> int:
        if name not in self._lanes:
            self._lanes[name] = len(self.lanes)
            self.lanes.append({"name": name, "kind": kind})
        return self._lanes[name]

    def _number(self, table: str, name: str) -> int:
        names = self.names[table]
        if name not in names:
            names.append(name)
        return names.index(name)

    def add_load(self, history: History, epoch_ns: int, proving: Collection[int] = ()) -> None:
        """The load's operations, in whole columns. `epoch_ns` is the monotonic time that the run calls zero.

        Of a very long load, only one in `thinned` of the answered operations is kept; all that are unknown, and those of `proving`.
        """
        begin, columns = len(self.columns["start_s"]), self.columns
        loaded = len(history.operations) - len(self._finals)
        self.thinned, kept = thinned(history.operations.outcome[:loaded], LOAD_LIMIT, set(proving))
        self.load_total = loaded
        self._load_rows = dict(zip(kept, itertools.count(begin), strict=False))
        self._load_rows |= dict(zip(range(loaded, loaded + len(self._finals)), self._finals, strict=True))
        given = history.operations.select(kept) if self._finals or self.thinned > 1 else history.operations
        count = len(kept)
        lane_of = self._lanes_of_clients(given.process, given.call_ns, given.return_ns)
        node_of = {
            NOWHERE: NO_NODE,
            **{n: self._nodes.get(name, NO_NODE) for n, name in enumerate(given.nodes.strings)},
        }
        verb_of = [self._number("verb", kind) for kind in KINDS]
        key_of = [self.strings.number(text) for text in given.keys.strings]
        value_of = {n: self.strings.number(given.values[n]) for n in sorted(set(given.value))}
        columns["start_s"].extend((call - epoch_ns) / 1e9 for call in given.call_ns)
        columns["took_us"].extend(
            NEVER_US if back == NEVER else _us((back - call) / 1e9)
            for call, back in zip(given.call_ns, given.return_ns, strict=True)
        )
        columns["lane"].extend(map(lane_of.__getitem__, given.process))
        columns["client"].extend(iter(given.process))
        columns["node"].extend(map(node_of.__getitem__, given.node))
        columns["verb"].extend(map(verb_of.__getitem__, given.kind))
        columns["outcome"].extend(iter(given.outcome))
        columns["key"].extend(map(key_of.__getitem__, given.key))
        columns["value"].extend(map(value_of.__getitem__, given.value))
        self._fill(columns, "purpose", self._number("purpose", "load"), count)
        self._fill(columns, "step", NO_STEP, count)
        for name in ("reason", "sent", "received", "detail"):
            self._fill(columns, name, 0, count)

    @staticmethod
    def _fill(columns: dict[str, array], name: str, value: int, count: int) -> None:
        columns[name].extend(array(columns[name].typecode, [value]) * count)

    def _lanes_of_clients(
        self, clients: Iterable[int], calls: Iterable[int], returns: Iterable[int]
    ) -> dict[int, int]:
        return {
            client: self._lane(f"client {place + 1}", "load")
            for client, place in lanes_of(clients, calls, returns).items()
        }

    def finish(self) -> tuple[dict[str, array], list[int]]:
        """The columns in order of time, and the new place of each row."""
        return ordered(self.columns)

    def of_finding(self, finding: Finding) -> list[int]:
        """The rows, before ordering, that show a finding: those it names, or those of its step (and node)."""
        named = [self._load_rows[row] for row in getattr(finding, "rows", ()) if row in self._load_rows]
        if named or not finding.step:
            return named
        wanted = [
            rows
            for (step, node), rows in self._by_step.items()
            if step == finding.step and finding.node in {"", node}
        ]
        return [row for rows in wanted for row in rows]


def _us(seconds: float) -> int:
    return max(0, min(NEVER_US - 1, round(seconds * 1e6)))
