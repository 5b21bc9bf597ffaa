"""Porcupine's operations as JSON lines or an array: its key-value model, MIT's and etcd's.

An operation is porcupine.Operation: ClientId, Input, Call, Output, Return. Input and Output belong
to the model. The key-value model, with op 0 get, 1 put, 2 append; a key that is not there reads as
the empty string:

    {"ClientId":0,"Input":{"op":1,"key":"k","value":"v"},"Call":10,"Output":{"value":""},"Return":20}

That of MIT's 6.5840 since 2025 has a Version in its Input, and Version and Err in its Output (see
`versioned_puts`). A field that no model here has is an error: it may change what happened.

The model of etcd's robustness tests, here the Input and Output of a read and the Input of a write:

    {"Type":"range","Range":{"Start":"k"}}                   {"Range":{"KVs":[…]}}
    {"Type":"txn","Txn":{"OperationsOnSuccess":[{"Type":"put-operation",…}]}}

Of etcd's requests, those on one key are read: a range without an end, and a transaction that is a
single put or delete without conditions. Reads of many keys or of the past, grants of leases,
defragmentation and compaction are left out. A write that this reader cannot follow (conditions,
several keys, a revoked lease) is an error, because later reads would look wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

from kvsim.history.history import History
from kvsim.history.json_values import json_values, normal_number
from kvsim.history.operations import APPEND, Operations
from kvsim.history.operations import KINDS as KIND_NAMES
from kvsim.history.pairing import FormatError, empty_values, make_readable, resolve_empty
from kvsim.history.row_batch import Columns, add_in_batches
from kvsim.history.typed_values import encode
from kvsim.history.versioned_puts import ANSWERS, MAYBE, OK, VersionedKey, VersionedOperation

KINDS = {
    0: "get",
    1: "put",
    2: "append",
    "get": "get",
    "put": "put",
    "append": "append",
    "delete": "delete",
}
OPERATION = ("clientid", "input", "call", "output", "return")
FIELDS = frozenset(OPERATION)
# What users note of an operation, for Porcupine's pictures.
NOTES = frozenset({"metadata"})
INPUT_FIELDS = frozenset({"op", "key", "value", "version"})
OUTPUT_FIELDS = frozenset({"value", "version", "err"})
# Those of an operation without a version and without an error.
PLAIN_INPUT, PLAIN_OUTPUT = ("op", "key", "value"), ("value",)
PLAIN_KINDS = {(type(op), op): kind for op, kind in KINDS.items() if kind != "delete"}
APPEND_NAME = KIND_NAMES[APPEND]
NOT_FOUND = "ErrNoKey"
# Requests of etcd that write no key.
NO_WRITE = frozenset({"leaseGrant", "defragment", "compact"})
ETCD_REQUEST = frozenset(
    {"Type", "Range", "Txn", "LeaseGrant", "LeaseRevoke", "Defragment", "Compact"}
)
ETCD_TRANSACTION = frozenset({"Conditions", "OperationsOnSuccess", "OperationsOnFailure"})
ETCD_STEP = frozenset({"Type", "Range", "Put", "Delete"})
ETCD_RANGE = frozenset({"Start", "End", "Limit", "Revision"})
ETCD_PUT, ETCD_DELETE = frozenset({"Key", "Value", "LeaseID"}), frozenset({"Key"})
HEAD = re.compile(r"\s*[\[{]")
CLIENT = re.compile(r'"client_?id"\s*:', re.IGNORECASE)


def matches(head: str) -> bool:
    """Whether text that begins like this is such a history."""
    return bool(HEAD.match(head) and CLIENT.search(head)) and '"input"' in head.lower()


def read(lines: Iterable[str], file: str = "operations.json") -> History:
    """The history. Raises FormatError with the line."""
    reader = _OperationsReader(file)
    add_in_batches(reader.operations, json_values(lines, file), reader.columns, reader.add)
    return reader.history()


def _fields(objects: Sequence[Any], names: tuple[str, ...]) -> list[list[Any]]:
    """For each name, its field in all objects. The objects may have it in any case.

    KeyError: they do not have these fields only, or write them in different cases.
    """
    if set(map(type, objects)) != {dict} or set(map(len, objects)) != {len(names)}:
        raise KeyError(names)
    written = {name.lower(): name for name in objects[0]}
    return [list(map(itemgetter(written[name]), objects)) for name in names]


class _OperationsReader:
    """The operations so far. Keys and values are encoded until the end."""

    def __init__(self, file: str) -> None:
        self.file, self.line = file, 0
        self.entries, self.append_line = 0, 0
        self.operations = Operations()
        self.versioned: dict[str, VersionedKey] = {}
        self.is_etcd = False

    def columns(self, entries: Sequence[Any]) -> Columns | None:
        """Many operations of the key-value model without versions; None: one is of another kind,
        or appends."""
        if self.versioned or self.is_etcd:
            return None
        try:
            clients, requests, calls, responses, returns = _fields(entries, OPERATION)
            ops, keys, values = _fields(requests, PLAIN_INPUT)
            kinds = list(map(PLAIN_KINDS.__getitem__, zip(map(type, ops), ops, strict=True)))
            outcomes = ["ok"] * len(kinds)
            if None in responses or None in returns:
                known = [
                    response is not None and end is not None
                    for response, end in zip(responses, returns, strict=True)
                ]
                found = iter(_fields([*compress(responses, known)], PLAIN_OUTPUT)[0])
                shown = [next(found) if is_known else None for is_known in known]
                returns = [end if ok else None for end, ok in zip(returns, known, strict=True)]
                outcomes = ["ok" if is_known else "unknown" for is_known in known]
            else:
                (shown,) = _fields(responses, PLAIN_OUTPUT)
        except (KeyError, TypeError):
            return None
        if not self.append_line and APPEND_NAME in kinds:
            return None
        values = [
            found if kind == "get" else value
            for kind, value, found in zip(kinds, values, shown, strict=True)
        ]
        if None in values:
            values = ["" if value is None else value for value in values]
        self.entries += len(kinds)
        nothing = [None] * len(kinds)
        return calls, returns, clients, keys, kinds, values, nothing, outcomes, nothing

    def add(self, line: int, entry: dict[str, Any]) -> None:
        """The next operation, unless it is one that is left out. Raises FormatError."""
        self.line = line
        self.entries += 1
        fields = self._lowered(entry)
        if not fields.keys() >= FIELDS:
            raise self._error("an operation has ClientId, Input, Call, Output and Return")
        self._only(fields, FIELDS | NOTES, "operation")
        request = self._lowered(fields["input"])
        if self.entries > 1 and self.is_etcd is not ("type" in request):
            raise self._error("some operations are of etcd's model, and others are not")
        self.is_etcd = "type" in request
        if self.is_etcd:
            self._add_etcd(fields)
        else:
            self._add_key_value(fields, request)

    def history(self) -> History:
        """All operations. Raises FormatError when there are none."""
        for key, versioned in self.versioned.items():
            for operation, meaning in versioned.as_register():
                self.line = operation.line
                self._add(key, operation.client, operation.call, operation.returned, *meaning)
        if not len(self.operations):
            what = f"none of its {self.entries} operations is on one key, so nothing can be judged"
            raise FormatError(self.file, 1, what if self.entries else "it holds no operation")
        # etcd tells an empty value from an absent one.
        written = frozenset() if self.is_etcd else resolve_empty(self.operations)
        make_readable(self.operations, self.file, self.append_line)
        initial = empty_values(self.operations, written)
        return History(self.operations, initial=initial, origin=self.file)

    def _add(
        self,
        key: str,
        client: int,
        call: int,
        returned: int | None,
        kind: str,
        value: str | None,
        expected: str | None = None,
        outcome: str = "ok",
    ) -> None:
        if returned is None:
            outcome = "unknown"
        try:
            row = self.operations.add(
                call, returned, client, key, kind, value, expected=expected, outcome=outcome
            )
        except ValueError as error:
            raise self._error(f"not an operation: {error}") from error
        if self.operations.kind[row] == APPEND:
            self.append_line = self.append_line or self.line

    # The key-value model, without versions and with them.

    def _add_key_value(self, fields: dict[str, Any], request: dict[str, Any]) -> None:
        op = request.get("op")
        kind = KINDS.get(op) if isinstance(op, int | str) and not isinstance(op, bool) else None
        if kind is None:
            known = "known are 0 get, 1 put, 2 append, delete"
            raise self._error(f"op {op!r} is not known; {known}")
        self._only(request, INPUT_FIELDS, "Input")
        key = encode(normal_number(request.get("key", ""))) or ""
        output = fields["output"]
        response = None if output is None else self._lowered(output)
        if response is not None:
            self._only(response, OUTPUT_FIELDS, "Output")
        returned = None if response is None else self._integer(fields, "return", optional=True)
        is_versioned = "version" in request or "version" in (response or {})
        is_known = key in self.versioned or key in self.operations.keys.numbers
        if returned is None and kind == "get":
            # It shows nothing, so it may be of either model.
            is_versioned = False
        elif is_known and is_versioned is not (key in self.versioned):
            raise self._error("some operations on this key have a version, and others have none")
        place = self._integer(fields, "clientid"), self._integer(fields, "call")
        if is_versioned:
            answered = None if returned is None else response
            operation = self._versioned(kind, request, answered, place, returned)
            self.versioned.setdefault(key, VersionedKey()).operations.append(operation)
            return
        written, outcome = self._value_of(request), "ok"
        if response is not None and returned is not None:
            found = response.get("err") or OK
            if found == NOT_FOUND and kind == "get":
                written = ""
            elif found != OK:
                raise self._error(f"the answer {found!r} is not known; known are OK and ErrNoKey")
            elif kind == "get":
                written = self._value_of(response)
        self._add(key, *place, returned, kind, encode(written), None, outcome)

    def _versioned(
        self,
        kind: str,
        request: dict[str, Any],
        response: dict[str, Any] | None,
        place: tuple[int, int],
        returned: int | None,
    ) -> VersionedOperation:
        if kind not in ANSWERS:
            raise self._error(f"{kind} has no version; known are get and put")
        answer = MAYBE if response is None else response.get("err") or OK
        if answer not in ANSWERS[kind]:
            known = f"known are {', '.join(ANSWERS[kind])}"
            raise self._error(f"the answer {answer!r} of a {kind} is not known; {known}")
        holder = request if kind == "put" or response is None else response
        version = self._integer({"version": 0, **holder}, "version")
        if version < 0 or (kind == "get" and answer == OK and version == 0):
            raise self._error(f"a value with the version {version}; versions begin with 1")
        if answer == MAYBE:
            returned = None
        client, call = place
        value = self._value_of(holder)
        return VersionedOperation(self.line, call, returned, client, kind, value, version, answer)

    @staticmethod
    def _value_of(fields: dict[str, Any]) -> Any:
        value = fields.get("value")
        return "" if value is None else normal_number(value)

    # The model of etcd's robustness tests.

    def _add_etcd(self, fields: dict[str, Any]) -> None:
        request, output = fields["input"], self._object(fields["output"])
        self._known(request, ETCD_REQUEST, "request")
        failed = bool(output.get("Error") or output.get("ClientError"))
        kind = str(request.get("Type"))
        if kind == "range":
            # Of a response that is known to exist only (Persisted), the content is not known.
            partial = output.get("Persisted") or output.get("PartialResponse")
            if not failed and not partial and output.get("Range") is not None:
                self._add_range(fields, self._object(request.get("Range")), output["Range"])
        elif kind == "txn":
            # Without a response it is not known whether it happened.
            is_known = output.get("Txn") is not None or output.get("Persisted")
            self._add_transaction(
                fields, self._object(request.get("Txn")), failed=failed or not is_known
            )
        elif kind not in NO_WRITE:
            raise self._error(f"a {kind} may delete keys, which this reader cannot follow")

    def _add_range(self, fields: dict[str, Any], request: dict[str, Any], answer: Any) -> None:
        self._known(request, ETCD_RANGE, "range")
        if request.get("End") or request.get("Limit") or request.get("Revision"):
            return
        found = self._list(self._object(answer).get("KVs"))
        if len(found) > 1 or (found and self._object(found[0]).get("Key") != request.get("Start")):
            raise self._error("a range of one key returns other keys")
        value = self._etcd_value(self._object(found[0]).get("Value")) if found else None
        self._add_etcd_operation(fields, request.get("Start"), "get", value)

    def _add_transaction(
        self, fields: dict[str, Any], request: dict[str, Any], *, failed: bool
    ) -> None:
        self._known(request, ETCD_TRANSACTION, "transaction")
        steps = [
            self._object(step)
            for name in ("OperationsOnSuccess", "OperationsOnFailure")
            for step in self._list(request.get(name))
        ]
        writes = [step for step in steps if step.get("Type") != "range-operation"]
        if not writes:
            return
        self._known(writes[0], ETCD_STEP, "step")
        never = request.get("OperationsOnFailure")
        if len(steps) != 1 or request.get("Conditions") or never:
            raise self._error(
                "a transaction of several steps or with conditions is not on one register: "
                "kvsim does not judge that model yet"
            )
        write, outcome = writes[0], "unknown" if failed else "ok"
        if write.get("Type") == "put-operation":
            put = self._object(write.get("Put"))
            self._known(put, ETCD_PUT, "put")
            value = self._etcd_value(put.get("Value"))
            self._add_etcd_operation(fields, put.get("Key"), "put", value, outcome)
        elif write.get("Type") == "delete-operation":
            delete = self._object(write.get("Delete"))
            self._known(delete, ETCD_DELETE, "delete")
            self._add_etcd_operation(fields, delete.get("Key"), "delete", None, outcome)
        else:
            raise self._error(f"a step of the type {write.get('Type')!r} is not known")

    def _add_etcd_operation(
        self, fields: dict[str, Any], key: Any, kind: str, value: str | None, outcome: str = "ok"
    ) -> None:
        if not isinstance(key, str):
            raise self._error("the key is not a string")
        client, call = self._integer(fields, "clientid"), self._integer(fields, "call")
        returned = self._integer(fields, "return", optional=True)
        text = encode(value)
        self._add(encode(key) or "", client, call, returned, kind, text, None, outcome)

    def _etcd_value(self, value: Any) -> str:
        """A value, or the hash that stands for a long one."""
        fields = self._object(value)
        text, number = fields.get("Value") or "", fields.get("Hash") or 0
        if not isinstance(text, str) or not isinstance(number, int):
            raise self._error("a value has a Value that is a string, or a Hash that is a number")
        return f"#{number}" if number else text

    # What a line holds, or an error.

    def _known(self, fields: dict[str, Any], known: frozenset[str], name: str) -> None:
        """As `_only`, of fields that say nothing where they are null, empty or 0."""
        self._only({name: None for name, value in fields.items() if value}, known, name)

    def _only(self, fields: dict[str, Any], known: frozenset[str], name: str) -> None:
        if not fields.keys() <= known:
            unknown = sorted(fields.keys() - known)
            what = (
                f"the {name} has the field {unknown[0]!r}, which may change what happened; "
                f"known are {', '.join(sorted(known))}"
            )
            raise self._error(what)

    def _integer(self, fields: dict[str, Any], name: str, *, optional: bool = False) -> Any:
        value = normal_number(fields[name])
        if type(value) is int:
            return value
        if value is not None or not optional:
            raise self._error(f"{name} is {json.dumps(value)[:40]}, not an integer")
        return value

    def _lowered(self, entry: Any) -> dict[str, Any]:
        """An object with its names in lower case, because Go writes `ClientId` by default."""
        if not isinstance(entry, dict):
            raise self._error(f"an object is expected, not {json.dumps(entry)[:40]}")
        lowered = {str(name).lower(): value for name, value in entry.items()}
        if len(lowered) < len(entry):
            raise self._error("a field is there twice, in upper and lower case")
        return lowered

    def _object(self, value: Any) -> dict[str, Any]:
        """An object of etcd; null is an empty one."""
        if value is not None and not isinstance(value, dict):
            raise self._error(f"an object is expected, not {json.dumps(value)[:40]}")
        return value or {}

    def _list(self, value: Any) -> list[Any]:
        if value is not None and not isinstance(value, list):
            raise self._error(f"a list is expected, not {json.dumps(value)[:40]}")
        return value or []

    def _error(self, what: str) -> FormatError:
        return FormatError(self.file, self.line, what)
