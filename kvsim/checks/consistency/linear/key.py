"""Decide one key: the quickest exact decider first, the search last; "yes" is proved by an order that is
replayed.

The one door of this package for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kvsim.checks.consistency.linear import columns, numpy_columns
from kvsim.checks.consistency.linear.certificate import linearize_layout, replays
from kvsim.checks.consistency.linear.chains import Layout, lay_out
from kvsim.checks.consistency.linear.misses import fit, met_what_it_expected
from kvsim.checks.consistency.linear.register import Register, register_of
from kvsim.checks.consistency.linear.ruling import YES, Reason, Ruling, undecided
from kvsim.checks.consistency.linear.search import Budget, Join, search
from kvsim.checks.consistency.linear.zones import decide_layout
from kvsim.history.operations import ABSENT, CAS_MISSED, Operations

Method = Literal["columns", "numpy", "zones", "search"]
NUMPY_PAYS_FROM = 1_000  # operations; below that plain Python is as quick


@dataclass(frozen=True)
class KeyAnswer:
    """The ruling on one key, which decider gave it, and the proof of a "yes" when one was asked for.

    `order` are indexes into the operations of the key, in an order that explains them all.
    """

    ruling: Ruling
    method: Method
    order: tuple[int, ...] | None = None


def decide_key(
    operations: Operations,
    initial: int = ABSENT,
    *,
    budget: Budget = Budget(),  # noqa: B008
    certify: bool = False,
    use_numpy: bool | None = None,
) -> KeyAnswer:
    """Judge the operations of one key, which starts with value number `initial`.

    `use_numpy` None means: when it is installed and pays. With `certify`, a "yes" of the exact deciders
    carries an order that was replayed; one that does not replay would be a defect of kvsim and is answered
    "undecided".
    """
    answer = _by_columns(operations, initial, use_numpy)
    if answer.ruling.linearizable is False or (answer.ruling.linearizable and not certify):
        return answer
    register = register_of(operations, initial)
    if answer.ruling.linearizable is None:
        answer = _by_zones(register, certify)
        if answer.ruling.linearizable is None and answer.ruling.reason is not Reason.UNPROVEN:
            return KeyAnswer(search(register, budget, joiner(operations)), "search")
        return answer
    return _proved(register, answer)


def _by_columns(operations: Operations, initial: int, use_numpy: bool | None) -> KeyAnswer:
    if use_numpy is None:
        use_numpy = len(operations) >= NUMPY_PAYS_FROM and numpy_columns.numpy() is not None
    if use_numpy:
        return KeyAnswer(numpy_columns.decide(operations, initial), "numpy")
    return KeyAnswer(columns.decide(operations, initial), "columns")


def _proved(register: Register, answer: KeyAnswer) -> KeyAnswer:
    """The "yes" of a quick decider with its order; the zones saying anything else would be a defect of kvsim."""
    layout = lay_out(register)
    proof = (
        KeyAnswer(layout, answer.method) if isinstance(layout, Ruling) else _certified(layout, answer.method)
    )
    return proof if proof.ruling.linearizable else KeyAnswer(undecided(Reason.UNPROVEN), answer.method)


def _by_zones(register: Register, certify: bool) -> KeyAnswer:
    layout = lay_out(register)
    if isinstance(layout, Ruling):
        return KeyAnswer(layout, "zones")
    if certify or CAS_MISSED in register.kind:
        return _certified(layout, "zones")
    return KeyAnswer(decide_layout(layout), "zones")


def _certified(layout: Layout, method: Method) -> KeyAnswer:
    """A "yes" with its order, or a "no"; undecided when the misses fit nowhere or the order does not replay."""
    register, order = layout.clusters.register, linearize_layout(layout)
    if isinstance(order, Ruling):
        return KeyAnswer(order, method)
    misses = layout.clusters.misses
    if misses:
        ruling = met_what_it_expected(layout.clusters)
        woven = None if ruling else fit(register, misses, order)
        if woven is None:
            return KeyAnswer(ruling or undecided(Reason.MISSES), method)
        order = woven
    if not replays(register, order):
        return KeyAnswer(undecided(Reason.UNPROVEN), method)
    return KeyAnswer(YES, method, tuple(register.index[at] for at in order))


def joiner(operations: Operations) -> Join:
    """How appending works on value numbers: the joined string's number, a new one when nobody has used it
    yet.
    """
    values = operations.values

    def join(state: int, suffix: int) -> int:
        return values.number((values[state] or "") + (values[suffix] or ""))

    return join
