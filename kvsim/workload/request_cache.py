"""The requests and replies of one program, cached for a load: bytes out by table, bytes in by memo.

The client layer's own codec and rules make all of them; this module remembers the results. All
values of a load have one length and differ only in their digits. So a write is fixed bytes around
its values, and so is the reply to a read. Both are verified with the codec before they are used.
"""

from __future__ import annotations

from typing import NamedTuple

from kvsim.client.codec import Malformed, Oversize
from kvsim.client.exchange import Exchange, Request
from kvsim.client.outcomes import classify, format_bytes
from kvsim.client.stream import StreamClient
from kvsim.history.operations import (
    CAS,
    CAS_MET,
    CAS_MISSED,
    DELETE,
    DELETE_MISSED,
    GET,
    OK,
    PUT,
    REFUSED,
    SHOWS_VALUE,
    UNKNOWN,
)
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.workload.plan import VALUE_DIGITS, LoadPlan

# The memo of a verb is emptied at this size. Longer replies are not remembered.
MEMO_SIZE_MAX = 50_000
MEMO_REPLY_BYTES_MAX = 256
KIND_OF = {"get": GET, "put": PUT, "delete": DELETE, "cas": CAS}
OUTCOME_OF = {OutcomeKind.OK: OK, OutcomeKind.REFUSED: REFUSED, OutcomeKind.UNKNOWN: UNKNOWN}
# The numbers of the values with which fixed bytes are found and verified.
TEST_NUMBER, OTHER_TEST_NUMBER = 123_456_789, 987_654_321


class ParsedReply(NamedTuple):
    """A reply: outcome and kind as column numbers, the value read, the leader it names.

    `last`: the node announced that it closes the connection after this reply. `unrecognised`: the
    reply, where no rule of node.yaml knows it.
    """

    outcome: int
    kind: int
    value: str | None = None
    leader: str | None = None
    last: bool = False
    unrecognised: str = ""


class ReplyPattern(NamedTuple):
    """A reply with a value of this load: the bytes before and after its digits, its length."""

    prefix: bytes
    size: int
    suffix: bytes
    kind: int
    last: bool


# The fixed bytes of a request; its values are between them.
FixedParts = tuple[bytes, ...]


class RequestCache:
    """The requests and replies of one node's program, for one load.

    `memo` maps a verb and the bytes of a reply to the parsed reply.
    """

    def __init__(self, client: StreamClient, plan: LoadPlan) -> None:
        self._codec = client.codec
        self._rules = client.rules
        self._plan, self._tag = plan, plan.tag
        self.memo: dict[str, dict[bytes, ParsedReply]] = {verb: {} for verb in KIND_OF}
        self._requests: dict[str, list[bytes]] = {}
        has_put = plan.mix.get("put")
        self._put = [self._fixed_parts("put", key) for key in plan.keys] if has_put else []
        self._cas = [self._fixed_parts("cas", key) for key in plan.keys] if plan.has_cas else []
        self._patterns: dict[str, ReplyPattern] = {}

    def write(self, key: int, value: str, expected: str | None = None) -> bytes:
        """A put, or a compare-and-set if a value is expected. Both values are the load's own."""
        if expected is None:
            parts = self._put[key]
            if parts is not None:
                return parts[0] + value.encode() + parts[1]
            return self._encode("put", self._plan.keys[key], value)
        parts = self._cas[key]
        if parts is not None:
            return parts[0] + expected.encode() + parts[1] + value.encode() + parts[2]
        return self._encode("cas", self._plan.keys[key], value, expected)

    def without_value(self, verb: str, key: int) -> bytes:
        """A request without a value."""
        requests = self._requests.get(verb)
        if requests is None:
            requests = [
                self._codec.encode(Request(verb, {"key": name})) for name in self._plan.keys
            ]
            self._requests[verb] = requests
        return requests[key]

    def parse(self, verb: str, data: bytes) -> ParsedReply | None:
        """The reply in the bytes received so far; None while it is not whole. Ask `memo` first."""
        pattern = self._patterns.get(verb)
        if pattern is not None and len(data) == pattern.size and data.startswith(pattern.prefix):
            digits = data[len(pattern.prefix) : len(pattern.prefix) + VALUE_DIGITS]
            if digits.isdigit() and data.endswith(pattern.suffix):
                return ParsedReply(OK, pattern.kind, self._tag + digits.decode(), last=pattern.last)
        reply = self._parse(verb, data)
        if reply is not None and len(data) <= MEMO_REPLY_BYTES_MAX:
            memo = self.memo[verb]
            if len(memo) >= MEMO_SIZE_MAX:
                memo.clear()
            memo[data] = reply
            if pattern is None and reply.value and self._plan.is_own(reply.value):
                self._find_pattern(verb, data, reply, reply.value)
        return reply

    def _parse(self, verb: str, data: bytes) -> ParsedReply | None:
        try:
            reply = self._codec.decoder(verb).feed(data)
        except (Malformed, Oversize):
            return ParsedReply(UNKNOWN, KIND_OF[verb], unrecognised=format_bytes(data))
        if reply is None:
            return None
        exchange = Exchange(
            verb,
            b"",
            data,
            0,
            0,
            reply=reply.text,
            status=reply.status,
            headers=reply.headers,
            extracted=reply.extracted,
            unsolicited=reply.rest,
            trailing_bytes=len(reply.rest),
        )
        outcome, _ = classify(self._rules(verb), exchange)
        return parsed_reply(verb, outcome)._replace(last=reply.last)

    def _find_pattern(self, verb: str, data: bytes, reply: ParsedReply, value: str) -> None:
        """Remember how `data` holds `value`, if other values in its position are read too."""
        prefix, found, suffix = data.partition(value.encode())
        others = [self._plan.value(number) for number in (TEST_NUMBER, OTHER_TEST_NUMBER)]
        parsed = [self._parse(verb, prefix + other.encode() + suffix) for other in others]
        if (
            found
            and value.encode() not in suffix
            and parsed == [reply._replace(value=other) for other in others]
        ):
            prefix += self._tag.encode()
            self._patterns[verb] = ReplyPattern(prefix, len(data), suffix, reply.kind, reply.last)

    def _encode(self, verb: str, key: str, value: str, expected: str | None = None) -> bytes:
        fields = {"key": key, "value": value}
        if expected is not None:
            fields["expected"] = expected
        return self._codec.encode(Request(verb, fields))

    def _fixed_parts(self, verb: str, key: str) -> FixedParts | None:
        """The bytes around the values in a write of this key.

        None: the codec transforms values, or writes one twice.
        """
        plan = self._plan
        count = 1 if verb == "put" else 2
        values = [plan.value(TEST_NUMBER), plan.value(OTHER_TEST_NUMBER)][:count]
        rest = self._encode(verb, key, values[-1], *values[:-1])
        parts: list[bytes] = []
        for value in values:
            prefix, found, rest = rest.partition(value.encode())
            if not found:
                return None
            parts.append(prefix)
        others = [plan.value(OTHER_TEST_NUMBER - number) for number in range(count)]
        filled = [part + other.encode() for part, other in zip(parts, others, strict=True)]
        if b"".join(filled) + rest != self._encode(verb, key, others[-1], *others[:-1]):
            return None
        return (*parts, rest)


def parsed_reply(verb: str, outcome: Outcome) -> ParsedReply:
    """An outcome as column numbers."""
    kind = KIND_OF[verb]
    if outcome.kind is OutcomeKind.OK and not outcome.done:
        has_value = outcome.value is not None or outcome.found is False
        missed = {"delete": DELETE_MISSED, "cas": CAS_MET if has_value else CAS_MISSED}
        kind = missed.get(verb, kind)
    value = outcome.value if kind in SHOWS_VALUE and outcome.kind is OutcomeKind.OK else None
    unrecognised = outcome.detail if outcome.reason is Reason.UNRECOGNISED else ""
    return ParsedReply(
        OUTCOME_OF[outcome.kind], kind, value, outcome.leader, unrecognised=unrecognised
    )


def kind_and_value(
    reply: ParsedReply, written: str | None, expected: str | None
) -> tuple[int, str | None]:
    """The kind and the value to record for an operation that wrote `written`.

    A cas that found another value than the expected one, and names the expected one as the value
    it found, is recorded as one that does not name it.
    """
    if reply.kind == CAS_MET and reply.value == expected:
        return CAS_MISSED, written
    return reply.kind, reply.value if reply.kind in SHOWS_VALUE else written


def observed_value(reply: ParsedReply, written: str | None) -> str | None:
    """The value that the key holds by this reply; None: it is not known.

    `written` is the value of a put or a cas.
    """
    if reply.outcome != OK or reply.kind == CAS_MISSED:
        return None
    return reply.value if reply.kind in SHOWS_VALUE else written
