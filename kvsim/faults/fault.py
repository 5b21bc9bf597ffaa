"""What a fault is, and the only function that carries one out: `inject`.

A fault is carried out in this order: its plan is recorded, then it begins, work is done while it
lasts, its evidence is recorded, and the nodes recover, also after an error. It depends on no kind
of fault and no launcher.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import asdict

from kvsim.errors import Exit, KvsimError
from kvsim.history.history import FaultTraits
from kvsim.structs import to_dict


class FaultFailed(KvsimError):
    """A fault could not be carried out. The message states what was done and what was observed.

    Nothing was tested then: the verdict is invalid.
    """

    exit = Exit.INVALID


class Evidence(Struct, frozen=True):
    """What was measured of one fault on one subject: a node, or a link `n1–n2`.

    `took_effect`: True or False by measurement; None when there was no traffic that could show it.
    """

    subject: str
    took_effect: bool | None
    message: str
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message}: no traffic" if self.took_effect is None else self.message


class Recovery(Struct, frozen=True):
    """The state of one subject after the fault, as it was observed."""

    subject: str
    recovered: bool
    message: str


class Fault(Protocol):
    """One fault, ready to be carried out once."""

    @property
    def kind(self) -> str:
        """The name of its kind."""
        ...

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes it is for."""
        ...

    def plan(self) -> Mapping[str, Any]:
        """Everything that is decided before it begins, as plain values."""
        ...

    def begin(self) -> Sequence[Evidence]:
        """Carry it out; the evidence that exists at once. Raises FaultFailed, NodeFailed."""
        ...

    def measure(self) -> Sequence[Evidence]:
        """The evidence that traffic during the fault gives. Called right before `recover`."""
        ...

    def recover(self) -> Sequence[Recovery]:
        """Undo it and observe whether it is undone.

        Safe after a `begin` that was interrupted. Raises nothing for what a node does.
        """
        ...


# Writes one event: its kind, then its fields.
Note = Callable[..., None]


class Injection(Struct):
    """What one fault has shown so far."""

    evidence: list[Evidence] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)

    @property
    def unrecovered(self) -> list[str]:
        """The messages of subjects that have not recovered."""
        return [recovery.message for recovery in self.recoveries if not recovery.recovered]


@contextlib.contextmanager
def inject(
    fault: Fault, note: Note, *, step: str, traits: FaultTraits, required: bool = True
) -> Iterator[Injection]:
    """The fault lasts while the body runs. Its events carry the id of its step.

    `note` writes every event before the next action, so that the journal on disk is
    complete. Raises what `begin` raises, after what was done by then is undone.
    """
    injection = Injection()
    note(
        "fault_plan",
        id=step,
        fault=fault.kind,
        nodes=list(fault.nodes),
        settings=dict(fault.plan()),
        traits=to_dict(traits),
        required=required,
    )
    try:
        note("fault_begin", id=step)
        _record(fault.begin(), injection, note, step)
        yield injection
    finally:
        try:
            _record(fault.measure(), injection, note, step)
        finally:
            _recover(fault, injection, note, step)


def _recover(fault: Fault, injection: Injection, note: Note, step: str) -> None:
    """Recover and record it. After an interrupt, recovery runs again before it is raised."""
    interrupt: BaseException | None = None
    try:
        recoveries = fault.recover()
    except BaseException as error:
        interrupt, recoveries = error, fault.recover()
    injection.recoveries += recoveries
    messages = [recovery.message for recovery in injection.recoveries]
    note("fault_end", id=step, recovered=not injection.unrecovered, messages=messages)
    if interrupt is not None:
        raise interrupt


def _record(evidence: Sequence[Evidence], injection: Injection, note: Note, step: str) -> None:
    for item in evidence:
        injection.evidence.append(item)
        note("fault_evidence", id=step, **asdict(item))
