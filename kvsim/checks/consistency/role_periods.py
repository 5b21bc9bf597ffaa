"""When each node certainly had which role, from samples of what the nodes reported. Pure.

A role is certain between two samples that agree on role and term; around a change, and outside all
samples, it is not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from itertools import compress

from msgspec import Struct

from kvsim.history.history import RoleSample
from kvsim.history.operations import Operations

LEADER, FOLLOWER = "leader", "follower"
# Instead of a role: no sample ever made one certain.
NO_ROLE = ""


class RolePeriod(Struct, frozen=True):
    """A period in which a node certainly had one role in one term; both ends are inside."""

    role: str
    term: int | None
    sure_from_ns: int
    sure_to_ns: int


class RolePeriods:
    """The periods of every node, from samples in any order. False when there are none."""

    def __init__(self, samples: Iterable[RoleSample]) -> None:
        by_node: dict[str, list[RoleSample]] = defaultdict(list)
        for sample in samples:
            by_node[sample.node].append(sample)
        self.periods = {node: _periods(of_node) for node, of_node in by_node.items()}
        self._begins = {
            node: [period.sure_from_ns for period in periods]
            for node, periods in self.periods.items()
        }

    def __bool__(self) -> bool:
        return bool(self.periods)

    def covering(self, node: str | None, begin_ns: int, end_ns: int) -> RolePeriod | None:
        """The role period of `node` that covers all of a time span; None when there is none."""
        begins = self._begins.get(node or "")
        if not begins:
            return None
        at = bisect_right(begins, begin_ns) - 1
        period = self.periods[node or ""][at] if at >= 0 else None
        return period if period is not None and end_ns <= period.sure_to_ns else None

    def label(self, node: str | None, at_ns: int) -> str:
        """The role to print: the last one sampled by `at_ns`, or the first one; may be empty."""
        begins = self._begins.get(node or "")
        if not begins:
            return ""
        at = max(0, bisect_left(begins, at_ns + 1) - 1)
        return self.periods[node or ""][at].role


def roles_throughout(operations: Operations, roles: RolePeriods, mask: bytes) -> list[str | None]:
    """By node number, the role that a node certainly had during all operations in `mask`.

    NO_ROLE for a node whose role was never certain, None where each operation has to be asked
    for. The last entry is that of NOWHERE.
    """
    begin_ns = min(compress(operations.call_ns, mask), default=0)
    end_ns = max(compress(operations.return_ns, mask), default=0)
    found: list[str | None] = []
    for name in operations.nodes.strings:
        period = roles.covering(name, begin_ns, end_ns)
        if period is not roles.covering(name, end_ns, end_ns):
            period = None
        unknown = None if roles.periods.get(name) else NO_ROLE
        found.append(unknown if period is None else period.role)
    return [*found, NO_ROLE]


def _periods(samples: list[RoleSample]) -> list[RolePeriod]:
    """Join neighbouring samples that agree: from the first answer to the last question."""
    samples.sort(key=lambda sample: sample.at_ns)
    found: list[RolePeriod] = []
    for sample in samples:
        asked_ns = sample.at_ns if sample.asked_ns is None else sample.asked_ns
        last = found[-1] if found else None
        if last is not None and (last.role, last.term) == (sample.role, sample.term):
            end_ns = max(last.sure_to_ns, asked_ns)
            found[-1] = RolePeriod(last.role, last.term, last.sure_from_ns, end_ns)
        else:
            found.append(RolePeriod(sample.role, sample.term, sample.at_ns, sample.at_ns))
    return found
