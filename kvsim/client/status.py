"""Ask a node who it is, in its own protocol, and read the answer by the program's `status` query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvsim.client.exchange import Answer, Client, Request
from kvsim.client.json_path import find, parse_path, read_json
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
    fields = read_fields(program.status, answer.exchange.text) if ok else {}
    return NodeStatus(answer, role_of(program.status, fields.get("role")), fields)


def read_fields(query: Query, text: str) -> dict[str, str]:
    """The fields of a status answer: `$.a.b` reads JSON, anything else is a pattern with its first group."""
    document = read_json(text[text.find("{") :]) if "{" in text else None
    read = {name: _read(path, text, document) for name, path in query.fields.items()}
    found = {name: value for name, value in read.items() if value is not None}
    if "role" not in found and {"self", "leader"} <= found.keys():
        found["role"] = Role.LEADER if found["self"] == found["leader"] else Role.FOLLOWER
    return found


def role_of(query: Query, word: str | None) -> Role | None:
    if word is None:
        return None
    words = {"leader": Role.LEADER, "follower": Role.FOLLOWER} | {
        w.lower(): role for w, role in query.words.items()
    }
    return words.get(word.lower())


def _read(path: str, text: str, document: Any) -> str | None:
    if path.startswith("$"):
        return find(document, parse_path(path))
    match = re.search(path, text, re.MULTILINE)
    return (match.group(1) if match.re.groups else match.group()) if match else None
