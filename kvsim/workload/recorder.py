"""The operations of a load: rows while it runs, columns afterwards.

Rows go to a growing file from time to time, and are not kept in memory. It judges nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from kvsim.history.growing_file import GrowingFile, append_rows, read_rows
from kvsim.history.operations import (
    ABSENT,
    CAS,
    COLUMNS,
    EXPECTS,
    NEVER,
    OK,
    REFUSED,
    UNKNOWN,
    Operations,
    StringTable,
)

# (node, verb, reply) of a reply that no rule knows.
Unrecognised = tuple[str, str, str]
# (call time, client, node, key, kind, value, expected value), as in `Recorder.add`.
UnderWay = tuple[int, int, int, int, int, str | None, str | None]


# So many replies that no rule knows are kept.
UNRECOGNISED_MAX = 20


class Recorder:
    """One append per operation.

    It numbers the clients. A client whose operation has no known outcome continues under a new
    number. `file`: where rows go when they are flushed; without one they are kept.
    `unrecognised` are the first replies that no rule of node.yaml knows.
    """

    def __init__(
        self,
        nodes: tuple[str, ...],
        keys: tuple[str, ...],
        first_process: int,
        file: GrowingFile | None = None,
    ) -> None:
        self._file = file
        self._flushed = self._values_flushed = 0
        self._nodes, self._keys = StringTable(nodes), StringTable(keys)
        self._values: StringTable[str | None] = StringTable([None])
        self._value_number = self._values.number
        # Row after row, in the order of COLUMNS: one append costs less than nine.
        self._rows = array("q")
        self._next_process = first_process
        self.unrecognised: list[Unrecognised] = []

    def new_process(self) -> int:
        self._next_process += 1
        return self._next_process - 1

    def note_unrecognised(self, node: int, verb: str, reply: str) -> None:
        """Keep a reply that no rule knows."""
        if len(self.unrecognised) < UNRECOGNISED_MAX:
            self.unrecognised.append((self._nodes.strings[node], verb, reply))

    def add(
        self,
        call_ns: int,
        return_ns: int,
        process: int,
        node: int,
        key: int,
        kind: int,
        value: str | None,
        outcome: int,
        expected: str | None = None,
    ) -> None:
        """One completed operation. An unknown one gets no return time."""
        self._rows.extend(
            (
                call_ns,
                NEVER if outcome == UNKNOWN else return_ns,
                process,
                node,
                key,
                kind,
                ABSENT if value is None else self._value_number(value),
                ABSENT if expected is None else self._value_number(expected),
                outcome,
            )
        )

    def flush(self, under_way: Iterable[UnderWay]) -> None:
        """Move the rows into the file, with the operations that are under way at this moment.

        Raises OSError.
        """
        if self._file is None:
            return
        waiting = array("q")
        for call_ns, process, node, key, kind, value, expected in under_way:
            values = (
                ABSENT if text is None else self._value_number(text) for text in (value, expected)
            )
            waiting.extend((call_ns, NEVER, process, node, key, kind, *values, UNKNOWN))
        strings = self._values.strings
        # The first one is None, in every table.
        new = strings[max(1, self._values_flushed) :]
        self._file.append(self._rows, waiting, new)
        self._flushed += len(self._rows) // len(COLUMNS)
        self._values_flushed = len(strings)
        self._rows = array("q")

    def __len__(self) -> int:
        return self._flushed + len(self._rows) // len(COLUMNS)

    @property
    def operations(self) -> Operations:
        """All operations so far, in columns."""
        operations = Operations()
        if self._file is not None:
            with self._file.path.open("rb") as source:
                read_rows(source, operations)
        append_rows(operations, self._rows)
        # The numbers of a million values take as much memory as all columns: made again if needed.
        self._values = StringTable(self._values.strings)
        self._value_number = self._values.number
        operations.nodes, operations.keys, operations.values = (
            self._nodes,
            self._keys,
            self._values,
        )
        return operations


def count_outcomes(operations: Operations) -> dict[str, int]:
    """The number of operations by outcome: `ok`, `refused`, `unknown`.

    With answered compare-and-sets, also `cas`, those that set, and `cas_missed`, those that did
    not.
    """
    counts = {
        "ok": operations.outcome.count(OK),
        "refused": operations.outcome.count(REFUSED),
        "unknown": operations.outcome.count(UNKNOWN),
    }
    answered = [
        kind
        for kind, outcome in zip(operations.kind, operations.outcome, strict=True)
        if outcome == OK and kind in EXPECTS
    ]
    if not answered:
        return counts
    matched = answered.count(CAS)
    return {**counts, "cas": matched, "cas_missed": len(answered) - matched}
