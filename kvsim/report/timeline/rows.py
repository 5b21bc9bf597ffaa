"""The rows and lanes of a timeline's operations: kvsim's requests from the journal, and the
operations of the load's clients from its history.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Collection, Iterable

from kvsim.checks.consistency.result import Violation, describe_value
from kvsim.checks.verdict import Finding
from kvsim.history.build import FINAL
from kvsim.history.history import History
from kvsim.history.journal import to_text
from kvsim.history.operations import EXPECTS, KINDS, NEVER, NOWHERE, OUTCOMES
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.history.run_record import RequestRecord
from kvsim.report.client_lanes import assign_lanes, thin
from kvsim.report.timeline.packed_columns import NEVER as NEVER_US
from kvsim.report.timeline.packed_columns import Columns, Strings, new_columns, sort_by_time

# The purposes of requests that kvsim makes for itself, beside the scenario's.
OBSERVATIONS = frozenset({"role", "readback"})
TEXT_LIMIT = 4096

# Answered operations of a load; with more, browsers open the page too slowly.
LOAD_LIMIT = 250_000
# Operations of one finding.
SHOWN_MAX = 40
# Numbers of clients that fit beside a lane. Those of kvsim's own loads are longer.
SHORT_NUMBERS = 10_000
# Lanes of clients; with more, the page is higher than a browser can draw.
LANES_MAX = 1_000
NO_STEP = 0xFFFF
NO_NODE = 0xFFFF


class Rows:
    """Collects operations; `finish` gives the columns. The numbers in columns are indices of
    `lanes` and of the lists in `names`.

    With a thinned load, one in `load_every` of its `load_total` answered operations is a row.
    """

    def __init__(self, strings: Strings, nodes: Iterable[str], steps: Iterable[str] = ()) -> None:
        self.strings = strings
        self.columns = new_columns()
        self.lanes: list[dict[str, object]] = []
        self.names: dict[str, list[str]] = {
            "verb": [],
            "outcome": list(OUTCOMES),
            "reason": ["", *Reason],
            "purpose": [],
        }
        self.load_every, self.load_total = 1, 0
        self._nodes = dict(zip(nodes, range(NO_NODE), strict=False))
        self._steps = dict(zip(steps, range(NO_STEP), strict=False))
        self._lanes: dict[str, int] = {}
        self._by_step: dict[tuple[str, str], list[int]] = {}
        # Row of the history -> row here.
        self._of_history: dict[int, int] = {}
        # The history ends with kvsim's own final reads, which are rows already.
        self._final_reads: list[int] = []

    def add_requests(self, requests: Iterable[RequestRecord]) -> None:
        """The requests of a run that its journal holds."""
        for request in requests:
            self._add(request)

    def _add(self, request: RequestRecord) -> None:
        row = len(self.columns["start_s"])
        outcome, observation = request.outcome, request.purpose in OBSERVATIONS
        lane = ("observations", "observation") if observation else ("scenario", "scenario")
        purpose = " ".join(filter(None, (request.purpose, request.phase)))
        text, value = self.strings.number, request.value if request.is_write else outcome.value
        self._append(
            start_s=request.invoked_s,
            took_us=_microseconds(request.completed_s - request.invoked_s),
            lane=self._lane(*lane),
            client=0,
            node=self._nodes.get(request.node, NO_NODE),
            verb=self._number("verb", request.verb),
            outcome=self.names["outcome"].index(str(outcome.kind)),
            reason=self.names["reason"].index(str(outcome.reason or "")),
            purpose=self._number("purpose", purpose),
            step=self._steps.get(request.step, NO_STEP),
            key=text(request.key),
            value=self.strings.value_number(value),
            sent=text(to_text(request.sent)[:TEXT_LIMIT]),
            received=text(to_text(request.received)[:TEXT_LIMIT]),
            detail=text("" if outcome.kind is OutcomeKind.OK else outcome.detail),
        )
        if request.purpose == FINAL and outcome.kind is OutcomeKind.OK:
            self._final_reads.append(row)
        if request.step and not observation:
            self._by_step.setdefault((request.step, request.node), []).append(row)

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

    def add_load(
        self,
        history: History,
        epoch_ns: int,
        always: Collection[int] = (),
        *,
        purpose: str = "load",
        ticks_per_s: float = 1e9,
    ) -> None:
        """The operations of clients, in whole columns. `epoch_ns` is the time of the history at
        which the timeline begins.

        Of a very long load, only some of the answered operations are kept; those without an
        answer, and the rows of `always`, are kept in any case.
        """
        begin = len(self.columns["start_s"])
        self.load_total = len(history.operations) - len(self._final_reads)
        outcomes = history.operations.outcome[: self.load_total]
        self.load_every, kept = thin(outcomes, LOAD_LIMIT, set(always))
        self._of_history = dict(zip(kept, itertools.count(begin), strict=False))
        self._of_history |= dict(enumerate(self._final_reads, self.load_total))
        operations = history.operations
        if len(kept) < len(operations):
            operations = operations.select(kept)
        lanes = self._client_lanes(operations.process, operations.call_ns, operations.return_ns)
        nodes = {NOWHERE: NO_NODE} | {
            number: self._nodes.get(name, NO_NODE)
            for number, name in enumerate(operations.nodes.strings)
        }
        verbs = [self._number("verb", kind) for kind in KINDS]
        keys = [self.strings.number(text) for text in operations.keys.strings]
        values = {
            number: self.strings.value_number(operations.values[number])
            for number in sorted(set(operations.value))
        }
        expected = {
            number: self.strings.number(f"expected {describe_value(operations.values[number])}")
            for number in sorted(set(operations.expected))
        }
        clients = {
            process: self.strings.number(str(process))
            for process in sorted(set(operations.process))
        }
        columns = self.columns
        columns["start_s"].extend((call - epoch_ns) / ticks_per_s for call in operations.call_ns)
        columns["took_us"].extend(
            NEVER_US if back == NEVER else _microseconds((back - call) / ticks_per_s)
            for call, back in zip(operations.call_ns, operations.return_ns, strict=True)
        )
        columns["lane"].extend(map(lanes.__getitem__, operations.process))
        columns["client"].extend(map(clients.__getitem__, operations.process))
        columns["node"].extend(map(nodes.__getitem__, operations.node))
        columns["verb"].extend(map(verbs.__getitem__, operations.kind))
        columns["outcome"].extend(iter(operations.outcome))
        columns["key"].extend(map(keys.__getitem__, operations.key))
        columns["value"].extend(map(values.__getitem__, operations.value))
        columns["detail"].extend(
            expected[number] if kind in EXPECTS else 0
            for kind, number in zip(operations.kind, operations.expected, strict=True)
        )
        _fill(columns, "purpose", self._number("purpose", purpose), len(kept))
        _fill(columns, "step", NO_STEP, len(kept))
        for name in ("reason", "sent", "received"):
            _fill(columns, name, 0, len(kept))

    def _client_lanes(
        self, clients: Iterable[int], calls: Iterable[int], returns: Iterable[int]
    ) -> dict[int, int]:
        """Client → lane. A lane has the number of its client where no clients share lanes and their
        numbers are short; else lanes are counted from 1.
        """
        lanes = assign_lanes(clients, calls, returns)
        is_shared = len(set(lanes.values())) < len(lanes) or len(lanes) > LANES_MAX
        counted = is_shared or not all(0 <= client < SHORT_NUMBERS for client in lanes)
        return {
            client: self._lane(f"client {lane % LANES_MAX + 1 if counted else client}", "load")
            for client, lane in lanes.items()
        }

    def finish(self) -> tuple[Columns, list[int]]:
        """The columns in order of time, and the new index of each row."""
        return sort_by_time(self.columns)

    def of_rows(self, rows: Iterable[int]) -> list[int]:
        """The rows, before sorting, of rows of the history."""
        return [self._of_history[row] for row in rows if row in self._of_history]

    def shown(self, finding: Finding, new_index: list[int]) -> dict[str, object]:
        """The operations that show a finding, and the one that cannot happen beside the others
        (None: not known), by their new indices."""
        operations = sorted(new_index[row] for row in self.of_finding(finding))
        blocked = finding.blocked if isinstance(finding, Violation) else None
        found = () if blocked is None else self.of_rows([blocked])
        return {
            "operations": operations[:SHOWN_MAX],
            "blocked": new_index[found[0]] if found else None,
        }

    def of_finding(self, finding: Finding) -> list[int]:
        """The rows, before sorting, that show a finding: those it names, or those of its step (and
        node)."""
        named = finding.rows if isinstance(finding, Violation) else ()
        rows = self.of_rows(named)
        if rows or not finding.step:
            return rows
        return [
            row
            for (step, node), rows_of_step in self._by_step.items()
            if step == finding.step and finding.node in {"", node}
            for row in rows_of_step
        ]


def _fill(columns: Columns, name: str, value: int, count: int) -> None:
    columns[name].extend(array(columns[name].typecode, [value]) * count)


def _microseconds(seconds: float) -> int:
    return max(0, min(NEVER_US - 1, round(seconds * 1e6)))
