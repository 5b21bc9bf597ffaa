"""What a scenario is: frozen values only. `scenario_loader` reads them; the layers above `config`
declare the verbs and their steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct, field

from kvsim.config import matrix
from kvsim.config.cluster import Cluster, Overrides
from kvsim.config.fault_schema import FaultKind
from kvsim.config.node_states import NodeStates
from kvsim.config.target import Target
from kvsim.config.yaml_nodes import Fields, SourceLocation
from kvsim.timeouts import DefaultTimeout


class Expectation(Struct, frozen=True):
    """What a step expects of a reply.

    `kind`: ok | value | not_found | mismatch | served | refused | unknown | unreachable | reply |
    any_of. `value` belongs to kind value (a template) and kind reply (a pattern, also a template);
    `reason` (`read_only`, …) and `names` (`leader`) to refused; `options` to any_of.
    """

    kind: str
    value: str | None = None
    reason: str | None = None
    names: str | None = None
    options: tuple[Expectation, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The fields that are set, for the journal."""
        fields: dict[str, object] = {
            "kind": self.kind,
            "value": self.value,
            "reason": self.reason,
            "names": self.names,
            "options": [option.to_json() for option in self.options] or None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Expectation:
        options = tuple(cls.from_json(option) for option in fields.get("options", ()))
        return cls(**{**fields, "options": options})

    def names_leader(self) -> bool:
        """Whether the reply is to name the leader, in this or in any of the options."""
        return bool(self.names) or any(option.names_leader() for option in self.options)


class Timing(Struct, frozen=True):
    """A step's time modifier: `eventually`, `always` or `within`, in seconds.

    A step sets at most one of them.
    """

    eventually_s: float | None = None
    always_s: float | None = None
    within_s: float | None = None


NO_TIMING = Timing()


class Step(Struct, frozen=True, kw_only=True):
    """One verb with its fields. Each verb has a class, with an attribute for each of its fields.

    `id` is `2.1`: group and position in it. `text` is the step as written, on one line, without the
    steps inside it. `expect` is None for verbs that expect nothing. `needs`: it is left out where
    the program lacks one of these, with what its group needs.
    """

    id: str
    verb: str
    location: SourceLocation
    text: str
    expect: Expectation | None = None
    timing: Timing = NO_TIMING
    steps: tuple[Step, ...] = ()
    needs: frozenset[str] = frozenset()

    # Whether every program of the cluster must describe the requests of the step, as for a load.
    asks_every_program: ClassVar[bool] = False

    def target(self) -> Target | None:
        """The nodes that the step is for."""
        return None

    def targets(self) -> Iterator[Target]:
        """Every target that the step names, in its settings too."""
        target = self.target()
        if target is not None:
            yield target

    def request_verbs(self) -> tuple[str, ...]:
        """The requests that the step sends: a program of the cluster must describe each of them."""
        return ()

    def fault_kinds(self, links: str) -> tuple[FaultKind, ...]:
        """The kinds of fault that the step causes or may draw, on a cluster with these links."""
        return ()

    def mistakes(self, cluster: Cluster, fill: Callable[[str], str]) -> Iterator[str]:
        """What cannot be on this cluster, or contradicts itself, and no schema can detect.

        `fill` fills in the scenario's variables.
        """
        return iter(())

    def begin(self, states: NodeStates) -> Iterator[str]:
        """Change the states as the step does, before the steps inside it; what it cannot do."""
        return iter(())

    def end(self, states: NodeStates) -> None:
        """Change the states as the step does after the steps inside it."""

    def lasts_s(self) -> float | None:
        """How long the step takes, where the scenario sets it."""
        return None


class PartialStep(Step, frozen=True, kw_only=True):
    """What could be read of a step with mistakes: its targets, and the steps inside it."""

    found: tuple[Target, ...] = ()

    def targets(self) -> Iterator[Target]:
        yield from self.found


class TargetedStep(Step, frozen=True, kw_only=True):
    """A step for the nodes `at`."""

    at: Target

    def target(self) -> Target | None:
        return self.at


def walk_steps(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps in order, each followed by the steps inside it."""
    for step in steps:
        yield step
        yield from walk_steps(step.steps)


class StepGroup(Struct, frozen=True):
    """Steps under a title; steps outside every group form groups without one."""

    title: str
    steps: tuple[Step, ...]
    line: int = 0


class Scenario(Struct, frozen=True):
    """A scenario file, or one cell of its matrix.

    `cluster` is the cluster file that it names, resolved. `variables` maps a name to a kind
    (`random_key`, …) or to a plain text. `checks` must have something to judge. `tree` is the YAML
    that the scenario was read from, with the cell's values filled in.
    """

    name: str
    title: str
    path: Path
    cluster: Path
    groups: tuple[StepGroup, ...]
    needs: frozenset[str] = frozenset()
    variables: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    request_timeout_s: float = DefaultTimeout(1.0)
    overrides: Overrides = field(default_factory=Overrides)
    cell: Mapping[str, str] = field(default_factory=dict)
    tree: Fields | None = None

    @property
    def label(self) -> str:
        """The name, and in brackets the cell: `durable[fsync=always-clients=5]`."""
        return f"{self.name}[{matrix.label(self.cell)}]" if self.cell else self.name

    @property
    def folder(self) -> str:
        """The label as the name of a folder."""
        name = f"{self.name}-{matrix.label(self.cell)}" if self.cell else self.name
        return re.sub(r"[^A-Za-z0-9_.=-]+", "_", name)

    @property
    def cell_arguments(self) -> tuple[str, ...]:
        """The arguments of `kvsim run`, besides the file, that choose this cell."""
        return matrix.arguments(self.cell)

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for group in self.groups for step in group.steps)


def fault_kinds_of(scenario: Scenario, links: str) -> tuple[FaultKind, ...]:
    """The kinds of fault that the scenario causes or may draw, on a cluster with these links."""
    steps = walk_steps(scenario.steps)
    return tuple(dict.fromkeys(kind for step in steps for kind in step.fault_kinds(links)))
