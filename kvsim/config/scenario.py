"""What a scenario is: frozen values only. How they are read, and the table of verbs, stand in `scenario_file.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvsim.config import matrix
from kvsim.config.cluster import Instead
from kvsim.config.yaml_tree import Fields
from kvsim.limits import Own


@dataclass(frozen=True)
class Expectation:
    """What a step wants to see, in words.

    `kind`: ok | value | not_found | mismatch | served | refused | unknown | unreachable | reply | any_of. `value` for kind value (a
    template) and kind reply (a pattern, also a template); `reason` (`read_only`, …) and `names` (`leader`) for refused;
    `options` for any_of.
    """

    kind: str
    value: str | None = None
    reason: str | None = None
    names: str | None = None
    options: tuple[Expectation, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The fields that are set, for the journal."""
        fields = {"kind": self.kind, "value": self.value, "reason": self.reason, "names": self.names}
        options = {"options": [option.to_json() for option in self.options]} if self.options else {}
        return {name: value for name, value in fields.items() if value is not None} | options

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Expectation:
        options = tuple(cls.from_json(option) for option in fields.get("options", ()))
        return cls(**{**fields, "options": options})


@dataclass(frozen=True)
class Timing:
    """A step's time modifier: `eventually`, `always` or `within`, in seconds; at most one of them is set."""

    eventually_s: float | None = None
    always_s: float | None = None
    within_s: float | None = None


@dataclass(frozen=True)
class Step:
    """One verb with its fields. `fields` are plain values, shaped by the verb's row in the table of verbs.

    `id` is `2.1`: group and place. `line` and `column` are where the verb stands. `text` is the step as written, on one line.
    """

    id: str
    verb: str
    fields: Mapping[str, object]
    line: int
    column: int
    text: str
    expect: Expectation | None = None
    timing: Timing = Timing()
    steps: tuple[Step, ...] = ()  # for verbs that hold steps


@dataclass(frozen=True)
class Group:
    """Steps under a title; steps that stand outside every group form groups without one."""

    title: str
    steps: tuple[Step, ...]
    line: int = 0


@dataclass(frozen=True)
class Scenario:
    """A whole scenario file, or one cell of its matrix.

    `tree` is what it was read from, with the cell's values filled in.
    """

    name: str
    title: str
    path: Path
    cluster: Path  # the cluster file it names, resolved
    groups: tuple[Group, ...]
    needs: frozenset[str] = frozenset()
    variables: Mapping[str, str] = field(
        default_factory=dict
    )  # name → kind (`random_key`, …) or a plain word
    checks: tuple[str, ...] = ()  # checks that must have had something to look at
    request_timeout_s: float = Own(1.0)
    instead: Instead = field(default_factory=Instead)
    cell: Mapping[str, str] = field(default_factory=dict)
    tree: Fields | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """The name, and in brackets which cell of the matrix: `durable[fsync=always-clients=5]`."""
        return f"{self.name}[{matrix.label(self.cell)}]" if self.cell else self.name

    @property
    def folder(self) -> str:
        """The same for the name of a folder."""
        return re.sub(
            r"[^A-Za-z0-9_.=-]+", "_", f"{self.name}-{matrix.label(self.cell)}" if self.cell else self.name
        )

    @property
    def words(self) -> tuple[str, ...]:
        """What `kvsim run` is told, besides the file, to run this and no other cell."""
        return matrix.words(self.cell)

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for group in self.groups for step in group.steps)
