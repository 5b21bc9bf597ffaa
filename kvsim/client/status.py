"""Ask a node who it is, in its own protocol, and read the answer by the program's `status` query."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvsim.client.exchange import Answer, Client, Request
from kvsim.config.program import Program, Query, Role
from kvsim.history.outcome import Kind


@dataclass(frozen=True)
class NodeStatus:
    """What a node says of itself. `role` is None when the answer does not tell; `fields` holds all that was
    asked for.
    """

    answer: Answer
    role: Role | None
    fields: Mapping[str, str]

    @property
    def answered(self) -> bool:
        return self.answer.outcome.kind is Kind.OK


def ask_status(client: Client, program: Program, timeout_s: float) -> NodeStatus | None:
    """One status request. None when the program has no `status` query."""
    if program.status is None:
        return None
    answer = client.ask(Request(program.status.request), timeout_s)
    ok = answer.outcome.kind is Kind.OK
    fields = read_fields(program.status, answer.exchange.received.decode("utf-8", "replace")) if ok else {}
    return NodeStatus(answer, _role(program.status, fields.get("role")), fields)


def read_fields(query: Query, text: str) -> dict[str, str]:
    """The fields of a status answer: `$.a.b` reads JSON, anything else is a pattern whose first group is the
    value.
    """
    document = _json(text)
    found = {name: _read(path, text, document) for name, path in query.fields.items()}
    return {name: value for name, value in found.items() if value is not None}


def _role(query: Query, word: str | None) -> Role | None:
    if word is None:
        return None
    word = word.lower()
    if word in query.words:
        return query.words[word]
    return Role(word) if word in set(Role) else None


def _read(path: str, text: str, document: Any) -> str | None:
    if path.startswith("$"):
        return _walk(document, path)
    match = re.search(path, text, re.MULTILINE)
    return (match.group(1) if match.re.groups else match.group()) if match else None


def _walk(document: Any, path: str) -> str | None:
    for part in path.removeprefix("$").strip(".").split("."):
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, dict) and part in document:
            document = document[part]
        else:
            return None
    if document is None:
        return None
    return document if isinstance(document, str) else json.dumps(document)


def _json(text: str) -> Any:
    start = text.find("{")
    try:
        return json.loads(text[start:]) if start >= 0 else None
    except ValueError:
        return None
