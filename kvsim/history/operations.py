"""Operations of clients in columns: one row an operation, small integers instead of strings.

Bottom of the history: knows what was asked, when, by whom and what came of it; knows nothing of files (see
`history_file`), of faults (see `history`) or of what is right (see `kvsim.checks`). Strings stand once, in
the name tables; the columns hold their numbers, so a million operations take some 50 MB and a check walks
them without building objects.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ABSENT = 0  # the value number of "the key is not there"
NOWHERE = -1  # the node number of an operation whose node nobody knows
NEVER = 1 << 62  # a return time that never came

# what was asked; some tell what was answered, too
GET, PUT, DELETE, CAS, DELETE_MISSED, CAS_MISSED, APPEND, CAS_MET = range(8)
KINDS = ("get", "put", "delete", "cas", "delete_missed", "cas_missed", "append", "cas_met")

READS = frozenset({GET, DELETE_MISSED, CAS_MET})  # their `value` is what the key held, by the answer

# what became of it, in the order of kvsim.history.outcome
OK, REFUSED, UNKNOWN = range(3)
OUTCOMES = ("ok", "refused", "unknown")

COLUMNS = {
    "call_ns": "q",
    "return_ns": "q",
    "process": "q",
    "node": "q",
    "key": "q",
    "kind": "b",
    "value": "q",
    "expected": "q",
    "outcome": "b",
}


class Names:
    """Strings and their dense numbers, in order of first use."""

    __slots__ = ("numbers", "strings")

    def __init__(self, strings: Sequence[str | None] = ()) -> None:
        self.strings: list[str | None] = list(strings)
        self.numbers = {name: number for number, name in enumerate(self.strings)}

    def number(self, name: str | None) -> int:
        """The number of `name`, which gets the next free one when it is new."""
        found = self.numbers.get(name)
        if found is None:
            found = self.numbers[name] = len(self.strings)
            self.strings.append(name)
        return found

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, number: int) -> str | None:
        return self.strings[number]


@dataclass(frozen=True)
class Operation:
    """One row in words: what `Operations.operation` gives back and what an export writes. Values None are
    absent.
    """

    call_ns: int
    return_ns: int | None
    process: int
    node: str | None
    key: str
    kind: str
    value: str | None
    expected: str | None
    outcome: str


@dataclass(eq=False)
class Operations:
    """Columns of equal length, and the names that their numbers stand for.

    `value` is what a put, cas or append writes and what a get read; `expected` is what a cas asked for. A
    `delete_missed` is a delete that was answered "no such key", a `cas_missed` a cas that was answered "not
    that value" without saying which; a `cas_met` was told which, and that is its `value`. `return_ns` of an
    unknown operation is when the client gave up, or NEVER. `rows` are the row numbers in the history this is
    a part of (None: it is the whole).
    """

    call_ns: array = field(default_factory=lambda: array("q"))
    return_ns: array = field(default_factory=lambda: array("q"))
    process: array = field(default_factory=lambda: array("q"))
    node: array = field(default_factory=lambda: array("q"))
    key: array = field(default_factory=lambda: array("q"))
    kind: array = field(default_factory=lambda: array("b"))
    value: array = field(default_factory=lambda: array("q"))
    expected: array = field(default_factory=lambda: array("q"))
    outcome: array = field(default_factory=lambda: array("b"))
    nodes: Names = field(default_factory=Names)
    keys: Names = field(default_factory=Names)
    values: Names = field(default_factory=lambda: Names([None]))
    rows: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.call_ns)

    def add(
        self,
        call_ns: int,
        return_ns: int | None,
        process: int,
        key: str,
        kind: str,
        value: str | None = None,
        *,
        expected: str | None = None,
        outcome: str = "ok",
        node: str | None = None,
    ) -> int:
        """Append one operation in words; returns its row. Raises ValueError when it contradicts itself."""
        if return_ns is None and outcome != "unknown":
            raise ValueError(f"an operation that is {outcome} has a return time")
        if return_ns is not None and return_ns < call_ns:
            raise ValueError(f"returned at {return_ns} before it was called at {call_ns}")
        if kind not in KINDS or outcome not in OUTCOMES:
            raise ValueError(
                f"{kind}/{outcome}: kinds are {', '.join(KINDS)}; outcomes are {', '.join(OUTCOMES)}"
            )
        self.call_ns.append(call_ns)
        self.return_ns.append(NEVER if return_ns is None else return_ns)
        self.process.append(process)
        self.node.append(NOWHERE if node is None else self.nodes.number(node))
        self.key.append(self.keys.number(key))
        self.kind.append(KINDS.index(kind))
        self.value.append(self.values.number(value))
        self.expected.append(self.values.number(expected))
        self.outcome.append(OUTCOMES.index(outcome))
        return len(self.call_ns) - 1

    def operation(self, row: int) -> Operation:
        """Row `row` in words."""
        back = self.return_ns[row]
        node = self.node[row]
        return Operation(
            call_ns=self.call_ns[row],
            return_ns=None if back == NEVER else back,
            process=self.process[row],
            node=None if node == NOWHERE else self.nodes[node],
            key=self.keys[self.key[row]] or "",
            kind=KINDS[self.kind[row]],
            value=self.values[self.value[row]],
            expected=self.values[self.expected[row]],
            outcome=OUTCOMES[self.outcome[row]],
        )

    def __iter__(self) -> Iterator[Operation]:
        return map(self.operation, range(len(self)))

    def select(self, rows: Sequence[int]) -> Operations:
        """The operations at `rows` as a history of their own that shares the names and remembers where they
        came from.
        """
        columns = {
            name: array(code, map(getattr(self, name).__getitem__, rows)) for name, code in COLUMNS.items()
        }
        here = self.rows
        origin = rows if here is None else [here[row] for row in rows]
        return Operations(**columns, nodes=self.nodes, keys=self.keys, values=self.values, rows=origin)

    def row(self, index: int) -> int:
        """The row number of operation `index` in the whole history."""
        return index if self.rows is None else self.rows[index]

    def rows_by_key(self) -> dict[int, Sequence[int]]:
        """Row numbers of each key number that has operations, in order of first use."""
        if self and self.key.count(self.key[0]) == len(self):
            return {self.key[0]: range(len(self))}
        found: dict[int, list[int]] = {}
        for row, key in enumerate(self.key):
            found.setdefault(key, []).append(row)
        return dict(found)

    def of_key(self, key: int, rows: Sequence[int] | None = None) -> Operations:
        """The operations of key number `key`; `rows` saves the look-up when `rows_by_key` is at hand."""
        if rows is None:
            rows = [row for row, one in enumerate(self.key) if one == key]
        return self if len(rows) == len(self) else self.select(rows)

    def problems(self) -> list[str]:
        """What makes these columns unusable, in words; empty when they are sound."""
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
        if len(set(lengths.values())) != 1:
            return [f"columns differ in length: {lengths}"]
        if not len(self):
            return []
        limits = {
            "node": (NOWHERE, len(self.nodes)),
            "key": (0, len(self.keys)),
            "value": (0, len(self.values)),
            "expected": (0, len(self.values)),
            "kind": (0, len(KINDS)),
            "outcome": (0, len(OUTCOMES)),
        }
        found = [
            f"column {name} holds numbers outside {low}..{high - 1}"
            for name, (low, high) in limits.items()
            if min(getattr(self, name)) < low or max(getattr(self, name)) >= high
        ]
        if any(map(int.__gt__, self.call_ns, self.return_ns)):
            found.append("an operation returned before it was called")
        return found
