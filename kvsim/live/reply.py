"""What a node answered, for Python tests. A frozen value; judges nothing."""

from __future__ import annotations

from dataclasses import dataclass

from kvsim.history.outcome import Kind, Reason


@dataclass(frozen=True)
class Reply:
    """One request and what came of it: exactly one of `ok`, `refused` (it certainly did not happen) and `unknown` (it may have).

    `value` is the value read or met, None when there is none; `found` is False for "no such key" and None when the reply does not speak
    of it; `matched` is False when a compare-and-set did not meet the value it expected. `leader` is the node that a refusal named
    (or the address, when no node has it). `sent` and `received` are the bytes.
    """

    node: str
    verb: str
    kind: Kind
    reason: Reason | None
    value: str | None
    found: bool | None
    leader: str | None
    sent: bytes
    received: bytes
    latency_ms: float
    detail: str
    matched: bool | None = None

    @property
    def ok(self) -> bool:
        """It was answered as asked; also "no such key" and "no match" are answers."""
        return self.kind is Kind.OK

    @property
    def refused(self) -> bool:
        """It certainly did not happen."""
        return self.kind is Kind.REFUSED

    @property
    def unknown(self) -> bool:
        """It may have happened: a time-out, a reset, a reply that nobody can read."""
        return self.kind is Kind.UNKNOWN

    def __bool__(self) -> bool:
        raise TypeError("an answer is one of three things: ask for .ok, .refused or .unknown")

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.node} {self.verb}: {self.kind}{reason} {self.received!r}"
