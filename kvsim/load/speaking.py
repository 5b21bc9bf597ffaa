"""One program's requests and replies for a load: bytes out by table, bytes in by memo. Pure; no socket.

Everything is the client layer's own codec and rules; this only remembers what they said. All values of a load have one
length, so a put is a prefix, the value and a suffix, which is held against the codec when the tables are made.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kvsim.client.codec import Codec, Malformed, Oversize
from kvsim.client.exchange import Exchange, Request
from kvsim.client.outcomes import classify
from kvsim.client.stream import StreamClient
from kvsim.history.operations import DELETE, DELETE_MISSED, GET, OK, PUT, REFUSED, UNKNOWN
from kvsim.history.outcome import Kind, Outcome

MEMO_MOST = 50_000
MEMO_BYTES_MOST = 256
KIND_OF = {"get": GET, "put": PUT, "delete": DELETE}
OUTCOME_OF = {Kind.OK: OK, Kind.REFUSED: REFUSED, Kind.UNKNOWN: UNKNOWN}


@dataclass(frozen=True)
class Said:
    """What a reply means: outcome and kind as column numbers, the value read, the leader it named."""

    outcome: int
    kind: int
    value: str | None = None
    leader: str | None = None


class Speaker:
    """Requests of one node's program for a list of keys. `verbs` are those the load will use; `sample` is one of its values."""

    def __init__(
        self, client: StreamClient, verbs: Collection[str], keys: Sequence[str], sample: str
    ) -> None:
        self._codec: Codec = client.codec
        self._rules = client.rules
        self._memo: dict[tuple[str, bytes], Said] = {}
        self._keys = keys
        self._fixed: dict[str, list[bytes]] = {}
        self._around = [self._split(key, sample) for key in keys] if "put" in verbs else []

    def put(self, key: int, value: str) -> bytes:
        around = self._around[key]
        if around is None:
            return self._codec.encode(Request("put", {"key": self._keys[key], "value": value}))
        return around[0] + value.encode() + around[1]

    def other(self, verb: str, key: int) -> bytes:
        """A request without a value."""
        made = self._fixed.get(verb)
        if made is None:
            made = [self._codec.encode(Request(verb, {"key": one})) for one in self._keys]
            self._fixed[verb] = made
        return made[key]

    def read(self, verb: str, data: bytes) -> Said | None:
        """What the bytes received so far mean; None while the reply is not whole."""
        said = self._memo.get((verb, data))
        if said is not None:
            return said
        said = self._read(verb, data)
        if said is not None and len(data) <= MEMO_BYTES_MOST:
            if len(self._memo) >= MEMO_MOST:
                self._memo.clear()
            self._memo[verb, data] = said
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

    def _split(self, key: str, sample: str) -> tuple[bytes, bytes] | None:
        """What stands before and behind the value in a put of this key; None where the codec transforms the value."""
        one = self._codec.encode(Request("put", {"key": key, "value": sample}))
        before, found, behind = one.rpartition(sample.encode())
        other = sample[::-1]
        if not found or before + other.encode() + behind != self._codec.encode(
            Request("put", {"key": key, "value": other})
        ):
            return None
        return before, behind


def said_of(verb: str, outcome: Outcome) -> Said:
    """An outcome as columns."""
    kind = KIND_OF[verb]
    if outcome.kind is Kind.OK and verb == "delete" and outcome.found is False:
        kind = DELETE_MISSED
    value = outcome.value if verb == "get" and outcome.kind is Kind.OK else None
    return Said(OUTCOME_OF[outcome.kind], kind, value, outcome.leader)
