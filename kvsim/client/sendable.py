"""Can the protocol of a program carry a request? Decided without a connection.

`lint` asks it of the keys and values that a scenario writes. A limit of the protocol is never a
failure of the store.
"""

from __future__ import annotations

from collections.abc import Mapping

from kvsim.client.connect import connect, protocol_names
from kvsim.client.exchange import Client, Request
from kvsim.client.stream import StreamClient
from kvsim.client.templates import UnknownVerb, Unsendable, compile_template, raw_endings
from kvsim.config.names import known_names
from kvsim.config.program import Program
from kvsim.errors import UsageError

# Requests whose template has this key in it: a key that one cannot carry is no key.
KEY_VERBS = ("put", "get", "delete", "cas")
# Characters that a server takes for the end of a field, where the template writes one.
SEPARATORS = " \t,;:|/="


def why_unsendable(program: Program, request: Request) -> str | None:
    """Why this request cannot be sent, in one line; None when it can, or when it is not known."""
    client = _client(program)
    if request.payload is not None or not isinstance(client, StreamClient):
        return _holds_nul(program, request)
    try:
        client.codec.encode(request)
    except UnknownVerb:
        return None
    except Unsendable as error:
        return str(error)
    except UsageError:
        # A mistake of node.yaml.
        return None
    return _ambiguous(program, request) if program.speak.kind == "lines" else None


# The client of each program, by the identity of the program, which is kept with it.
_CLIENTS: dict[int, tuple[Program, Client | None]] = {}


def _client(program: Program) -> Client | None:
    if id(program) not in _CLIENTS:
        _CLIENTS[id(program)] = (program, _new_client(program))
    return _CLIENTS[id(program)][1]


def _new_client(program: Program) -> Client | None:
    """A client that never connects; None where a class of the user, or a mistake, makes it."""
    if program.speak.kind not in protocol_names():
        return None
    names = known_names(program.ports, program.options, ["n1"]).names
    try:
        return connect(program, "127.0.0.1", 1, names=dict.fromkeys(names, "1"))
    except UsageError:
        return None


def _holds_nul(program: Program, request: Request) -> str | None:
    for name, text in request.fields.items():
        if program.speak.kind == "command" and "\0" in text:
            return f"cannot send {request.verb}: its {name} has a NUL, which no argument can hold"
    return None


def _ambiguous(program: Program, request: Request) -> str | None:
    """A field that ends where its template goes on: `PUT a b c` for the key `a b`."""
    texts = [(request.verb, request.fields)]
    if "key" in request.fields:
        key = {"key": request.fields["key"]}
        texts += [(verb, key) for verb in KEY_VERBS if verb in program.requests]
    for verb, fields in texts:
        template = program.requests.get(verb)
        if isinstance(template, str):
            problem = _ambiguous_field(verb, template, fields)
            if problem:
                return problem
    return None


def _ambiguous_field(verb: str, template: str, fields: Mapping[str, str]) -> str | None:
    for name, end in raw_endings(compile_template(template, {})).items():
        text = fields.get(name)
        if text is None or not end or end[0] not in SEPARATORS:
            continue
        what = f"cannot send {verb}: in {template!r}"
        if not text:
            return f"{what}, an empty {name} cannot be seen"
        if end[0] in text:
            return f"{what}, {end[0]!r} ends the {name}, and {text!r} has one in it"
    return None
