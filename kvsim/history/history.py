"""Everything a run recorded on its one clock: operations, and beside them roles, faults, final reads and
the leader's log.

Values only. Reading and writing them is `history_file`'s work; judging them is `kvsim.checks`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kvsim.history.operations import ABSENT, Operations


@dataclass(frozen=True)
class RoleSample:
    """What a node said of itself at `at_ns`: its role, and its epoch and log index when it has them.

    `at_ns` is when the answer arrived; `asked_ns` when the question was sent. The node had this role at
    some instant between.
    """

    at_ns: int
    node: str
    role: str
    epoch: int | None = None
    index: int | None = None
    asked_ns: int | None = None


ENDS_A_LIFE = frozenset(
    {"kill", "restart", "crash", "disk"}
)  # faults in which a node's process ends, or may end


@dataclass(frozen=True)
class FaultSpan:
    """One fault that really bit: its kind (kill, pause, cut, …), whom it hit, and from when to when it
    lasted.
    """

    kind: str
    nodes: tuple[str, ...]
    began_ns: int
    ended_ns: int

    @property
    def name(self) -> str:
        return f"{self.kind} {','.join(self.nodes)}".strip()


@dataclass(frozen=True)
class FinalRead:
    """What a node answered for a key after healing and quiet. `value` None: the key is not there."""

    node: str
    key: str
    value: str | None
    at_ns: int = 0


@dataclass(frozen=True)
class History:
    """One run as the checks read it.

    `leader_log` is the leader's order of applied writes, (key, value) pairs, value None for a delete; None
    when nobody knows it. `initial` gives the keys that were there before the first operation. `origin` says
    where it came from, for messages.
    """

    operations: Operations
    samples: tuple[RoleSample, ...] = ()
    faults: tuple[FaultSpan, ...] = ()
    finals: tuple[FinalRead, ...] = ()
    leader_log: tuple[tuple[str, str | None], ...] | None = None
    initial: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    def initial_number(self, key: int) -> int:
        """The value number with which key number `key` starts; ABSENT unless `initial` says otherwise."""
        name = self.operations.keys[key]
        if name not in self.initial:
            return ABSENT
        return self.operations.values.number(self.initial[name])
