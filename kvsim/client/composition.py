"""A client for a program whose requests are in several protocols, or are made of several requests.

`kvsim.config.request_forms` has the forms. Each protocol has its own client; this one asks them in
turn and makes one exchange of what they got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from kvsim.client.exchange import Client, Exchange, Request, Response
from kvsim.client.outcomes import classify, matching_rule, rules_of
from kvsim.client.templates import UnknownVerb
from kvsim.config.program import NEXT, Program, Speak
from kvsim.config.request_forms import FIRST_OF, SEND, SPEAK, STEPS, form_of

# Makes the client of one protocol.
Connect = Callable[[Program], Client]


class RequestPart(Struct, frozen=True):
    """One of the requests that a request is made of: its protocol, and the verb it is known by."""

    speak: Speak
    verb: str
    request: object


def compose(program: Program, connect: Connect) -> ComposedClient:
    """A client of this program. `connect` makes the client of a program that is in one protocol."""
    parts = {
        verb: tuple(_parts(verb, request, program.speak))
        for verb, request in program.requests.items()
    }
    # Protocols by their number: their settings cannot be keys.
    speaks = [program.speak]
    for part in (part for several in parts.values() for part in several):
        if part.speak not in speaks:
            speaks.append(part.speak)
    clients = []
    for speak in speaks:
        own = [part for several in parts.values() for part in several if part.speak == speak]
        requests = {part.verb: part.request for part in own}
        clients.append(connect(replace(program, speak=speak, requests=requests)))
    table = {
        verb: tuple((clients[speaks.index(part.speak)], part.verb) for part in several)
        for verb, several in parts.items()
    }
    return ComposedClient(program, clients, table)


def _parts(verb: str, request: object, speak: Speak) -> Iterator[RequestPart]:
    form = form_of(request)
    if not isinstance(request, Mapping) or form is None:
        yield RequestPart(speak, verb, request)
    elif form == SEND:
        yield RequestPart(_speak(request[SPEAK]), verb, request[SEND])
    else:
        for number, part in enumerate(request[form], 1):
            yield from _parts(f"{verb} {number}", part, speak)


def _speak(given: object) -> Speak:
    """A protocol, from plain data."""
    if not isinstance(given, Mapping):
        return Speak(str(given))
    settings = {name: value for name, value in given.items() if name != "kind"}
    return Speak(str(given["kind"]), settings)


class ComposedClient:
    """An exchange.Client that asks the clients of several protocols.

    `parts`: verb → the client and the verb of each of its requests.
    """

    def __init__(
        self,
        program: Program,
        clients: Sequence[Client],
        parts: Mapping[str, tuple[tuple[Client, str], ...]],
    ) -> None:
        self._program = program
        self._rules = rules_of(program)
        self._clients, self._parts = clients, parts

    def ask(self, request: Request, timeout_s: float) -> Response:
        """Send one request, in as many parts as it has. All parts share the time limit."""
        if request.payload is not None:
            return self._clients[0].ask(request, timeout_s)
        verb = request.verb
        if verb not in self._parts:
            raise UnknownVerb(self._program.name, verb, self._program.requests)
        form = form_of(self._program.requests[verb])
        if form == STEPS:
            return self._ask_all(request, timeout_s)
        responses: list[Response] = []
        for position, part in enumerate(self._parts[verb]):
            # Whether a later alternative is asked is not known when the first is sent.
            response = _ask_part(part, request, timeout_s, responses, announce=position == 0)
            responses.append(response)
            rule = matching_rule(self._rules(verb), response.exchange)
            if form != FIRST_OF or rule is None or rule.outcome != NEXT:
                break
        last = responses[-1].exchange
        exchange = _joined(verb, [response.exchange for response in responses])
        reply = last.received if last.reply is None else last.reply
        # The alternatives before the last did nothing.
        return Response(replace(exchange, reply=reply), *classify(self._rules(verb), last))

    def _ask_all(self, request: Request, timeout_s: float) -> Response:
        responses: list[Response] = []
        parts = self._parts[request.verb]
        for part in parts:
            last = len(responses) == len(parts) - 1
            responses.append(_ask_part(part, request, timeout_s, responses, announce=last))
            if responses[-1].exchange.failure is not None:
                break
        exchanges = [response.exchange for response in responses]
        exchange = _joined(request.verb, exchanges)
        text = "\n".join(part.text for part in exchanges)
        exchange = replace(exchange, reply=text.encode("utf-8", "surrogateescape"))
        return Response(exchange, *classify(self._rules(request.verb), exchange))

    def client_of(self, verb: str) -> Client | None:
        """The client of a verb that is one request; None: it is made of several."""
        parts = self._parts.get(verb, ())
        is_one = form_of(self._program.requests.get(verb)) in (None, SEND)
        return parts[0][0] if len(parts) == 1 and is_one else None

    def close(self) -> bytes:
        """Close all connections. Returns the bytes that had arrived without a request."""
        return b"".join([client.close() for client in self._clients])


def _ask_part(
    part: tuple[Client, str],
    request: Request,
    timeout_s: float,
    before: Sequence[Response],
    *,
    announce: bool,
) -> Response:
    """Ask one part in what is left of the time. `announce`: say when it was sent."""
    client, verb = part
    when_sent = request.when_sent if announce else None
    used_ns = before[-1].exchange.completed_ns - before[0].exchange.invoked_ns if before else 0
    left_s = max(timeout_s - used_ns / 1e9, 0.0)
    return client.ask(replace(request, verb=verb, when_sent=when_sent), left_s)


def _joined(verb: str, exchanges: Sequence[Exchange]) -> Exchange:
    """The exchanges of all parts as one: it ends as the last of them did."""
    extracted: dict[str, str | None] = {}
    for exchange in exchanges:
        found = {name: value for name, value in exchange.extracted.items() if value is not None}
        extracted = {**exchange.extracted, **extracted, **found}
    return replace(
        exchanges[-1],
        verb=verb,
        sent=b"".join([exchange.sent for exchange in exchanges]),
        received=b"".join([exchange.received for exchange in exchanges]),
        invoked_ns=exchanges[0].invoked_ns,
        unsolicited=b"".join([exchange.unsolicited for exchange in exchanges]),
        stderr=b"".join([exchange.stderr for exchange in exchanges]),
        extracted=extracted,
    )
