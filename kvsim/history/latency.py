"""How fast a load was answered: operations a second, and the times of its answers.

Only answered operations count; how many were unknown is counted elsewhere. Pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from msgspec import Struct

from kvsim.history.build import CLIENTS_OF_ONE_LOAD, build_history
from kvsim.history.operations import KINDS, NOWHERE, UNKNOWN, Operations
from kvsim.history.run_record import RunRecord
from kvsim.structs import to_dict

# The verbs that were requested, by the kind that tells the answer too.
VERBS = tuple(kind.partition("_")[0] for kind in KINDS)
ALL = ""


class Latency(Struct, frozen=True):
    """The answers to one verb from one node; `verb` or `node` is empty for all together.

    Times are milliseconds from the request to its answer; `p95_ms`: 95 of 100 took no longer
    (nearest rank). `per_s` counts the time from the first request to the last answer.
    """

    verb: str
    node: str
    count: int
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    def to_json(self) -> dict[str, Any]:
        return to_dict(self)


def latencies_of(record: RunRecord, number: int) -> list[Latency]:
    """How fast the load of a run was answered that was started as the `number`-th, from 1."""
    history = build_history(record)
    if history is None:
        return []
    first = number * CLIENTS_OF_ONE_LOAD
    return latencies(history.operations, range(first, first + CLIENTS_OF_ONE_LOAD))


def latencies(operations: Operations, processes: range) -> list[Latency]:
    """All answers together, then by verb, then by verb and node. `processes`: of one load.

    Empty where nothing was answered.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    calls, returns = [], []
    for row in _answered(operations, processes):
        call_ns, return_ns = operations.call_ns[row], operations.return_ns[row]
        calls.append(call_ns)
        returns.append(return_ns)
        node = operations.node[row]
        name = ALL if node == NOWHERE else operations.nodes.strings[node]
        verb = VERBS[operations.kind[row]]
        for key in {(ALL, ALL), (verb, ALL), (verb, name)}:
            groups[key].append(return_ns - call_ns)
    if not calls:
        return []
    lasted_s = max(1e-9, (max(returns) - min(calls)) / 1e9)
    return [_latency(*key, sorted(groups[key]), lasted_s) for key in sorted(groups)]


def _answered(operations: Operations, processes: Collection[int]) -> Iterator[int]:
    return (
        row
        for row, process in enumerate(operations.process)
        if process in processes and operations.outcome[row] != UNKNOWN
    )


def _latency(verb: str, node: str, took_ns: Sequence[int], lasted_s: float) -> Latency:
    def percentile(share: float) -> float:
        return took_ns[max(0, math.ceil(share * len(took_ns)) - 1)] / 1e6

    return Latency(
        verb,
        node,
        len(took_ns),
        len(took_ns) / lasted_s,
        percentile(0.50),
        percentile(0.95),
        percentile(0.99),
        took_ns[-1] / 1e6,
    )
