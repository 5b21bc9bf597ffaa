"""Send a status request to a node and read the response by the program's `status` query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from kvsim.client.exchange import Client, Request, Response
from kvsim.client.json_path import find, parse_path, read_json
from kvsim.config.program import Program, Query, Role
from kvsim.config.protocol_schema import HEADER_PATH, STATUS_PATH
from kvsim.config.template import render
from kvsim.history.outcome import OutcomeKind
from kvsim.patterns import search

NO_HEADERS: Mapping[str, str] = {}


class NodeStatus(Struct, frozen=True):
    """What a node reports about itself.

    `role` is None when the response does not state it. `fields` holds all fields of the query that
    the response has.
    """

    response: Response
    role: Role | None
    fields: Mapping[str, str]

    @property
    def answered(self) -> bool:
        return self.response.outcome.kind is OutcomeKind.OK


def ask_status(
    client: Client, program: Program, timeout_s: float, names: Mapping[str, Any]
) -> NodeStatus | None:
    """One status request. None when the program has no `status` query.

    `names` are the node's names for templates, which its words for roles may use.
    """
    if program.status is None:
        return None
    response = client.ask(Request(program.status.request), timeout_s)
    return read_status(program.status, response, names)


def read_status(query: Query, response: Response, names: Mapping[str, Any]) -> NodeStatus:
    """What a response says of its node; nothing, where it is not ok."""
    ok = response.outcome.kind is OutcomeKind.OK
    exchange = response.exchange
    fields = read_fields(query, exchange.text, exchange.status, exchange.headers) if ok else {}
    return NodeStatus(response, role_of(query, fields.get("role"), names), fields)


def read_fields(
    query: Query, text: str, status: int | None = None, headers: Mapping[str, str] = NO_HEADERS
) -> dict[str, str]:
    """The fields of a status reply: `$.a.b` reads JSON, a pattern takes its first group; `status`
    and `headers.NAME` are not in its text.

    Without a field `role`, the node is the leader if `self` and `leader` are equal.
    """
    document = read_json(text[text.find("{") :]) if "{" in text else None
    outside = {f"{HEADER_PATH}{name.lower()}": value for name, value in headers.items()}
    if status is not None:
        outside[STATUS_PATH] = str(status)
    read = {
        name: outside.get(path.lower()) if _is_outside(path) else _read(path, text, document)
        for name, path in query.fields.items()
    }
    found = {name: value for name, value in read.items() if value is not None}
    if found.get("leader_index0", "").isdecimal():
        found["leader"] = str(int(found["leader_index0"]) + 1)
    if "role" not in found and {"self", "leader"} <= found.keys():
        found["role"] = Role.LEADER if found["self"] == found["leader"] else Role.FOLLOWER
    return found


def role_of(query: Query, word: str | None, names: Mapping[str, Any]) -> Role | None:
    """The role that the program calls `word`; None: it is not known.

    `names` are the node's names for templates.
    """
    if word is None:
        return None
    own_words = {
        (render(own_word, names) if "{" in own_word else own_word).lower(): role
        for own_word, role in query.words.items()
    }
    roles = {"leader": Role.LEADER, "follower": Role.FOLLOWER} | own_words
    return roles.get(word.lower())


def _is_outside(path: str) -> bool:
    return path == STATUS_PATH or path.startswith(HEADER_PATH)


def _read(path: str, text: str, document: Any) -> str | None:
    if path.startswith("$"):
        return find(document, parse_path(path))
    match = search(path, text, multiline=True)
    return (match.group(1) if match.re.groups else match.group()) if match else None
