"""Classify a recorded reply again, from its bytes alone: no connection is opened, no command runs.

The codecs and outcome rules are those of the clients that asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from kvsim.client.codec import Codec, Malformed, Oversize, ReplyFrame
from kvsim.client.composition import compose
from kvsim.client.connect import connect, protocol_names
from kvsim.client.description import ClientDescription
from kvsim.client.exchange import Client, Exchange, Request, Response
from kvsim.client.outcomes import classify, rules_of
from kvsim.client.protocols.command import reply_in
from kvsim.client.status import NodeStatus, read_status
from kvsim.client.stream import StreamClient
from kvsim.config.program import Program, Query, ReplyRule
from kvsim.config.request_forms import FIRST_OF, STEPS, form_of
from kvsim.errors import KvsimError

# Their replies cannot be told apart in the bytes of a request that is made of several.
COMMAND = "command"
INSEPARABLE = frozenset({COMMAND, "frames"})


class NotDecodable(KvsimError):
    """Nothing follows from the recorded bytes. The message states why."""


class RecordedExchange(Struct):
    """The bytes of one request and its reply.

    `status` and `stderr` are those of a client command. `unsolicited` are the bytes that arrived
    without a request, of which the last `trailing_bytes` followed the reply. Afterwards, `whole`
    says whether the bytes show that the reply was whole.
    """

    verb: str
    sent: bytes
    received: bytes
    status: int | None = None
    stderr: bytes = b""
    unsolicited: bytes = b""
    trailing_bytes: int = 0
    whole: bool = True
    _left: bytes = b""

    def __post_init__(self) -> None:
        self._left = self.received

    def take_reply(self, verb: str, codec: Codec) -> Exchange:
        """The exchange that the next reply in the bytes gives."""
        decoder, reply, failure, problem = codec.decoder(verb, self.sent), None, None, ""
        try:
            reply = decoder.feed(self._left) if self._left else None
            if reply is None:
                self.whole = False
                reply = decoder.finish()
        except Oversize as error:
            failure, problem = "oversize", str(error)
        except Malformed as error:
            failure, problem = "malformed", str(error)
        if reply is None and failure is None:
            failure, problem = "closed", "the bytes hold no whole reply"
        frame = reply or ReplyFrame(b"")
        self._left = frame.rest
        return Exchange(
            verb=verb,
            sent=self.sent,
            received=self.received,
            invoked_ns=0,
            completed_ns=0,
            failure=failure,
            problem=problem,
            unsolicited=self.unsolicited,
            status=frame.status,
            headers=frame.headers,
            reply=None if reply is None else reply.text,
            extracted=frame.extracted,
            trailing_bytes=self.trailing_bytes,
        )

    def take_output(self, verb: str) -> Exchange:
        """The exchange that the output of a client command gives."""
        self.whole = self.status is not None
        return Exchange(
            verb=verb,
            sent=self.sent,
            received=self.received,
            invoked_ns=0,
            completed_ns=0,
            failure=None if self.whole else "closed",
            problem="" if self.whole else "the command has no exit status",
            status=self.status,
            stderr=self.stderr,
            reply=reply_in(self.received),
        )


NOTHING = RecordedExchange("", b"", b"")


class ReplyClassifier:
    """Classifies recorded replies of one node. Raises UsageError when no client can use its
    description.
    """

    def __init__(self, description: ClientDescription) -> None:
        self._description = description
        self.program = description.program
        self._recording = NOTHING
        if any(map(form_of, self.program.requests.values())):
            self._client: Client = compose(self.program, self._client_of)
        else:
            self._client = self._client_of(self.program)

    def classify(self, recording: RecordedExchange) -> Response:
        """The response that the recorded bytes give. Raises NotDecodable where they do not tell."""
        self._recording = recording
        payload = None if recording.verb in self.program.requests else recording.sent
        return self._client.ask(Request(recording.verb, payload=payload), 0.0)

    def status(self, query: Query, recording: RecordedExchange) -> NodeStatus:
        """What the recorded bytes say of the node. Raises NotDecodable where they do not tell."""
        return read_status(query, self.classify(recording), self._description.names)

    def _client_of(self, part: Program) -> Client:
        """A client of a program that is in one protocol, and reads the recording of the moment."""
        kind, rules = part.speak.kind, rules_of(part)
        if kind not in protocol_names():
            return _RecordedClient(rules, partial(self._undecodable, kind))
        if kind == COMMAND:
            return _RecordedClient(rules, self._read_output)
        where = self._description
        client = connect(part, where.host, where.port, names=where.names)
        assert isinstance(client, StreamClient), "every other protocol is over a connection"
        return _RecordedClient(rules, partial(self._read_reply, kind, client.codec))

    def _undecodable(self, kind: str, verb: str) -> Exchange:
        raise NotDecodable(f"`speak: {kind}` is no protocol of kvsim")

    def _read_output(self, verb: str) -> Exchange:
        self._require_separable(COMMAND)
        return self._recording.take_output(verb)

    def _read_reply(self, kind: str, codec: Codec, verb: str) -> Exchange:
        self._require_separable(kind)
        return self._recording.take_reply(verb, codec)

    def _require_separable(self, kind: str) -> None:
        form = form_of(self.program.requests.get(self._recording.verb))
        several = form in (FIRST_OF, STEPS)
        if several and (kind in INSEPARABLE or self._recording.unsolicited):
            raise NotDecodable(f"a request in the form `{form}` has several replies")


class _RecordedClient(Struct, frozen=True):
    """An exchange.Client whose exchanges are read from a recording."""

    rules: Callable[[str], Sequence[ReplyRule]]
    read: Callable[[str], Exchange]

    def ask(self, request: Request, timeout_s: float) -> Response:
        exchange = self.read(request.verb)
        return Response(exchange, *classify(self.rules(request.verb), exchange))

    def close(self) -> bytes:
        return b""
