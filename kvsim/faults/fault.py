"""What a fault is: values, and the interface every kind implements. Knows no kind, no launcher and no journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kvsim.errors import KvsimError


class FaultFailed(KvsimError):
    """A fault could not be carried out, or not be healed. The message says what was done and what was seen instead."""


@dataclass(frozen=True)
class Receipt:
    """Measured evidence of one fault on one subject (a node, or a link `n1->n2`).

    `bit` is True when it really bit, False when it demonstrably did not, None when nobody tried, so nothing could be seen.
    """

    subject: str
    bit: bool | None
    says: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Healing:
    """What became of one subject when the fault was over: `healed` after a look, and what was seen."""

    subject: str
    healed: bool
    says: str


class Fault(Protocol):
    """One fault, ready to be carried out once."""

    kind: str
    nodes: tuple[str, ...]  # whom it hits

    def plan(self) -> Mapping[str, Any]:
        """Everything that is decided before it is carried out, as plain values."""
        ...

    def begin(self) -> Sequence[Receipt]:
        """Carry it out; the receipts that can be had at once. Raises FaultFailed, NodeFailed."""
        ...

    def end(self) -> Sequence[Receipt]:
        """The receipts that only the scope's own traffic can give, right before healing."""
        ...

    def heal(self) -> Sequence[Healing]:
        """Undo it and look whether it is undone. Safe after a `begin` that broke off. Never raises for what a node does."""
        ...
