"""The operations of Jepsen, as its histories and its logs hold them: events of processes.

Reads, writes, compare-and-sets, appends and deletes of registers. Independent keys are in the
values (`[k v]`, `[k [old new]]`) or in a field `:key`. What is no register is an error that says
which model it is. The formats `jepsen_edn`, `jepsen_log` and `jepsen_test` find the events.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeGuard

from kvsim.history.history import History
from kvsim.history.operations import CAS_MISSED, MEANINGS, OK
from kvsim.history.pairing import (
    FormatError,
    HistoryEvent,
    Pairing,
    empty_values,
    resolve_empty,
)
from kvsim.history.typed_values import Keyword, Members, Pairs, Symbol, literal

KINDS = {
    ":read": "get",
    ":get": "get",
    ":r": "get",
    ":write": "put",
    ":put": "put",
    ":w": "put",
    ":cas": "cas",
    ":append": "append",
    ":delete": "delete",
}
# The kinds whose invocation has a value.
WRITING_KINDS = frozenset(meaning.name for meaning in MEANINGS if meaning.writes)
OUTCOMES = {":ok": "ok", ":fail": "refused", ":info": "unknown"}
INVOKE = ":invoke"
# Operations of other models, and what those are.
OTHER_MODELS = {
    ":txn": "transactions (list-append or rw-register)",
    ":broadcast": "a broadcast",
    ":transfer": "a bank",
    ":add": "a set or a counter",
    ":remove": "a set",
    ":enqueue": "a queue",
    ":dequeue": "a queue",
    ":drain": "a queue",
    ":inc": "a counter",
    ":increment": "a counter",
    ":acquire": "a lock",
    ":release": "a lock",
    ":swap": "a register with a swap, which returns the old value",
    ":insert": "a table",
    ":send": "a log of messages",
    ":poll": "a log of messages",
    ":generate": "unique ids",
}
# Fields that give an operation a meaning that kvsim does not judge.
OTHER_MEANINGS = frozenset(
    {":version", ":revision", ":rev", ":expected", ":old", ":new", ":ttl", ":lease", ":txn"}
)
# The name of the register in a history without keys.
ONLY_KEY = "register"


class JepsenEvent(NamedTuple):
    """One event of a client. `line` counts from 1; `time` None: the history has no times."""

    line: int
    process: int
    type: str
    f: str
    value: Any
    time: int | None = None
    key: Any = None
    has_error: bool = False


class JepsenEvents:
    """Operations from the events of Jepsen, added one after another in the order of the history.

    `fails_are_mismatches`: a compare-and-set that failed without an error found another value than
    it expected, as in Jepsen's logs; else it did not happen and shows nothing.
    """

    def __init__(self, file: str, *, fails_are_mismatches: bool = False) -> None:
        self.file = file
        self.fails_are_mismatches = fails_are_mismatches
        self._pairing = Pairing(file)
        self._count = 0
        self._timed: bool | None = None
        # Whether values are [key value]: None until the first write says it. Earlier events wait.
        self._independent: bool | None = None
        self._has_keys = False
        self._waiting: list[tuple[JepsenEvent, int]] = []
        # The first read of a collection: what it is, and the line. And whether any is written.
        self._collection_read: tuple[str, int] | None = None
        self._collection_written = False
        # Process → the value of its invocation, without the key.
        self._invoked: dict[int, Any] = {}

    def add_map(self, entry: Any, line: int) -> None:
        """An event that is a map with :process, :type, :f and :value. Raises FormatError.

        Events of processes that are no clients (`:nemesis`) are left out.
        """
        if not isinstance(entry, dict) or ":type" not in entry or ":process" not in entry:
            what = "not an operation: a map with :process, :type, :f and :value is expected"
            raise FormatError(self.file, line, what)
        process = entry[":process"]
        if type(process) is not int:
            if process is None and _name(entry.get(":f")) in KINDS:
                raise FormatError(self.file, line, "an operation on a register has no :process")
            if isinstance(process, Keyword | Symbol) or process is None:
                return
            raise FormatError(self.file, line, f"the process {literal(process)} is not a number")
        time = entry.get(":time")
        if time is not None and type(time) is not int:
            raise FormatError(self.file, line, f"the time {literal(time)} is not an integer")
        if not OTHER_MEANINGS.isdisjoint(entry):
            what = (
                f"{min(OTHER_MEANINGS & entry.keys())} changes what an operation means; "
                "kvsim judges registers without versions"
            )
            raise FormatError(self.file, line, what)
        self.add(
            JepsenEvent(
                line,
                process,
                _name(entry[":type"]),
                _name(entry.get(":f")),
                entry.get(":value"),
                time,
                entry.get(":key"),
                entry.get(":error") is not None,
            )
        )

    def add(self, event: JepsenEvent) -> None:
        """The next event of a client. Raises FormatError."""
        if event.f not in KINDS:
            raise FormatError(self.file, event.line, _unknown(event.f))
        if event.type != INVOKE and event.type not in OUTCOMES:
            what = f"{event.type} is not a type; known are {INVOKE}, {', '.join(OUTCOMES)}"
            raise FormatError(self.file, event.line, what)
        self._count += 1
        self._has_keys |= event.key is not None
        timed = event.time is not None
        if self._timed not in (None, timed):
            what = "an operation has a :time and another one has none"
            raise FormatError(self.file, event.line, what)
        self._timed = timed
        time = self._count if event.time is None else event.time
        if self._independent is not None:
            self._pair(event, time)
            return
        self._waiting.append((event, time))
        self._independent = _shows_independent(event)
        if self._independent is not None:
            self._flush()

    def finished(self) -> History:
        """The history. Raises FormatError when there are none, or when this is no register."""
        if not self._count:
            raise FormatError(self.file, 1, "it holds no operation of a client")
        if self._independent is None:
            self._independent = any(_is_pair(event.value) for event, _ in self._waiting)
            self._flush()
        if self._collection_read is not None and not self._collection_written:
            name, line = self._collection_read
            what = (
                f"a read returns {name}, and no client writes one: this is of another model "
                "(a bank, a set, a list), not of a register, and kvsim does not judge it yet"
            )
            raise FormatError(self.file, line, what)
        operations = self._pairing.operations
        # Porcupine's key-value data, which show a key that is not there as the empty string.
        empty = resolve_empty(operations) if self._has_keys else frozenset()
        self._pairing.finished()
        return History(operations, initial=empty_values(operations, empty), origin=self.file)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for event, time in waiting:
            self._pair(event, time)

    def _pair(self, event: JepsenEvent, time: int) -> None:
        key, value = (event.key, event.value)
        if self._independent:
            key, value = self._key_and_value(event)
        elif key is None and event.type == INVOKE:
            key = ONLY_KEY
        kind = KINDS[event.f]
        paired = HistoryEvent(event.line, event.process, kind, key, value, time)
        if event.type == INVOKE:
            new, expected = self._value_and_expected(kind, value, event.line)
            self._collection_written |= _collection_name(new) is not None
            self._pairing.begin(paired, new, expected)
            self._invoked[event.process] = value
            return
        outcome = OUTCOMES[event.type]
        if outcome == "ok" and event.process in self._invoked:
            self._check_completed(event, kind, self._invoked[event.process], value)
        if kind == "get" and outcome == "ok" and self._collection_read is None:
            name = _collection_name(value)
            self._collection_read = None if name is None else (name, event.line)
        row = self._pairing.end(paired, outcome, value)
        failed = kind == "cas" and outcome == "refused" and not event.has_error
        # In old logs an error is written where the value belongs.
        if failed and _is_pair(value) and self.fails_are_mismatches:
            operations = self._pairing.operations
            operations.kind[row], operations.outcome[row] = CAS_MISSED, OK

    def _check_completed(self, event: JepsenEvent, kind: str, invoked: Any, value: Any) -> None:
        """Raise FormatError where an operation completes with another value than it was invoked
        with: a write returns nothing that a register has, and a read is not of a value.
        """
        stated = invoked if kind == "get" else value
        if stated is None or invoked is value or literal(invoked) == literal(value):
            return
        returns = "the value may be a key" if kind == "get" else "that may be a version or a result"
        what = (
            f"{event.f} is invoked with {literal(invoked)} and completes with {literal(value)}: "
            f"{returns}, which is not judged"
        )
        raise FormatError(self.file, event.line, what)

    def _key_and_value(self, event: JepsenEvent) -> tuple[Any, Any]:
        """The key and the value of [key value].

        A completion that does not repeat the key has that of its invocation.
        """
        if _is_pair(event.value):
            return event.value[0], event.value[1]
        if event.type == INVOKE:
            what = (
                f"the value {literal(event.value)} is not a pair of key and value, "
                "as that of the first write is"
            )
            raise FormatError(self.file, event.line, what)
        return None, event.value

    def _value_and_expected(self, kind: str, value: Any, line: int) -> tuple[Any, Any]:
        """(value, expected) of an invocation."""
        if kind == "cas":
            if not _is_pair(value):
                what = f"a cas needs [old new], not {literal(value)}"
                raise FormatError(self.file, line, what)
            return value[1], value[0]
        return (value if kind in WRITING_KINDS else None), None


def _name(value: Any) -> str:
    """A keyword, or what stands for one in old histories: a symbol or a string."""
    if isinstance(value, Keyword):
        return str(value)
    text = value.text if isinstance(value, Symbol) else value
    return f":{text}" if isinstance(text, str) else literal(value)


def _unknown(name: str) -> str:
    model = OTHER_MODELS.get(name)
    if name == "nil":
        return "an operation has no :f, as those of transactions (Elle); kvsim judges registers"
    if model is None:
        return f"{name} is not an operation on a register; known are {', '.join(KINDS)}"
    return (
        f"{name} is an operation of {model}, not an operation on a register: "
        "kvsim does not judge that model yet"
    )


def _is_pair(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and len(value) == 2


def _shows_independent(event: JepsenEvent) -> bool | None:
    """Whether the values carry keys, as far as one event shows it. Only invoked writes do."""
    if event.key is not None:
        return False
    kind = KINDS[event.f]
    if event.type != INVOKE or kind not in WRITING_KINDS:
        return None
    if not _is_pair(event.value):
        return False
    return kind != "cas" or isinstance(event.value[1], list)


def _collection_name(value: object) -> str | None:
    if isinstance(value, dict | Pairs):
        return "a map"
    if isinstance(value, Members):
        return "a set"
    return "a list" if isinstance(value, list) else None
