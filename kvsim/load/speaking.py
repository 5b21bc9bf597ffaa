"""One program's requests and replies for a load: bytes out by table, bytes in by memo. Pure; no socket.

Everything is the client layer's own codec and rules; this only remembers what they said. All values of a load have one length and
differ in their digits only, so a write is fixed bytes with values between them, and so is the answer to a read; both are held
against the codec before they are relied on.
"""

from __future__ import annotations

from typing import NamedTuple

from kvsim.client.codec import Codec, Malformed, Oversize
from kvsim.client.exchange import Exchange, Request
from kvsim.client.outcomes import classify
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
    UNKNOWN,
)
from kvsim.history.outcome import Kind, Outcome
from kvsim.load.plan import VALUE_DIGITS, LoadPlan

MEMO_MOST = 50_000
MEMO_BYTES_MOST = 256
KIND_OF = {"get": GET, "put": PUT, "delete": DELETE, "cas": CAS}
READING = frozenset({GET, CAS_MET})  # kinds whose value is what the answer shows
OUTCOME_OF = {Kind.OK: OK, Kind.REFUSED: REFUSED, Kind.UNKNOWN: UNKNOWN}
ONE, OTHER = (
    123_456_789,
    987_654_321,
)  # numbers of values by which a shape is found and held against the codec


class Said(NamedTuple):
    """What a reply means: outcome and kind as column numbers, the value read, the leader it named."""

    outcome: int
    kind: int
    value: str | None = None
    leader: str | None = None


class Shown(NamedTuple):
    """A reply that shows a value of ours: what stands before its digits, how long it is, what stands behind them, what it means."""

    before: bytes
    size: int
    behind: bytes
    said: Said


Around = tuple[bytes, ...]  # the fixed bytes of a request, between which its values stand


class Speaker:
    """Requests of one node's program, for one load."""

    def __init__(self, client: StreamClient, plan: LoadPlan) -> None:
        self._codec: Codec = client.codec
        self._rules = client.rules
        self._plan, self._tag = plan, plan.tag
        self.memo: dict[str, dict[bytes, Said]] = {verb: {} for verb in KIND_OF}  # verb → reply → its meaning
        self._fixed: dict[str, list[bytes]] = {}
        self._put = [self._around("put", key) for key in plan.keys] if plan.mix.get("put") else []
        self._cas = [self._around("cas", key) for key in plan.keys] if plan.compares else []
        self._shown: dict[str, Shown] = {}

    def write(self, key: int, value: str, expected: str | None = None) -> bytes:
        """A put; a compare-and-set where a value is expected. Both values are of the load's own shape."""
        if expected is None:
            around = self._put[key]
            if around is not None:
                return around[0] + value.encode() + around[1]
            return self._encode("put", self._plan.keys[key], value)
        around = self._cas[key]
        if around is not None:
            return around[0] + expected.encode() + around[1] + value.encode() + around[2]
        return self._encode("cas", self._plan.keys[key], value, expected)

    def other(self, verb: str, key: int) -> bytes:
        """A request without a value."""
        made = self._fixed.get(verb)
        if made is None:
            made = [self._codec.encode(Request(verb, {"key": one})) for one in self._plan.keys]
            self._fixed[verb] = made
        return made[key]

    def read(self, verb: str, data: bytes) -> Said | None:
        """What the bytes received so far mean; None while the reply is not whole. `memo` is to be asked first."""
        shown = self._shown.get(verb)
        if shown is not None and len(data) == shown.size and data.startswith(shown.before):
            digits = data[len(shown.before) : len(shown.before) + VALUE_DIGITS]
            if digits.isdigit() and data.endswith(shown.behind):
                return Said(OK, shown.said.kind, self._tag + digits.decode())
        said = self._read(verb, data)
        if said is not None and len(data) <= MEMO_BYTES_MOST:
            memo = self.memo[verb]
            if len(memo) >= MEMO_MOST:
                memo.clear()
            memo[data] = said
            if shown is None and said.value and self._plan.is_ours(said.value):
                self._learn(verb, data, said)
        return said

    def _read(self, verb: str, data: bytes) -> Said | None:
        try:
            reply = self._codec.decoder(verb).feed(data)
        except (Malformed, Oversize):
            return Said(UNKNOWN, KIND_OF[verb])
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
            surplus=len(reply.rest),
        )
        return said_of(verb, classify(self._rules(verb), exchange)[0])

    def _learn(self, verb: str, data: bytes, said: Said) -> None:
        """Remember how this reply shows a value of ours, unless another value in its place would not be read as that one."""
        value = (said.value or "").encode()
        before, found, behind = data.partition(value)
        others = [self._plan.value(number) for number in (ONE, OTHER)]
        read = [self._read(verb, before + other.encode() + behind) for other in others]
        if found and value not in behind and read == [said._replace(value=other) for other in others]:
            self._shown[verb] = Shown(before + self._tag.encode(), len(data), behind, said)

    def _encode(self, verb: str, key: str, value: str, expected: str | None = None) -> bytes:
        fields = {"key": key, "value": value, **({"expected": expected} if expected is not None else {})}
        return self._codec.encode(Request(verb, fields))

    def _around(self, verb: str, key: str) -> Around | None:
        """What stands around the values in a write of this key; None where the codec transforms values, or says one twice."""
        plan = self._plan
        values = [plan.value(ONE), plan.value(OTHER)][: 1 if verb == "put" else 2]
        whole = self._encode(verb, key, values[-1], *values[:-1])
        parts: list[bytes] = []
        rest = whole
        for value in values:
            before, found, rest = rest.partition(value.encode())
            if not found:
                return None
            parts.append(before)
        parts.append(rest)
        turned = [plan.value(OTHER - number) for number in range(len(values))]
        filled = b"".join(part + value.encode() for part, value in zip(parts, turned, strict=False)) + rest
        return tuple(parts) if filled == self._encode(verb, key, turned[-1], *turned[:-1]) else None


def said_of(verb: str, outcome: Outcome) -> Said:
    """An outcome as columns."""
    kind = KIND_OF[verb]
    if outcome.kind is Kind.OK and not outcome.done:
        told = outcome.value is not None or outcome.found is False
        kind = {"delete": DELETE_MISSED, "cas": CAS_MET if told else CAS_MISSED}.get(verb, kind)
    value = outcome.value if kind in READING and outcome.kind is Kind.OK else None
    return Said(OUTCOME_OF[outcome.kind], kind, value, outcome.leader)


def row_of(said: Said, written: str | None, expected: str | None) -> tuple[int, str | None]:
    """Kind and value of an operation that wrote `written` and expected `expected`, as they are recorded.

    A cas that says that it met another value, and names the expected one, is one that does not say which.
    """
    if said.kind == CAS_MET and said.value == expected:
        return CAS_MISSED, written
    return said.kind, said.value if said.kind in READING else written


def seen_of(said: Said, written: str | None) -> str | None:
    """The value that the key holds by this answer, when it tells; `written` is what a put or a cas asked for."""
    if said.outcome != OK or said.kind == CAS_MISSED:
        return None
    return said.value if said.kind in READING else written
