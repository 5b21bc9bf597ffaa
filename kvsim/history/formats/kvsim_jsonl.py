"""kvsim's own export: one operation of JSON per line, with the fields of `Operation`.

Before them stands a line with what else the history holds, where it holds more:

    {"kvsim_history": 1, "initial": {…}, "leader_log": […], "samples": […], "faults": […], …}

Absent values and unknown nodes are null. What is read again gets the same verdict.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from kvsim.history.history import FaultSpan, FaultTraits, FinalRead, History, RoleSample
from kvsim.history.json_values import json_values, normal_number
from kvsim.history.operations import APPEND, KINDS, Operation, Operations
from kvsim.history.pairing import FormatError, make_readable
from kvsim.history.row_batch import Columns, add_in_batches
from kvsim.history.typed_values import encode
from kvsim.structs import to_dict

REQUIRED = ("call_ns", "return_ns", "process", "key", "kind")
APPEND_NAME = KINDS[APPEND]
# The fields as this module writes them.
WRITTEN = Operation.__struct_fields__
# In the order of `row_batch.Columns`.
COLUMNS = [itemgetter(name) for name in (*REQUIRED, "value", "expected", "outcome", "node")]
NAMES = frozenset(WRITTEN)
VERSION_FIELD, VERSION = "kvsim_history", 1
MORE_NAMES = frozenset({VERSION_FIELD, "initial", "leader_log", "samples", "faults", "finals"})
HEAD = re.compile(r"\s*[\[{]")


def matches(head: str) -> bool:
    """Whether text that begins like this is such an export."""
    return bool(HEAD.match(head)) and ('"call_ns"' in head or f'"{VERSION_FIELD}"' in head)


def read(lines: Iterable[str], file: str = "history.jsonl") -> History:
    """The history. Raises FormatError with the line."""
    reader, entries = _ExportReader(file), json_values(lines, file)
    first = next(entries, None)
    if first is None:
        raise FormatError(file, 1, "it holds no operation")
    more: dict[str, Any] = {}
    if VERSION_FIELD in first[1]:
        more = _more(first[1], first[0], file)
    else:
        entries = itertools.chain([first], entries)
    add_in_batches(reader.operations, entries, reader.columns, reader.add)
    make_readable(reader.operations, file, reader.append_line)
    return History(reader.operations, origin=file, **more)


class _ExportReader:
    """The operations so far, and the line of the first append (0: there is none)."""

    def __init__(self, file: str) -> None:
        self.file, self.append_line = file, 0
        self.operations = Operations()

    def columns(self, entries: Sequence[dict[str, Any]]) -> Columns | None:
        """Many operations as this module writes them; None: one has other fields, or appends."""
        if set(map(tuple, entries)) != {WRITTEN}:
            return None
        columns = [list(map(field, entries)) for field in COLUMNS]
        return None if not self.append_line and APPEND_NAME in columns[4] else columns

    def add(self, line: int, entry: dict[str, Any]) -> None:
        """One operation with all its checks. Raises FormatError."""
        try:
            _add(self.operations, entry)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            what = f"not an operation of a kvsim export: {reason}"
            raise FormatError(self.file, line, what) from error
        if entry["kind"] == APPEND_NAME:
            self.append_line = self.append_line or line


def write(history: History) -> Iterator[str]:
    """The lines of a history, without their newlines."""
    more = {
        "initial": dict(history.initial),
        "leader_log": history.leader_log,
        "samples": [to_dict(sample) for sample in history.samples],
        "faults": [to_dict(fault) for fault in history.faults],
        "finals": [to_dict(final) for final in history.finals],
    }
    held = {name: value for name, value in more.items() if value or value == ()}
    if held or not len(history.operations):
        yield json.dumps({VERSION_FIELD: VERSION, **held})
    for operation in history.operations:
        yield json.dumps(to_dict(operation))


def _add(operations: Operations, entry: Mapping[str, Any]) -> None:
    if not entry.keys() <= NAMES:
        unknown = min(entry.keys() - NAMES)
        raise ValueError(f"it has the field {unknown!r}, which operations do not have")
    call_ns, return_ns, process, key, kind = (entry[name] for name in REQUIRED)
    node = entry.get("node")
    for name, number in (("call_ns", call_ns), ("return_ns", return_ns), ("process", process)):
        if type(number) is not int and (name != "return_ns" or number is not None):
            raise ValueError(f"its {name} is no integer")
    if key is None or not isinstance(kind, str) or not isinstance(node, str | None):
        raise ValueError("its key is null, or its kind or node is not a string")
    operations.add(
        call_ns,
        return_ns,
        process,
        encode(normal_number(key)) or "",
        kind,
        encode(normal_number(entry.get("value"))),
        expected=encode(normal_number(entry.get("expected"))),
        outcome=entry.get("outcome", "ok"),
        node=node,
    )


def _more(entry: Mapping[str, Any], line: int, file: str) -> dict[str, Any]:
    """What a history holds beside operations. Raises FormatError."""
    unknown = sorted(entry.keys() - MORE_NAMES)
    if entry[VERSION_FIELD] != VERSION or unknown:
        what = (
            f"this kvsim reads version {VERSION} of the export, with the fields "
            f"{', '.join(sorted(MORE_NAMES))}"
        )
        raise FormatError(file, line, what)
    try:
        found: dict[str, Any] = {
            "samples": tuple(RoleSample(**sample) for sample in entry.get("samples", ())),
            "faults": tuple(map(_fault, entry.get("faults", ()))),
            "finals": tuple(FinalRead(**final) for final in entry.get("finals", ())),
            "initial": {_text(key): _text(value) for key, value in _pairs(entry, "initial")},
        }
        log = entry.get("leader_log")
        if log is not None:
            found["leader_log"] = tuple(
                (_text(key), None if value is None else _text(value)) for key, value in log
            )
        _check_types(found)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise FormatError(file, line, f"not what a kvsim export holds: {error}") from error
    return found


def _pairs(entry: Mapping[str, Any], name: str) -> Iterable[tuple[Any, Any]]:
    items: Mapping[str, Any] = entry.get(name, {})
    return items.items()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{json.dumps(value)[:40]} is not a string")
    return value


def _fault(fault: Mapping[str, Any]) -> FaultSpan:
    traits = FaultTraits(**fault["traits"])
    nodes = tuple(map(_text, fault["nodes"]))
    return FaultSpan(**{**fault, "nodes": nodes, "traits": traits})


def _check_types(found: Mapping[str, Any]) -> None:
    """Raise TypeError where a field of a sample, fault or final read has another type."""
    for item in (*found["samples"], *found["faults"], *found["finals"]):
        for name in item.__struct_fields__:
            value = getattr(item, name)
            expected = FIELD_TYPES.get(type(item).__annotations__[name])
            if expected is not None and type(value) not in expected:
                raise TypeError(f"{name} is {json.dumps(value)[:40]}")


FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "int | None": (int, type(None)),
    "str": (str,),
    "str | None": (str, type(None)),
}
