"""Register histories of Jepsen: `history.edn` with read, write and cas, and the older log of `jepsen.util`
lines. Pure.

    {:process 0, :type :invoke, :f :write, :value [k v], :time 12, :index 0}       independent keys: [k v], [k [old new]]
    {:process 0, :type :ok, :f :get, :key "k", :value "v"}                         the shape of Porcupine's key-value data
    INFO  jepsen.util - 0  :invoke  :write  2                                      one register, without a key

`:ok` happened, `:fail` did not, `:info` may have. Whether a value is a pair [key value] is told by the
operations themselves: every write of the file is one, or none is. Without times the order of lines is the
time. A process that is not a number (`:nemesis`) is not a client and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kvsim.history import edn
from kvsim.history.foreign import FormatError, Pairing
from kvsim.history.operations import CAS_MISSED, OK, Operations

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
OUTCOMES = {":ok": "ok", ":fail": "refused", ":info": "unknown"}
ONLY_KEY = "register"


@dataclass(frozen=True)
class _Event:
    """One line: a client's beginning or end of an operation."""

    line: int
    process: str
    type: str
    kind: str
    key: str | None
    value: Any
    time: int


def read_edn(text: str, file: str = "history.edn") -> Operations:
    """The operations in `text`: one vector of maps, or one map a line. Raises FormatError."""
    events = list(_edn_events(text, file))
    independent = _is_independent(events)
    pairing = Pairing(file)
    for event in events:
        _pair(pairing, _with_key(event, pairing, file) if independent else event)
    return pairing.finished()


def _edn_events(text: str, file: str) -> Iterator[_Event]:
    try:
        for number, (line, entry) in enumerate(edn.values(text), 1):
            event = _event(entry, line, number, file)
            if event is not None:
                yield event
    except edn.EdnError as error:
        raise FormatError(file, error.line, error.what) from error


def _event(entry: Any, line: int, number: int, file: str) -> _Event | None:
    """The event that a map is; None when it is not a client's."""
    if not isinstance(entry, dict) or ":type" not in entry or ":process" not in entry:
        raise FormatError(
            file, line, "not an operation: a map with :process, :type, :f and :value is expected"
        )
    if not isinstance(entry[":process"], int):
        return None
    kind, type_ = KINDS.get(str(entry.get(":f"))), entry[":type"]
    if kind is None:
        raise FormatError(
            file, line, f"{entry.get(':f')} is not an operation on a register; known are {', '.join(KINDS)}"
        )
    if type_ != ":invoke" and type_ not in OUTCOMES:
        raise FormatError(file, line, f"{type_} is not a type; known are :invoke, {', '.join(OUTCOMES)}")
    time = entry.get(":time")
    key = entry.get(":key")
    return _Event(
        line,
        str(entry[":process"]),
        type_,
        kind,
        None if key is None else _text(key),
        entry.get(":value"),
        number if time is None else int(time),
    )


def _is_independent(events: list[_Event]) -> bool:
    """Do the values carry keys? True when every write's value is a pair and every cas's a pair with a pair
    in it.
    """
    writes = [
        event.value for event in events if event.kind in ("put", "append", "cas") and event.type == ":invoke"
    ]
    if any(event.key is not None for event in events):
        return False
    if not writes:
        return any(isinstance(event.value, list) and len(event.value) == 2 for event in events)
    return all(_is_pair(value) for value in writes) and not all(
        event.kind == "cas" and not isinstance(event.value[1], list)
        for event in events
        if event.kind in ("put", "append", "cas") and event.type == ":invoke"
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _with_key(event: _Event, pairing: Pairing, file: str) -> _Event:
    """The key taken out of [key value]; a completion that does not repeat it has the key of its invocation."""
    if _is_pair(event.value):
        return _Event(
            event.line,
            event.process,
            event.type,
            event.kind,
            _text(event.value[0]),
            event.value[1],
            event.time,
        )
    known = pairing.key_of(event.process)
    if event.type == ":invoke" or known is None:
        raise FormatError(file, event.line, f"the value {event.value!r} is not a pair of key and value")
    return _Event(event.line, event.process, event.type, event.kind, known, event.value, event.time)


def _pair(pairing: Pairing, event: _Event) -> int | None:
    """Begin or end an operation; the row that ended."""
    key = event.key if event.key is not None else ONLY_KEY
    if event.type == ":invoke":
        value, expected = _written(event, pairing.file)
        pairing.begin(event.line, event.process, event.time, key, event.kind, value, expected)
        return None
    seen = _seen(event.value) if event.kind == "get" else None
    return pairing.end(event.line, event.process, event.time, OUTCOMES[event.type], key, event.kind, seen)


def _written(event: _Event, file: str) -> tuple[str | None, str | None]:
    """(value, expected) of an invocation."""
    if event.kind == "cas":
        if not _is_pair(event.value):
            raise FormatError(file, event.line, f"a cas needs [old new], not {event.value!r}")
        return _text(event.value[1]), None if event.value[0] is None else _text(event.value[0])
    if event.kind in ("get", "delete") or event.value is None:
        return None, None
    return _text(event.value), None


def _seen(value: Any) -> str | None:
    """What a read saw; nil and the empty string mean that the key is not there."""
    return None if value is None or value == "" else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


# the older log

LINE = re.compile(r"^INFO\s+jepsen\.util\s+-\s+(\S+)\s+(:invoke|:ok|:fail|:info)\s+(:\w+)\s+(.*?)\s*$")


def read_log(text: str, file: str = "jepsen.log") -> Operations:
    """The operations in the lines of `jepsen.util`; all other lines are left out. Raises FormatError.

    A read that failed was not answered; a cas that failed met another value than it expected.
    """
    pairing = Pairing(file)
    for number, line in enumerate(text.split("\n"), 1):
        match = LINE.match(line)
        if match is None or match[3] not in KINDS or not match[1].isdigit():
            continue
        event = _Event(
            number, match[1], match[2], KINDS[match[3]], None, _parsed(match[4], number, file), number
        )
        row = _pair(pairing, event)
        if row is not None and event.kind == "cas" and event.type == ":fail":
            pairing.operations.kind[row], pairing.operations.outcome[row] = CAS_MISSED, OK
    return pairing.finished()


def _parsed(text: str, line: int, file: str) -> Any:
    try:
        return next(edn.values(text), (0, None))[1]
    except edn.EdnError as error:
        raise FormatError(file, line, error.what) from error
