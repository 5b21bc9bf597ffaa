"""Histories of Porcupine's operations as JSON, one a line: the plain key-value shape, and that of etcd's
robustness tests. Pure.

A line is porcupine.Operation: ClientId, Input, Call, Output, Return. Input and Output are the model's own:

    {"ClientId":0,"Input":{"op":1,"key":"k","value":"v"},"Call":10,"Output":{"value":""},"Return":20}      0 get, 1 put, 2 append
    {"ClientId":0,"Input":{"Type":"range","Range":{"Start":"k"}},"Call":10,"Output":{"Range":{"KVs":[…]}},"Return":20}
    {"ClientId":0,"Input":{"Type":"txn","Txn":{"OperationsOnSuccess":[{"Type":"put-operation",…}]}},…}

Of etcd's requests those on one key are read: a range without an end, and a transaction of a single put or
delete without conditions. Reads of many keys or of the past, leases that are granted, defragmentation and
compaction are left out. A write that cannot be followed (conditions, several keys, a lease that is revoked)
is an error, because later reads would look wrong.
"""

from __future__ import annotations

import json
from typing import Any

from kvsim.history.foreign import FormatError
from kvsim.history.operations import Operations

NAMES = {0: "get", 1: "put", 2: "append", "get": "get", "put": "put", "append": "append", "delete": "delete"}
WRITELESS = frozenset({"leaseGrant", "defragment", "compact"})


def read_json_lines(text: str, file: str = "operations.json") -> Operations:
    """The operations in `text`. Raises FormatError."""
    operations = Operations()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise FormatError(file, number, f"not JSON: {error}") from error
        fields = _lowered(entry, file, number)
        reader = _etcd if "type" in _lowered(fields["input"], file, number) else _plain
        reader(operations, fields, file, number)
    return operations


def _lowered(entry: Any, file: str, line: int) -> dict[str, Any]:
    """An object with its names in lower case: Go writes `ClientId` unless told otherwise."""
    if not isinstance(entry, dict):
        raise FormatError(file, line, f"an object is expected, not {json.dumps(entry)[:40]}")
    fields = {str(name).lower(): value for name, value in entry.items()}
    if "call" in fields and not {"clientid", "input", "output", "return"} <= set(fields):
        raise FormatError(file, line, "an operation has ClientId, Input, Call, Output and Return")
    return fields


def _add(
    operations: Operations,
    fields: dict[str, Any],
    file: str,
    line: int,
    key: str,
    kind: str,
    value: str | None,
    outcome: str = "ok",
) -> None:
    try:
        call, back = int(fields["call"]), fields["return"]
        operations.add(
            call,
            None if back is None else int(back),
            int(fields["clientid"]),
            key,
            kind,
            value,
            outcome=outcome,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(file, line, f"not an operation: {error}") from error


def _plain(operations: Operations, fields: dict[str, Any], file: str, line: int) -> None:
    asked, got = _lowered(fields["input"], file, line), fields.get("output")
    kind = NAMES.get(asked.get("op"))
    if kind is None:
        raise FormatError(
            file, line, f"op {asked.get('op')!r} is not known; known are 0 get, 1 put, 2 append, delete"
        )
    key = str(asked.get("key", ""))
    if got is None or fields.get("return") is None:
        _add(
            operations,
            {**fields, "return": None},
            file,
            line,
            key,
            kind,
            _text(asked.get("value")),
            "unknown",
        )
        return
    answer = _lowered(got, file, line)
    value = _text(answer.get("value")) or None if kind == "get" else _text(asked.get("value"))
    _add(operations, fields, file, line, key, kind, None if kind == "delete" else value)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


# etcd


def _etcd(operations: Operations, fields: dict[str, Any], file: str, line: int) -> None:
    asked, got = fields["input"], fields.get("output") or {}
    failed = bool(got.get("Error") or got.get("ClientError"))
    kind = asked.get("Type")
    if kind == "range":
        _etcd_range(operations, fields, file, line, failed)
    elif kind == "txn":
        _etcd_transaction(operations, fields, file, line, failed)
    elif kind not in WRITELESS:
        raise FormatError(file, line, f"a {kind} may delete keys, which this reader cannot follow")


def _etcd_range(operations: Operations, fields: dict[str, Any], file: str, line: int, failed: bool) -> None:
    asked = fields["input"].get("Range") or {}
    if asked.get("End") or asked.get("Limit") or asked.get("Revision"):
        return  # a read of many keys, or of the past
    if failed:
        return
    found = ((fields["output"].get("Range") or {}).get("KVs")) or []
    value = _etcd_value(found[0].get("Value")) if found else None
    _add(operations, fields, file, line, str(asked.get("Start")), "get", value)


def _etcd_transaction(
    operations: Operations, fields: dict[str, Any], file: str, line: int, failed: bool
) -> None:
    asked = fields["input"].get("Txn") or {}
    steps = [*(asked.get("OperationsOnSuccess") or []), *(asked.get("OperationsOnFailure") or [])]
    writes = [step for step in steps if step.get("Type") != "range-operation"]
    if not writes:
        return
    if len(steps) != 1 or asked.get("Conditions"):
        raise FormatError(
            file, line, "a transaction of several steps or with conditions is not on one register"
        )
    step, outcome = writes[0], "unknown" if failed else "ok"
    if step.get("Type") == "put-operation":
        put = step.get("Put") or {}
        _add(
            operations, fields, file, line, str(put.get("Key")), "put", _etcd_value(put.get("Value")), outcome
        )
    else:
        key = str((step.get("Delete") or {}).get("Key"))
        _add(operations, fields, file, line, key, "delete", None, outcome)


def _etcd_value(value: Any) -> str:
    """A value, or the hash that stands for a long one."""
    fields = value or {}
    return fields.get("Value") or f"#{fields.get('Hash', 0)}"
