"""The operations of clients in columns: one row per operation, small integers instead of strings.

The ground of the history. It holds what was requested, when, by which client and with which
outcome. It knows nothing of files (see `binary_file`), of faults (see `history`) or of what is
right (see `kvsim.checks`). Each string is stored once in a string table; the columns hold its
number. A million operations take some 50 MB, and a check reads them without building objects.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from operator import gt
from typing import Generic, TypeVar

from msgspec import Struct, field

from kvsim.history.numpy_module import numpy, numpy_pays

Text = TypeVar("Text", bound=str | None)

# The value number of "the key is not there".
ABSENT = 0
# The node number of an operation whose node is not known.
NOWHERE = -1
# The return time of an operation that did not return.
NEVER = 1 << 62

# The kinds of operations: what was requested. Some tell what was answered, too.
GET, PUT, DELETE, CAS, DELETE_MISSED, CAS_MISSED, APPEND, CAS_MET = range(8)


class KindMeaning(Struct, frozen=True):
    """What an operation kind means. Every set of kinds in the checks is taken from here.

    `reads`: its answer says what the key held, and that is its `value`. `finds_value`: that may be
    a value, not only "absent". `changes`: afterwards the key may hold another value than before,
    or none. `writes`: its `value` is what it writes. `whole`: afterwards the key holds exactly
    this `value`. `expects`: its `expected` has a meaning. `wants`: its `value` is what it would
    have written; no check uses it.
    """

    name: str
    reads: bool = False
    finds_value: bool = False
    changes: bool = False
    writes: bool = False
    whole: bool = False
    expects: bool = False
    wants: bool = False


# By number of the kind.
MEANINGS = (
    KindMeaning("get", reads=True, finds_value=True),
    KindMeaning("put", changes=True, writes=True, whole=True),
    KindMeaning("delete", changes=True),
    KindMeaning("cas", changes=True, writes=True, whole=True, expects=True),
    KindMeaning("delete_missed", reads=True),
    KindMeaning("cas_missed", expects=True, wants=True),
    KindMeaning("append", changes=True, writes=True),
    KindMeaning("cas_met", reads=True, finds_value=True, expects=True),
)
KINDS = tuple(meaning.name for meaning in MEANINGS)
KIND_NUMBERS = {name: number for number, name in enumerate(KINDS)}


def _kinds(has: Callable[[KindMeaning], bool]) -> frozenset[int]:
    return frozenset(kind for kind, meaning in enumerate(MEANINGS) if has(meaning))


# Kinds whose `value` is what the key held, by the response; and those that can show a value.
READS = _kinds(lambda kind: kind.reads)
SHOWS_VALUE = _kinds(lambda kind: kind.finds_value)
# Kinds after which a key may hold another value than before, or none.
CHANGES_KEY = _kinds(lambda kind: kind.changes)
# Kinds whose `value` is what they write (a delete writes none); and those that write all of it.
WRITES_VALUE = _kinds(lambda kind: kind.writes)
WRITES_WHOLE_VALUE = _kinds(lambda kind: kind.whole)
# Kinds that change the key in a way that `value` alone does not describe.
CHANGES_OTHERWISE = CHANGES_KEY - WRITES_WHOLE_VALUE
# Kinds whose `expected` has a meaning.
EXPECTS = _kinds(lambda kind: kind.expects)
# Kinds whose success or failure depends on what the key held, and those among them that change
# nothing.
OBSERVES = READS | EXPECTS
ONLY_OBSERVES = OBSERVES - CHANGES_KEY
# Kinds that change the key whatever it held; and those after which what it held is gone.
UNCONDITIONAL = CHANGES_KEY - EXPECTS
SETS_STATE = UNCONDITIONAL - _kinds(lambda kind: kind.writes and not kind.whole)
# Kinds whose answer places them in an order of states: all but a bare "not that value".
PLACED = READS | CHANGES_KEY
# Kinds whose `value` has no meaning.
VALUELESS = _kinds(lambda kind: not (kind.finds_value or kind.writes or kind.wants))

# The outcomes of operations, in the order of kvsim.history.outcome.
OK, REFUSED, UNKNOWN = range(3)
OUTCOMES = ("ok", "refused", "unknown")
OUTCOME_NUMBERS = {name: number for number, name in enumerate(OUTCOMES)}

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


class StringTable(Generic[Text]):
    """Strings and their numbers: 0, 1, 2, … in order of first use. None may be a string."""

    __slots__ = ("_numbers", "strings")

    def __init__(self, strings: Sequence[Text] = ()) -> None:
        self.strings = list(strings)
        # Made when a number is asked for first: a table that was read may never need it.
        self._numbers: dict[Text, int] | None = None

    @property
    def numbers(self) -> dict[Text, int]:
        """String → its number. Not to be changed."""
        if self._numbers is None:
            self._numbers = dict(zip(self.strings, range(len(self.strings)), strict=True))
        return self._numbers

    def number(self, string: Text) -> int:
        """The number of `string`. A new string gets the next free number."""
        numbers = self.numbers if self._numbers is None else self._numbers
        found = numbers.get(string)
        if found is None:
            found = numbers[string] = len(self.strings)
            self.strings.append(string)
        return found

    def numbers_of(self, strings: Iterable[Text]) -> Iterator[int]:
        """The number of each of `strings`, as `number` gives them one by one."""
        numbers, all_strings = self.numbers, self.strings
        for string in strings:
            found = numbers.get(string)
            if found is None:
                found = numbers[string] = len(all_strings)
                all_strings.append(string)
            yield found

    def find(self, strings: Iterable[Text]) -> dict[Text, int]:
        """The number of each of a few strings, as `number` gives them one by one.

        It does not make the index of all strings, which takes more memory than the strings.
        """
        wanted = dict.fromkeys(strings)
        if self._numbers is None:
            found = {text: at for at, text in enumerate(self.strings) if text in wanted}
            for string in wanted:
                if string not in found:
                    found[string] = len(self.strings)
                    self.strings.append(string)
            return found
        return {string: self.number(string) for string in wanted}

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, number: int) -> Text:
        return self.strings[number]


class Operation(Struct, frozen=True):
    """One row with its strings and names: what an export writes.

    Times are nanoseconds. `return_ns` None: it did not return. `node` None: not known. `value` and
    `expected` None: absent. `kind` is one of KINDS, `outcome` one of OUTCOMES.
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


def positions(column: array[int], wanted: Set[int]) -> Iterator[int]:
    """The rows at which a column of small numbers holds one of `wanted`. Fast where few do."""
    marks = column.tobytes().translate(bytes(number in wanted for number in range(256)))
    at = marks.find(1)
    while at >= 0:
        yield at
        at = marks.find(1, at + 1)


class Operations(Struct, eq=False):
    """Columns of equal length, and the string tables that their numbers point into.

    `value` is what a put, cas or append writes and what a get read. `expected` is the value that a
    cas expected. A `delete_missed` is a delete that was answered "no such key". A `cas_missed` is a
    cas that was answered "not that value", without the value that was there; a `cas_met` was
    answered with that value, which is its `value`. Times are nanoseconds. `return_ns` of an unknown
    operation is when the client gave up, or NEVER. `rows` are the row numbers in the whole history
    of which this is a part; None: this is the whole.
    """

    call_ns: array[int] = field(default_factory=lambda: array("q"))
    return_ns: array[int] = field(default_factory=lambda: array("q"))
    process: array[int] = field(default_factory=lambda: array("q"))
    node: array[int] = field(default_factory=lambda: array("q"))
    key: array[int] = field(default_factory=lambda: array("q"))
    kind: array[int] = field(default_factory=lambda: array("b"))
    value: array[int] = field(default_factory=lambda: array("q"))
    expected: array[int] = field(default_factory=lambda: array("q"))
    outcome: array[int] = field(default_factory=lambda: array("b"))
    nodes: StringTable[str] = field(default_factory=StringTable)
    keys: StringTable[str] = field(default_factory=StringTable)
    values: StringTable[str | None] = field(default_factory=lambda: StringTable([None]))
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
        """Append one operation and return its row. Raises ValueError when it contradicts itself.

        A value or expected value that has no meaning for the kind is left out. So is what an
        operation would have read that was not answered.
        """
        if return_ns is None and outcome != "unknown":
            raise ValueError(f"an operation that is {outcome} has a return time")
        if return_ns is not None and return_ns < call_ns:
            raise ValueError(f"returned at {return_ns} before it was called at {call_ns}")
        number, outcome_number = KIND_NUMBERS.get(kind), OUTCOME_NUMBERS.get(outcome)
        if number is None or outcome_number is None:
            known = f"kinds are {', '.join(KINDS)}; outcomes are {', '.join(OUTCOMES)}"
            raise ValueError(f"{kind}/{outcome}: {known}")
        if number in VALUELESS or (number in READS and outcome_number != OK):
            value = None
        if number not in EXPECTS:
            expected = None
        if not -NEVER <= call_ns <= (call_ns if return_ns is None else return_ns) < NEVER:
            raise ValueError(f"the times {call_ns} and {return_ns} are not in the range of 62 bits")
        if not -NEVER <= process < NEVER:
            raise ValueError(f"the client number {process} is not in the range of 62 bits")
        self.call_ns.append(call_ns)
        self.return_ns.append(NEVER if return_ns is None else return_ns)
        self.process.append(process)
        self.node.append(NOWHERE if node is None else self.nodes.number(node))
        self.key.append(self.keys.number(key))
        self.kind.append(number)
        self.value.append(self.values.number(value))
        self.expected.append(self.values.number(expected))
        self.outcome.append(outcome_number)
        return len(self.call_ns) - 1

    def operation(self, row: int) -> Operation:
        """Row `row` with its strings and names."""
        back = self.return_ns[row]
        node = self.node[row]
        return Operation(
            call_ns=self.call_ns[row],
            return_ns=None if back == NEVER else back,
            process=self.process[row],
            node=None if node == NOWHERE else self.nodes[node],
            key=self.keys[self.key[row]],
            kind=KINDS[self.kind[row]],
            value=self.values[self.value[row]],
            expected=self.values[self.expected[row]],
            outcome=OUTCOMES[self.outcome[row]],
        )

    def __iter__(self) -> Iterator[Operation]:
        return map(self.operation, range(len(self)))

    def select(self, rows: Sequence[int]) -> Operations:
        """The operations at `rows`. They keep their row numbers and share the string tables."""
        columns = {
            name: array(code, map(getattr(self, name).__getitem__, rows))
            for name, code in COLUMNS.items()
        }
        own_rows = self.rows
        origin = rows if own_rows is None else [own_rows[row] for row in rows]
        return Operations(
            **columns, nodes=self.nodes, keys=self.keys, values=self.values, rows=origin
        )

    def row(self, index: int) -> int:
        """The row number of operation `index` in the whole history."""
        return index if self.rows is None else self.rows[index]

    def normalise(self) -> None:
        """Remove the values, and expected values, that have no meaning for their kinds.

        As `add` does. For columns that were not built by `add`.
        """
        for row in positions(self.kind, VALUELESS):
            self.value[row] = ABSENT
        for row in positions(self.outcome, {REFUSED, UNKNOWN}):
            if self.kind[row] in READS:
                self.value[row] = ABSENT
        if self.expected.count(ABSENT) != len(self):
            for row, expected in enumerate(self.expected):
                if expected != ABSENT and self.kind[row] not in EXPECTS:
                    self.expected[row] = ABSENT

    def rows_by_key(self) -> dict[int, Sequence[int]]:
        """Key number → its row numbers, for each key that has operations, in order of first use."""
        if self and self.key.count(self.key[0]) == len(self):
            return {self.key[0]: range(len(self))}
        found: dict[int, list[int]] = {}
        for row, key in enumerate(self.key):
            found.setdefault(key, []).append(row)
        return dict(found)

    def of_key(self, key: int, rows: Sequence[int] | None = None) -> Operations:
        """The operations of key number `key`. Pass its `rows` when `rows_by_key` has found them."""
        if rows is None:
            rows = [row for row, row_key in enumerate(self.key) if row_key == key]
        return self if len(rows) == len(self) else self.select(rows)

    def problems(self) -> list[str]:
        """Messages that say what makes these columns unusable. Empty: nothing does."""
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
            if _least(getattr(self, name)) < low or _greatest(getattr(self, name)) >= high
        ]
        if _any_greater(self.call_ns, self.return_ns):
            found.append("an operation returned before it was called")
        return found


def _least(column: array[int]) -> int:
    np = numpy() if numpy_pays(len(column)) else None
    return min(column) if np is None else int(np.frombuffer(column, column.typecode).min())


def _greatest(column: array[int]) -> int:
    np = numpy() if numpy_pays(len(column)) else None
    return max(column) if np is None else int(np.frombuffer(column, column.typecode).max())


def _any_greater(one: array[int], other: array[int]) -> bool:
    np = numpy() if numpy_pays(len(one)) else None
    if np is None:
        return any(map(gt, one, other))
    return bool((np.frombuffer(one, one.typecode) > np.frombuffer(other, other.typecode)).any())
