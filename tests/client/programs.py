"""Programs for the tests of clients: the values that a node.yaml would give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kvsim.client.connect import connect
from kvsim.client.exchange import Client
from kvsim.config.program import Program, ReplyRule, Speak

READ_ONLY = r"^ERR read-only(?:.*port (?P<leader_port>\d+))?"
STORE_RULES = {
    "put": (ReplyRule("ok", reply="^OK$"), ReplyRule("read_only", reply=READ_ONLY)),
    "get": (
        ReplyRule("value", reply="^VALUE (?P<value>.*)$"),
        ReplyRule("not_found", reply="^NOT_FOUND$"),
    ),
    "any": (ReplyRule("refused", reply="^ERR "),),
}
STORE_REQUESTS = {"put": "PUT {key} {value}", "get": "GET {key}", "ping": "PING"}


def program(
    kind: str = "lines",
    settings: Mapping[str, object] | None = None,
    requests: Mapping[str, object] = STORE_REQUESTS,
    replies: Mapping[str, tuple[ReplyRule, ...]] = STORE_RULES,
    folder: Path = Path(),
) -> Program:
    return Program(
        "store", folder, {}, speak=Speak(kind, settings or {}), requests=requests, replies=replies
    )


def client(port: int, described: Program) -> Client:
    return connect(described, "127.0.0.1", port, names={"port": str(port), "host": "127.0.0.1"})
