"""When were nodes certainly up and connected, and when was one certainly alone? Pure.

By what kvsim did: starts, signals and faults. Where that does not tell, nothing is certain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from msgspec import Struct

from kvsim.history.journal import Event
from kvsim.history.run_record import FaultRecord, RunRecord

# Rules of links with which no byte arrives.
NOTHING_PASSES = frozenset({"cut", "blackhole", "stall"})
Pair = frozenset[str]


class Period(Struct, frozen=True):
    """A time in which all of `nodes` were so, in seconds since the run began."""

    nodes: tuple[str, ...]
    begin_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s


class Disturbance(Struct, frozen=True):
    """A time in which something was wrong with a node, or with the link between two."""

    nodes: Pair
    begin_s: float
    end_s: float


def connected_majorities(record: RunRecord) -> list[Period]:
    """The longest periods in which the nodes of a smallest majority all ran, and no fault was on
    them or on the links between them.

    After a fault as much time again is left out: TCP sends again at intervals that double.
    """
    disturbances = record.built(_disturbances)
    end_s = max((event.at_s for event in record.events), default=0.0)
    size = len(record.nodes) // 2 + 1
    return [
        Period(nodes, begin_s, free_end_s)
        for nodes in combinations(record.nodes, size)
        for begin_s, free_end_s in _free_of(nodes, disturbances, end_s)
    ]


def _disturbances(record: RunRecord) -> list[Disturbance]:
    """Everything that kvsim did to nodes and links, and when kvsim itself did not run."""
    return [
        *_downtimes(record),
        *(item for fault in record.faults for item in _of_fault(record, fault)),
        *(
            Disturbance(frozenset({node}), gap.began_s, gap.ended_s)
            for gap in record.clock_gaps
            for node in record.nodes
        ),
    ]


def was_out(record: RunRecord, node: str, period: Period) -> bool:
    """Whether a node was down, or kept from all nodes of a period, for all of it."""
    covering = {
        item.nodes
        for item in record.built(_disturbances)
        if item.begin_s <= period.begin_s and period.end_s <= item.end_s
    }
    return frozenset({node}) in covering or all(
        frozenset({node, other}) in covering for other in period.nodes
    )


def _free_of(
    nodes: Sequence[str], disturbances: Sequence[Disturbance], end_s: float
) -> Iterator[tuple[float, float]]:
    """The periods of the run in which no disturbance is inside this set of nodes."""
    inside = sorted(
        (item for item in disturbances if item.nodes <= set(nodes)),
        key=lambda item: item.begin_s,
    )
    free_s = 0.0
    for item in inside:
        if item.begin_s > free_s:
            yield free_s, item.begin_s
        free_s = max(free_s, item.end_s)
    if free_s < end_s:
        yield free_s, end_s


def _downtimes(record: RunRecord) -> Iterator[Disturbance]:
    """From the beginning, a signal, or an end, until the node is ready."""
    since: dict[str, float] = dict.fromkeys(record.nodes, 0.0)
    for event in record.of_kind("spawn", "ready", "signal", "exit"):
        node = event["node"]
        if event.kind != "ready":
            since.setdefault(node, event.at_s)
        elif node in since:
            yield Disturbance(frozenset({node}), since.pop(node), event.at_s)
    for node, begin_s in since.items():
        yield Disturbance(frozenset({node}), begin_s, math.inf)


def _of_fault(record: RunRecord, fault: FaultRecord) -> Iterator[Disturbance]:
    """What a fault disturbs, from its plan on, and as long again after its end."""
    begin_s = _planned_s(record, fault)
    end_s = math.inf if fault.ended_s is None else 2 * fault.ended_s - begin_s
    if "flows" not in fault.settings:
        for node in fault.nodes:
            yield Disturbance(frozenset({node}), begin_s, end_s)
    for pair in {frozenset(flow) for flow in flows_of(fault)}:
        yield Disturbance(pair, begin_s, end_s)


def _planned_s(record: RunRecord, fault: FaultRecord) -> float:
    plan: Event = next(event for event in record.of_kind("fault_plan") if event["id"] == fault.id)
    return plan.at_s


def flows_of(fault: FaultRecord) -> list[tuple[str, str]]:
    """The (source, target) of each link direction that a fault is on; none for other faults."""
    found = []
    for flow in fault.settings.get("flows", ()):
        source, arrow, target = str(flow).partition("->")
        if arrow:
            found.append((source, target))
    return found


def severed_flows(fault: FaultRecord) -> set[tuple[str, str]]:
    """The link directions between nodes on which nothing passed."""
    if fault.settings.get("mode") not in NOTHING_PASSES:
        return set()
    return {flow for flow in flows_of(fault) if set(flow) <= set(fault.nodes)}


def measured_periods(record: RunRecord) -> Iterator[tuple[FaultRecord, float, float]]:
    """The faults that took effect and are over, with beginning and end."""
    for fault in record.faults:
        if fault.began_s is not None and fault.ended_s is not None and fault.took_effect:
            yield fault, fault.began_s, fault.ended_s


def periods_alone(record: RunRecord) -> Iterator[Period]:
    """The times in which nothing that any other node sent could arrive at a node."""
    for fault, begin_s, end_s in measured_periods(record):
        severed = severed_flows(fault)
        for node in record.nodes:
            others = set(record.nodes) - {node}
            if others and all((other, node) in severed for other in others):
                yield Period((node,), begin_s, end_s)
