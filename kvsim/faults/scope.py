"""Carry out one fault around some work: plan noted before, receipts noted, healed whatever happened, healing noted.

The only place that runs a fault. Notes go through one callable (the journal's `write`), so that what happened is on disk
before the next thing does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kvsim.faults.fault import Fault, Healing, Receipt

Note = Callable[..., None]


@dataclass
class Scope:
    """What a fault has shown so far."""

    receipts: list[Receipt] = field(default_factory=list)
    healings: list[Healing] = field(default_factory=list)

    @property
    def unhealed(self) -> list[str]:
        return [one.says for one in self.healings if not one.healed]


@contextlib.contextmanager
def scope(fault: Fault, note: Note, *, step: str, required: bool = True) -> Iterator[Scope]:
    """While inside, the fault lasts; it is known by its step. Raises what `begin` raises, after healing whatever had been done by then."""
    found = Scope()
    plan = {"id": step, "fault": fault.kind, "nodes": list(fault.nodes), "settings": dict(fault.plan())}
    note("fault_plan", **plan, required=required)
    try:
        note("fault_begin", id=step)
        _keep(fault.begin(), found, note, step)
        yield found
    finally:
        try:
            _keep(fault.end(), found, note, step)
        finally:
            _heal(fault, found, note, step)


def _heal(fault: Fault, found: Scope, note: Note, step: str) -> None:
    """Heal and note it. An interrupt in the middle of it has to wait: healing begins anew, and only then is it passed on."""
    interrupt: BaseException | None = None
    try:
        healings = fault.heal()
    except BaseException as error:
        interrupt, healings = error, fault.heal()
    found.healings += healings
    note("fault_end", id=step, healed=not found.unhealed, says=[one.says for one in found.healings])
    if interrupt is not None:
        raise interrupt


def _keep(receipts: Sequence[Receipt], found: Scope, note: Note, step: str) -> None:
    for receipt in receipts:
        found.receipts.append(receipt)
        note("fault_receipt", id=step, **vars(receipt))
