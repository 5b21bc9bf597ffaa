"""The outcome of one operation: ok, refused (it certainly did not happen) or unknown.

A check may rely on the difference, so `unknown` is never turned into one of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict


class OutcomeKind(StrEnum):
    """`OK` was answered; `REFUSED` certainly did not happen; `UNKNOWN` may have happened."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why an operation was refused or is unknown."""

    # Refused: the node answered so.
    READ_ONLY = "read_only"
    OTHER = "other"
    NOT_READY = "not_ready"
    # Refused: nothing was sent, because no server accepts connections there.
    UNREACHABLE = "unreachable"
    # Unknown: it may have happened.
    TIMEOUT = "timeout"
    RESET = "reset"
    CLOSED = "closed"
    UNRECOGNISED = "unrecognised"
    # Unknown: the node answered that it may have happened.
    UNCERTAIN = "uncertain"


# Begins the detail of a request that was not sent, because the greeting or handshake did not come.
BEFORE_THE_REQUEST = "connected, but before the request could be sent"
# The reasons with which a node refuses in its own response.
NODE_REFUSALS = frozenset({Reason.READ_ONLY, Reason.OTHER, Reason.NOT_READY})
REFUSAL_REASONS = NODE_REFUSALS | {Reason.UNREACHABLE}


class Outcome(Struct, frozen=True):
    """One operation's outcome. Raises ValueError when kind and reason contradict each other.

    `value` is the value read, or the value that a compare-and-set found instead of the expected
    one; None: not in the reply, or not a read. `found` is False for "no such key", and None when
    the reply does not say. `matched` is False for a compare-and-set that did not find the value it
    expected. `leader` is the leader's address as the reply named it (`host:port`, `:port`, an
    id), not resolved to a node. `detail` is one line for people: the reply, or what went wrong.
    """

    kind: OutcomeKind
    reason: Reason | None = None
    value: str | None = None
    found: bool | None = None
    leader: str | None = None
    detail: str = ""
    matched: bool | None = None

    def __post_init__(self) -> None:
        if (self.kind is OutcomeKind.REFUSED) != (self.reason in REFUSAL_REASONS):
            raise ValueError(f"outcome {self.kind} cannot have reason {self.reason}")

    @property
    def done(self) -> bool:
        """Whether the node did what was requested: ok, with the key and the expected value."""
        return self.kind is OutcomeKind.OK and self.found is not False and self.matched is not False

    @property
    def answered(self) -> bool:
        """Whether the node sent a reply that a rule of the program matches."""
        return self.kind is OutcomeKind.OK or self.reason in NODE_REFUSALS | {Reason.UNCERTAIN}

    def to_json(self) -> dict[str, Any]:
        """The fields that are set, for the journal."""
        return {
            name: value
            for name, value in asdict(self).items()
            if value is not None and (value or name != "detail")
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Outcome:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for other fields."""
        reason = fields.get("reason")
        return cls(
            **{
                **fields,
                "kind": OutcomeKind(fields["kind"]),
                "reason": Reason(reason) if reason else None,
            }
        )
