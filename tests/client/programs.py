"""Programs for the client's tests: values built by hand, as node.yaml would have described them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kvsim.client.connect import connect
from kvsim.client.exchange import Client
from kvsim.config.program import Program, Rule, Speak

READ_ONLY = r"^ERR read-only(?:.*port (?P<leader_port>\d+))?"
STORE_RULES = {
    "put": (Rule("ok", reply="^OK$"), Rule("read_only", reply=READ_ONLY)),
    "get": (Rule("value", reply="^VALUE (?P<value>.*)$"), Rule("not_found", reply="^NOT_FOUND$")),
    "any": (Rule("refused", reply="^ERR "),),
}
STORE_REQUESTS = {"put": "PUT {key} {value}", "get": "GET {key}", "ping": "PING"}


def program(
    kind: str = "lines",
    settings: Mapping[str, object] | None = None,
    requests: Mapping[str, object] = STORE_REQUESTS,
    replies: Mapping[str, tuple[Rule, ...]] = STORE_RULES,
    folder: Path = Path(),
) -> Program:
    return Program("store", folder, {}, speak=Speak(kind, settings or {}), requests=requests, replies=replies)


def client(port: int, described: Program) -> Client:
    return connect(described, "127.0.0.1", port, names={"port": str(port), "host": "127.0.0.1"})
