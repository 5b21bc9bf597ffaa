"""Which nodes run at each step of a scenario, as far as the file alone shows it. Pure.

`lint` walks the steps with it: a node that is stopped twice, a kill inside a kill, a load that was
never started. What only a run decides (a draw from the seed, who is elected) is unknown here, and
the unknown is no mistake. What a step does to the states is part of its verb (`Step.begin`,
`Step.end`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from kvsim.config.cluster import Cluster
from kvsim.config.target import ANY, EACH, MAJORITY, MINORITY, NAMED, REPORTED, THE, Target


class Reach(Struct, frozen=True):
    """The nodes of a target: those that it certainly has, and all that it may have."""

    certain: tuple[str, ...]
    possible: tuple[str, ...]


class NodeStates(Struct):
    """What is known at one step.

    `up`: node → whether it runs; None: unknown. `since`: node → the line of the step that decided
    it. `scopes`: (what, on whom) → the line of the fault that lasts. `loads`: name → the line of
    its start; `stopped`: name → the line of its stop. `roles_move`: roles are elected or promoted,
    so that no target by role is known before the run. `wrote`: a write has been asked for. `held`:
    a fault that lasts → the states of its nodes before it.
    """

    cluster: Cluster
    roles_move: bool = False
    up: dict[str, bool | None] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    scopes: dict[tuple[str, str], int] = field(default_factory=dict)
    loads: dict[str, int] = field(default_factory=dict)
    stopped: dict[str, int] = field(default_factory=dict)
    wrote: bool = False
    held: dict[str, dict[str, bool | None]] = field(default_factory=dict)

    @classmethod
    def at_start(cls, cluster: Cluster, *, roles_move: bool, attached: bool = False) -> NodeStates:
        """All nodes run; of a cluster that was up before (`attached`) nothing is known."""
        up = None if attached else True
        return cls(cluster, roles_move, {node.name: up for node in cluster.nodes})

    # --- targets ----------------------------------------------------------------------------------

    def reach(self, target: Target, *, prefer_up: bool = True) -> Reach:
        """The nodes that the target has at this step, by the rules of a run.

        `prefer_up`: nodes that run are preferred, or (for `start`) those that are down.
        """
        if target.which == NAMED:
            known = tuple(name for name in target.names if name in self.up)
            return Reach(known, known)
        if target.which in REPORTED or (target.role is not None and self.roles_move):
            return Reach((), tuple(self.up))
        matching = [node.name for node in self.cluster.nodes if target.role in (None, node.role)]
        preferred = [name for name in matching if self.up[name] is prefer_up]
        unknown = [name for name in matching if self.up[name] is None]
        candidates = [*preferred, *unknown] or matching
        if target.which == EACH:
            return Reach(tuple(preferred or ([] if unknown else matching)), tuple(candidates))
        chosen = not unknown and self._count(target.which) >= len(candidates)
        return Reach(tuple(candidates) if chosen else (), tuple(candidates))

    def _count(self, which: str) -> int:
        total = len(self.up)
        counts = {THE: 1, ANY: 1, MAJORITY: total // 2 + 1, MINORITY: (total - 1) // 2}
        return counts.get(which, 1)

    # --- nodes ------------------------------------------------------------------------------------

    def set(self, reach: Reach, up: bool | None, line: int) -> None:
        """From now on the nodes run, or do not. Of those it may not be for, it is unknown."""
        for name in reach.possible:
            value = up if name in reach.certain or self.up[name] is up else None
            self.since[name] = line
            self.up[name] = value

    def down(self, names: Iterable[str]) -> Iterator[str]:
        """`n2 is down here (line 7)` for each of these nodes that certainly is."""
        for name in names:
            if self.up.get(name) is False:
                yield f"{name} is down here ({self.where(name)})"

    def running(self, names: Iterable[str]) -> Iterator[str]:
        """`n2 runs already` for each of these nodes that certainly does."""
        for name in names:
            if self.up.get(name) is True:
                where = self.where(name) if name in self.since else "no step before has ended it"
                yield f"{name} runs already ({where})"

    def where(self, name: str) -> str:
        """The step that decided the state of a node."""
        return f"line {self.since[name]}"

    # --- scopes -----------------------------------------------------------------------------------

    def enter(self, what: str, subjects: Iterable[str], line: int) -> Iterator[str]:
        """A fault begins; reports a fault of that kind on the same subject that still lasts."""
        for subject in subjects:
            before = self.scopes.get((what, subject))
            if before is not None:
                on = f" of {subject}" if subject else ""
                yield f"inside a `{what}`{on} that still lasts (line {before})"
            self.scopes.setdefault((what, subject), line)

    def leave(self, line: int) -> None:
        """The faults of this line are over."""
        self.scopes = {key: began for key, began in self.scopes.items() if began != line}

    # --- held states ------------------------------------------------------------------------------

    def suspend(self, scope: str, reach: Reach, up: bool | None, line: int) -> None:
        """A fault changes the state of its nodes until `resume`."""
        self.held[scope] = {name: self.up[name] for name in reach.possible}
        self.set(reach, up, line)

    def resume(self, scope: str, line: int) -> None:
        """The fault is over: its nodes run, unless it is unknown whether they did before."""
        for name, before in self.held.pop(scope, {}).items():
            self.up[name] = True if before else None
            self.since[name] = line
