"""How is it spoken to? Tries the usual requests, through its own client or over a socket, and learns its replies from what comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kvsim.client.exchange import Exchange
from kvsim.config.program import Rule
from kvsim.doctor.first.draft import Draft, Request
from kvsim.doctor.first.starts import plain
from kvsim.doctor.first.trial import ask
from kvsim.doctor.patient import Ward
from kvsim.errors import UsageError

CLIENT_WAYS = (
    ("--port={port}",),
    ("--port", "{port}"),
    ("-p", "{port}"),
    ("{host}", "{port}"),
    ("{host}:{port}",),
    ("{port}",),
)
WORDS = (("put", "get", "delete"), ("PUT", "GET", "DELETE"), ("set", "get", "del"), ("SET", "GET", "DEL"))
HINTS = {
    True: "give the client's command with {port} in it: --client './client -h {host} -p {port}'",
    False: "is there a client of its own? --client ./build/kv_client",
}
KEY, VALUE, MISSING = "kvsim-knocks", "who-is-there", "kvsim-never-wrote-this"


def learn_speech(draft: Draft, folder: Path, ward: Ward, client: tuple[str, ...]) -> Draft:
    """A draft that stores and reads back. Raises UsageError when nothing usual works."""
    for speak, requests in _client_ways(client) if client else _socket_ways():
        candidate = replace(draft, speak=speak, requests=requests)
        put = ask(ward, candidate, folder, "n1", "put", KEY, VALUE)
        got = ask(ward, candidate, folder, "n1", "get", KEY) if put else None
        if put and got and VALUE in got.text and put.text != got.text:
            return _learn_replies(candidate, folder, ward, put, got)
    raise UsageError(f"none of the usual requests stored a value and read it back; {HINTS[bool(client)]}")


def _client_ways(client: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Request]]]:
    ways = [()] if any("{port}" in word for word in client) else CLIENT_WAYS
    for way in ways:
        for put, get, delete in WORDS:
            base = (*client, *way)
            yield (
                "command",
                {
                    "put": (*base, put, "{key}", "{value}"),
                    "get": (*base, get, "{key}"),
                    "delete": (*base, delete, "{key}"),
                },
            )


def _socket_ways() -> Iterator[tuple[str, dict[str, Request]]]:
    for put, get, delete in reversed(
        WORDS
    ):  # an unknown word in small letters closes some stores' connections
        yield (
            "lines",
            {"put": f"{put} {{key}} {{value}}", "get": f"{get} {{key}}", "delete": f"{delete} {{key}}"},
        )
    yield "resp", {"put": ("SET", "{key}", "{value}"), "get": ("GET", "{key}"), "delete": ("DEL", "{key}")}


def _learn_replies(draft: Draft, folder: Path, ward: Ward, put: Exchange, got: Exchange) -> Draft:
    missing = ask(ward, draft, folder, "n1", "get", MISSING)
    deleted = ask(ward, draft, folder, "n1", "delete", KEY)
    again = ask(ward, draft, folder, "n1", "delete", KEY)
    get_rules = (_rule("value", got, value=VALUE),)
    if missing is not None and missing.text != got.text:
        get_rules += (_rule("not_found", missing),)
    rules = {"put": (_rule("ok", put),), "get": get_rules}
    remarks = draft.remarks
    if deleted is None:
        remarks += ("its delete was not understood",)
    else:
        told_apart = again is not None and again.text != deleted.text
        rules["delete"] = (_rule("ok", deleted), *((_rule("not_found", again),) if told_apart else ()))
    requests = {verb: request for verb, request in draft.requests.items() if verb in rules}
    return replace(draft, rules=rules, requests=requests, remarks=remarks)


def _rule(outcome: str, exchange: Exchange, value: str = "") -> Rule:
    """A rule for a reply: the value in it is a group, a key in it is any text."""
    parts = exchange.text.split(value) if value else [exchange.text]
    pattern = "^" + "(?P<value>.*)".join(map(_any_key, parts)) + "$"
    return Rule(outcome, pattern, _status(exchange))


def _any_key(text: str) -> str:
    return ".*".join(map(plain, re.split(f"{KEY}|{MISSING}", text)))


def _status(exchange: Exchange) -> frozenset[int]:
    return frozenset() if exchange.status is None else frozenset({exchange.status})


def learn_refusal(draft: Draft, folder: Path, ward: Ward) -> Draft:
    """What a follower says to a write: a rule, and whether it names the leader."""
    put = ask(ward, draft, folder, "n2", "put", KEY, VALUE)
    if put is None:
        return replace(draft, remarks=(*draft.remarks, "a follower did not answer a put"))
    if re.search(draft.rules["put"][0].reply or "", put.text):
        return replace(
            draft, remarks=(*draft.remarks, "a follower took a put: the roles scenario will say so")
        )
    leader = str(ward.launcher.nodes["n1"].place.port)
    head, names, tail = put.text.partition(leader)
    pattern = "^" + plain(head) + (rf"(?P<leader_port>\d+){plain(tail)}" if names else "")
    more = ("redirect",) if names else ()
    return replace(
        draft, common=(Rule("read_only", pattern, _status(put)),), capabilities=(*draft.capabilities, *more)
    )
