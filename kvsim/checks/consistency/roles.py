"""Who was what, when: from samples of each node's own word to "certainly leader from … to …". Pure.

A node's role is certain between two samples that agree on role and epoch; around a change, and outside all
samples, it is not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from kvsim.history.history import RoleSample


@dataclass(frozen=True)
class Tenure:
    """A period in which a node certainly had one role in one epoch: `sure_from_ns` to `sure_to_ns`, both
    inside.
    """

    role: str
    epoch: int | None
    sure_from_ns: int
    sure_to_ns: int


class Roles:
    """Tenures of every node, from samples in any order."""

    def __init__(self, samples: Iterable[RoleSample]) -> None:
        by_node: dict[str, list[RoleSample]] = defaultdict(list)
        for sample in samples:
            by_node[sample.node].append(sample)
        self.tenures = {node: _tenures(taken) for node, taken in by_node.items()}
        self._begins = {node: [one.sure_from_ns for one in found] for node, found in self.tenures.items()}

    def __bool__(self) -> bool:
        return bool(self.tenures)

    def throughout(self, node: str | None, begin_ns: int, end_ns: int) -> Tenure | None:
        """The tenure of `node` that covers all of the period, or None when nobody can say."""
        begins = self._begins.get(node or "")
        if not begins:
            return None
        at = bisect_right(begins, begin_ns) - 1
        tenure = self.tenures[node or ""][at] if at >= 0 else None
        return tenure if tenure is not None and end_ns <= tenure.sure_to_ns else None

    def label(self, node: str | None, at_ns: int) -> str:
        """The role for a picture: the one sampled last before `at_ns`, or the first one known; empty when
        none is.
        """
        begins = self._begins.get(node or "")
        if not begins:
            return ""
        at = max(0, bisect_left(begins, at_ns + 1) - 1)
        return self.tenures[node or ""][at].role


def _tenures(samples: list[RoleSample]) -> list[Tenure]:
    """Neighbouring samples that agree make one tenure, from the first answer to the last question."""
    samples.sort(key=lambda sample: sample.at_ns)
    found: list[Tenure] = []
    for sample in samples:
        asked = sample.at_ns if sample.asked_ns is None else sample.asked_ns
        last = found[-1] if found else None
        if last is not None and (last.role, last.epoch) == (sample.role, sample.epoch):
            found[-1] = Tenure(last.role, last.epoch, last.sure_from_ns, max(last.sure_to_ns, asked))
        else:
            found.append(Tenure(sample.role, sample.epoch, sample.at_ns, sample.at_ns))
    return found
