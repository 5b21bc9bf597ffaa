"""What became of one operation. Three kinds that never blur: ok, refused (it certainly did not happen), unknown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """`OK` was answered as asked; `REFUSED` certainly did not happen; `UNKNOWN` may have happened."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why an operation was refused or is unknown."""

    # refused: the node itself answered
    READ_ONLY = "read_only"
    OTHER = "other"
    NOT_READY = "not_ready"
    # refused: nothing was sent, because nobody listens
    UNREACHABLE = "unreachable"
    # unknown: it may have happened
    TIMEOUT = "timeout"
    RESET = "reset"
    CLOSED = "closed"
    UNRECOGNISED = "unrecognised"
    UNCERTAIN = "uncertain"  # the node itself says that it may have happened


REFUSAL_REASONS = frozenset({Reason.READ_ONLY, Reason.OTHER, Reason.NOT_READY, Reason.UNREACHABLE})


@dataclass(frozen=True)
class Outcome:
    """One operation's outcome.

    `value` is the value read, or met by a compare-and-set that did not match (None: not told, or not a read); `found` is False
    for "no such key" and None when the reply does not speak of it; `matched` is False for a compare-and-set that did not meet
    the value it expected. `leader` is the leader's address as the reply named it (`host:port`, a bare port, an id), still
    unresolved. `detail` is one human line: the reply, or what went wrong.
    """

    kind: Kind
    reason: Reason | None = None
    value: str | None = None
    found: bool | None = None
    leader: str | None = None
    detail: str = ""
    matched: bool | None = None

    def __post_init__(self) -> None:
        if (self.kind is Kind.REFUSED) != (self.reason in REFUSAL_REASONS):
            raise ValueError(f"outcome {self.kind} cannot have reason {self.reason}")

    @property
    def done(self) -> bool:
        """True when the node says that it did what was asked: ok, the key was there, and what was expected was met."""
        return self.kind is Kind.OK and self.found is not False and self.matched is not False

    @property
    def answered(self) -> bool:
        """True when the node replied in words kvsim knows."""
        return self.kind is Kind.OK or self.reason in {
            Reason.READ_ONLY,
            Reason.OTHER,
            Reason.NOT_READY,
            Reason.UNCERTAIN,
        }

    def to_json(self) -> dict[str, Any]:
        """The fields that are set, for the journal."""
        return {
            name: value
            for name, value in asdict(self).items()
            if value is not None and (value or name != "detail")
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Outcome:
        reason = fields.get("reason")
        return cls(**{**fields, "kind": Kind(fields["kind"]), "reason": Reason(reason) if reason else None})
