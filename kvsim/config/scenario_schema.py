"""The language of scenarios as tables: what a verb is, groups of steps, and the keys of the file.

The verbs themselves are declared beside what carries them out, in `kvsim.runner.steps`. Reader,
JSON Schema and reference page all come from these tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from kvsim.config.cluster_schema import NODES_MAX
from kvsim.config.expectation import EXPECTED
from kvsim.config.matrix import MATRIX
from kvsim.config.program_schema import TEXTS
from kvsim.config.scenario import Expectation, Step
from kvsim.config.schema import (
    WORD,
    Duration,
    Field,
    Int,
    ListOf,
    MapOf,
    Named,
    Record,
    Schema,
    Text,
    TimeLimit,
    Validation,
)
from kvsim.config.yaml_nodes import Tree
from kvsim.timeouts import DefaultTimeout

MODIFIERS = {
    "eventually": Field(TimeLimit(), "repeat until the step passes, for at most this long"),
    "always": Field(Duration(), "repeat for this long; the step must pass every time"),
    "within": Field(TimeLimit(), "the time limit of a single attempt"),
}
STEP_NEEDS = Field(
    ListOf(Text("a word", pattern=WORD), single=True, result=frozenset),
    "what the program must have, as in `needs` of the file; without it the step is left out",
    default=frozenset(),
)
# The name of a step's schema in the JSON Schema.
STEP = "step"
# `expect` of a verb whose steps must write what they expect.
REQUIRED = "required"


class InnerSteps(Schema):
    """Steps inside a group or another step, as YAML nodes; `scenario_loader` reads the steps."""

    expected = "a list of: a step"

    def read(self, node: Tree, validation: Validation) -> Any:
        return node

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        """Refers to the step that `StepsSchema` defines."""
        return {"type": "array", "items": {"$ref": f"#/$defs/{STEP}"}, "minItems": 1}


class Verb(Struct, frozen=True, kw_only=True):
    """A verb of the language: its fields and the class of its steps.

    `step` has an attribute for each of `fields`. `expect` is the default expectation; empty for a
    verb without expectation, REQUIRED where every step must write it. `timing` are the modifiers
    that it takes, `within_s` the default of `within`. `bare` is the field that a text without a key
    sets. `holds` is the field with the steps inside it. Exactly one of `one_of` must be written;
    `together` maps a field to those that must be written with it (`a|b`: either of them).
    `targets_down`: its target prefers nodes that are down. `order` is its position in the docs.
    """

    name: str
    description: str
    step: type[Step]
    fields: Mapping[str, Field]
    expect: str = ""
    timing: tuple[str, ...] = ()
    within_s: float | None = None
    bare: str = ""
    holds: str = ""
    one_of: tuple[str, ...] = ()
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    targets_down: bool = False
    order: int = 1000

    def record(self) -> Record:
        """The schema of the fields; the steps inside it are YAML nodes."""
        rows = dict(self.fields)
        if self.expect:
            required = self.expect == REQUIRED
            rows["expect"] = Field(
                EXPECTED,
                "what the answer must be",
                required=required,
                default_text="" if required else self.expect,
            )
        rows.update({modifier: MODIFIERS[modifier] for modifier in self.timing})
        if self.within_s is not None:
            rows["within"] = Field(TimeLimit(), "time limit", default_text=f"{self.within_s:g}s")
        rows["needs"] = STEP_NEEDS
        if self.holds:
            rows[self.holds] = Field(InnerSteps(), "the steps inside it", required=True)
        return Record(self.name, rows, bare=self.bare, one_of=self.one_of)

    def default_expectation(self) -> Expectation | None:
        return Expectation(self.expect) if self.expect and self.expect != REQUIRED else None


class StepsSchema(Schema):
    """Steps, and groups of steps, as YAML nodes; `scenario_loader` reads the steps."""

    expected = "a list of steps and groups"

    def __init__(self, verbs: Mapping[str, Verb] | None = None) -> None:
        self.verbs = verbs or {}

    def read(self, node: Tree, validation: Validation) -> Any:
        return node

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        step = Named(STEP, self._step).json_schema(defs)
        items = {"anyOf": [step, GROUP.json_schema(defs)]}
        return {"type": "array", "minItems": 1, "items": items}

    def _step(self) -> Record:
        """One verb with its fields."""
        rows = {name: Field(verb.record(), verb.description) for name, verb in self.verbs.items()}
        return Record(STEP, rows, one_of=tuple(rows))


GROUP = Record(
    "group",
    {
        "group": Field(
            Text("a title"), "the group's title, a heading in the report", required=True
        ),
        "needs": STEP_NEEDS,
        "steps": Field(InnerSteps(), "its steps", required=True),
    },
)
# A text of so many letters.
TEXT_KIND = re.compile(r"random_text_([0-9]{1,7})")
VARIABLE_KINDS = {
    "random_key": "a key drawn from the seed",
    "random_value": "a value drawn from the seed",
    "random_text_N": "N letters drawn from the seed, such as random_text_4096",
}
SCENARIO_FIELDS: dict[str, Field] = {
    "scenario": Field(
        Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*"), "the scenario's name", required=True
    ),
    "title": Field(Text(), "what it shows, in one sentence", default=""),
    "cluster": Field(
        Text("a path to a cluster file", empty=False),
        "the cluster file, relative to this file",
        required=True,
    ),
    "program": Field(
        Text("a program", empty=False),
        "what every node runs, instead of the program in the cluster file "
        "(a name in nodes/, or a path relative to this file)",
        default_text="the cluster file's",
    ),
    "options": Field(
        TEXTS, "values for the program's options, over those of the cluster file", default={}
    ),
    "nodes": Field(
        Int(1, NODES_MAX, "a number of nodes"),
        "the number of nodes: the last followers are left out, "
        "or copies of the last follower are added",
        default_text="the cluster file's",
    ),
    "matrix": Field(
        MATRIX,
        "name → values: every combination is a run, called a cell, with the values filled in "
        "for {name} everywhere in the file",
        default_text="one cell",
    ),
    "needs": Field(
        ListOf(Text("a word", pattern=WORD), single=True),
        "capabilities the program must have; without them the scenario is skipped, with the reason",
        default=(),
    ),
    "vars": Field(
        MapOf(
            Text("random_key, random_value, or a plain text", wire=True),
            key=WORD,
            key_expected="a name (small letters, digits, _)",
        ),
        "variables for {name} in the steps: "
        + "; ".join(f"{kind}: {description}" for kind, description in VARIABLE_KINDS.items())
        + "; or a plain text",
        default={},
    ),
    "steps": Field(StepsSchema(), "what happens: steps, or groups of steps", required=True),
    "checks": Field(
        ListOf(Text("a check's name", pattern=WORD), single=True),
        "checks that must have something to judge",
        default=(),
    ),
    "request_timeout": Field(
        TimeLimit(),
        "how long one request may take",
        default=DefaultTimeout(1.0),
        default_text="1s",
    ),
}
SCENARIO = Record("scenario", SCENARIO_FIELDS)


def scenario_record(verbs: Mapping[str, Verb]) -> Record:
    """The keys of the file, with these verbs in `steps`: for the JSON Schema and the docs."""
    steps = SCENARIO_FIELDS["steps"]
    rows = {
        **SCENARIO_FIELDS,
        "steps": Field(StepsSchema(verbs), steps.description, required=True),
    }
    return Record("scenario", rows)
