"""Decide one key: the fastest exact decider first, the search last.

A "yes" can be proved by an order that is replayed. `decide_key` is the entry of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kvsim.checks.linearizability import put_get, put_get_numpy
from kvsim.checks.linearizability.append_chains import chain_appends
from kvsim.checks.linearizability.budget import Budget, Meter
from kvsim.checks.linearizability.build_zones import ZoneSet, build_zones
from kvsim.checks.linearizability.certificate import linearize_zones, replays
from kvsim.checks.linearizability.decision import (
    LINEARIZABLE,
    Decision,
    ViolationReason,
    not_linearizable,
    undecided,
)
from kvsim.checks.linearizability.effects import Join
from kvsim.checks.linearizability.failed_cas import find_impossible_failure, insert_failed_cas
from kvsim.checks.linearizability.local_contradiction import find_local_contradiction
from kvsim.checks.linearizability.register import Register, register_of
from kvsim.checks.linearizability.search import search
from kvsim.checks.linearizability.zones import decide_zones
from kvsim.history.numpy_module import numpy_pays
from kvsim.history.operations import ABSENT, APPEND, CAS_MISSED, Operations

Method = Literal["columns", "numpy", "zones", "search"]
# Of the first search: most keys need fewer.
QUICK_CONFIGURATIONS = 5_000
# The share of the time for contradictions in short stretches.
LOCAL_SHARE = 0.4


class KeyDecision(Struct, frozen=True):
    """The decision on one key, the decider that made it, and the proof of a "yes" on demand.

    `order` are indexes into the operations of the key, in an order that explains them all.
    """

    decision: Decision
    method: Method
    order: tuple[int, ...] | None = None


def decide_key(
    operations: Operations,
    initial: int = ABSENT,
    *,
    meter: Meter | None = None,
    certify: bool = False,
    use_numpy: bool | None = None,
) -> KeyDecision:
    """Decide the operations of one key, which starts with value number `initial`.

    `meter` limits the search. `use_numpy` None means: when it is installed and faster. With
    `certify`, a "yes" of the exact deciders carries an order that was replayed; a "yes" of the
    search always does. An order that does not replay would be a defect of kvsim, and the key is
    undecided.
    """
    result = _by_columns(operations, initial, use_numpy)
    if result.decision.linearizable is False or (result.decision.linearizable and not certify):
        return result
    register = register_of(operations, initial)
    if result.decision.linearizable:
        return _proved(register, result)
    join = Join(operations.values)
    result = _by_zones(register, join, certify)
    unproven = result.decision.reason is ViolationReason.UNPROVEN
    if result.decision.linearizable is None and not unproven:
        return _by_search(register, join, meter)
    return result


def _by_columns(operations: Operations, initial: int, use_numpy: bool | None) -> KeyDecision:
    if use_numpy is None:
        use_numpy = numpy_pays(len(operations))
    if use_numpy:
        return KeyDecision(put_get_numpy.decide(operations, initial), "numpy")
    return KeyDecision(put_get.decide(operations, initial), "columns")


def _proved(register: Register, result: KeyDecision) -> KeyDecision:
    """The "yes" of a quick decider with its order.

    Undecided when the zones disagree, which would be a defect of kvsim.
    """
    zone_set = build_zones(register)
    proof = (
        KeyDecision(zone_set, result.method)
        if isinstance(zone_set, Decision)
        else _certified(register, zone_set, result.method)
    )
    return (
        proof
        if proof.decision.linearizable
        else KeyDecision(undecided(ViolationReason.UNPROVEN), result.method)
    )


def _by_zones(register: Register, join: Join, certify: bool) -> KeyDecision:
    chained = chain_appends(register, join) if APPEND in register.kind else register
    zone_set = chained if isinstance(chained, Decision) else build_zones(chained)
    if isinstance(zone_set, Decision):
        return KeyDecision(zone_set, "zones")
    if certify or CAS_MISSED in register.kind:
        return _certified(register, zone_set, "zones", join)
    return KeyDecision(decide_zones(zone_set), "zones")


def _by_search(register: Register, join: Join, meter: Meter | None) -> KeyDecision:
    """A quick search, then one for a contradiction in a short stretch, then one for all orders."""
    meter = meter or Budget().meter()
    result = search(register, meter.with_configurations(QUICK_CONFIGURATIONS), join)
    blocked = result.blocked
    if result.found is None:
        blocked = find_local_contradiction(register, meter.share(LOCAL_SHARE))
        if blocked is None:
            result = search(register, meter, join)
            blocked = result.blocked
        else:
            result = replace(result, found=False)
    if result.found is None:
        return KeyDecision(undecided(ViolationReason.BUDGET), "search")
    if not result.found:
        at = () if blocked is None else (blocked,)
        return KeyDecision(not_linearizable(ViolationReason.NO_ORDER, at=at), "search")
    return _replayed(register, result.order, "search", join)


def _certified(
    register: Register, zone_set: ZoneSet, method: Method, join: Join | None = None
) -> KeyDecision:
    """A "yes" with its order, or a "no".

    `register` is what the order has to explain. Undecided when a failed compare-and-set fits
    nowhere, or when the order does not replay.
    """
    order = linearize_zones(zone_set)
    if isinstance(order, Decision):
        return KeyDecision(order, method)
    failed_cas = zone_set.clusters.failed_cas
    if failed_cas:
        decision = find_impossible_failure(zone_set.clusters)
        merged = None if decision else insert_failed_cas(register, failed_cas, order)
        if merged is None:
            return KeyDecision(decision or undecided(ViolationReason.FAILED_CAS), method)
        order = merged
    return _replayed(register, order, method, join)


def _replayed(
    register: Register, order: Sequence[int], method: Method, join: Join | None
) -> KeyDecision:
    if not replays(register, order, join):
        return KeyDecision(undecided(ViolationReason.UNPROVEN), method)
    return KeyDecision(LINEARIZABLE, method, tuple(register.index[at] for at in order))
