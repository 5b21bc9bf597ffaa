"""A run as the consistency checks read it: operations, roles, faults, final reads and the leader's
log.

All times are nanoseconds of one monotonic clock. Values only: `binary_file` reads and writes them,
`kvsim.checks` judges them.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from kvsim.history.operations import ABSENT, Operations


class RoleSample(Struct, frozen=True):
    """The role that a node reported, and its term and log index when the report has them.

    `asked_ns` is when the status request was sent, `at_ns` when the response arrived. The node had
    this role at some instant between.
    """

    at_ns: int
    node: str
    role: str
    term: int | None = None
    index: int | None = None
    asked_ns: int | None = None


class FaultTraits(Struct, frozen=True):
    """What the checks need to know of a kind of fault. It is recorded with each fault.

    `ends_nodes`: whether the processes of its nodes end: `no`, `may` or `always`. `damages_data`:
    stored data are damaged. `cuts_power`: what was not synced is lost. `may_refuse`: a sound node
    may refuse requests while it lasts. `preloads`: a library in the node broke its disk or its
    clock.
    """

    ends_nodes: str = "no"
    damages_data: bool = False
    cuts_power: bool = False
    may_refuse: bool = False
    preloads: bool = False


# The traits of what ends nodes outside of faults, such as the step `kill`.
NODE_ENDED = FaultTraits(ends_nodes="always")


class FaultSpan(Struct, frozen=True):
    """One fault that took effect: its kind (kill, pause, cut, …), nodes, beginning and end."""

    kind: str
    nodes: tuple[str, ...]
    began_ns: int
    ended_ns: int
    traits: FaultTraits = FaultTraits()

    @property
    def name(self) -> str:
        return f"{self.kind} {','.join(self.nodes)}".strip()


class FinalRead(Struct, frozen=True):
    """The last value that a node returned for a key, read after all faults and loads had ended.

    `value` None: the key is not there.
    """

    node: str
    key: str
    value: str | None
    at_ns: int = 0


class History(Struct, frozen=True):
    """One run as the checks read it.

    `leader_log` holds (key, value) pairs, the writes in the order in which the leader applied them;
    value None is a delete. The log is None when it is not known. `initial` holds the keys, with
    their values, that were there before the first operation. `origin` names the source, for
    messages. `gaps` are the times, begin and end, in which the clients themselves did not run.
    """

    operations: Operations
    samples: tuple[RoleSample, ...] = ()
    faults: tuple[FaultSpan, ...] = ()
    finals: tuple[FinalRead, ...] = ()
    leader_log: tuple[tuple[str, str | None], ...] | None = None
    initial: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    gaps: tuple[tuple[int, int], ...] = ()

    def initial_number(self, key: int) -> int:
        """The value number with which key number `key` begins. ABSENT: `initial` lacks the key."""
        name = self.operations.keys[key]
        if name not in self.initial:
            return ABSENT
        return self.operations.values.number(self.initial[name])
