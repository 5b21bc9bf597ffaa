"""The language of scenarios as tables: the verbs, their fields, and the keys of the file.

A new verb is one row in VERBS; a verb that holds steps names the field they stand in (`holds`). Reader
(`scenario_file.py`), JSON Schema and reference page all come from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kvsim.config import fault_words, load_words, storm_words
from kvsim.config.common_words import TEXTS, WORD, Signal
from kvsim.config.expectation import EXPECTED, STEP
from kvsim.config.matrix import MATRIX
from kvsim.config.scenario import Expectation
from kvsim.config.shape import (
    WRONG,
    Duration,
    Field,
    Int,
    Kept,
    ListOf,
    MapOf,
    Named,
    OfScalar,
    Pattern,
    Reading,
    Record,
    Shape,
    Text,
    TimeLimit,
    Word,
)
from kvsim.config.target import parse_target
from kvsim.config.target_shape import OneTarget
from kvsim.config.wire_text import to_bytes
from kvsim.config.yaml_tree import Scalar
from kvsim.limits import Own

MODIFIERS = {
    "eventually": Field(TimeLimit(), "try again until it is so, for at most this long"),
    "always": Field(Duration(), "keep asking for this long; it must be so every time"),
    "within": Field(TimeLimit(), "the time limit of this one try"),
}


class WireText(OfScalar):
    r"""Bytes as text with `\r \n \t \0 \\ \xHH`; kept as text, because variables are filled in first."""

    means = "a text; \\r \\n \\t \\0 \\\\ and \\xHH stand for bytes"

    def take(self, node: Scalar, reading: Reading) -> Any:
        try:
            to_bytes(node.text)
        except ValueError as error:
            reading.say(node, str(error))
            return WRONG
        reading.templates.append((node, STEP))
        return node.text

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}


@dataclass(frozen=True)
class Verb:
    """One row of the table of verbs.

    `fields` are its own; `expect` the default expectation (None: it takes none; `REQUIRED`: it must be written); `timing` the
    modifiers it takes; `within_s` the default of `within`. `bare`: the field a single word stands for. `holds`: the field with its steps.
    `one_of`: exactly one of these fields. `together`: field → fields that must stand beside it.
    """

    says: str
    fields: Mapping[str, Field]
    expect: str | None = None
    timing: tuple[str, ...] = ()
    within_s: float | None = None
    bare: str = ""
    holds: str = ""
    one_of: tuple[str, ...] = ()
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def record(self, name: str) -> Record:
        """The shape of what stands behind the verb."""
        rows = dict(self.fields)
        if self.expect:
            must = self.expect == REQUIRED
            rows["expect"] = Field(
                EXPECTED, "what the answer must be", must, None, "" if must else self.expect
            )
        rows.update({modifier: MODIFIERS[modifier] for modifier in self.timing})
        if self.within_s is not None:
            rows["within"] = Field(TimeLimit(), "time limit", shows=f"{self.within_s:g}s")
        if self.holds:
            rows[self.holds] = Field(Kept(ListOf(STEP_SHAPE, least=1)), "the steps it holds", required=True)
        return Record(name, rows, bare=self.bare, one_of=self.one_of)

    def default_expectation(self) -> Expectation | None:
        return Expectation(self.expect) if self.expect and self.expect != REQUIRED else None


REQUIRED = "required"
CLIENT = ("eventually", "always", "within")
AT = Field(OneTarget(), "the target", required=True)
KEY = Field(Text("a key", template=STEP, wire=True), "the key", required=True)
VALUE = Field(Text("a value", template=STEP, wire=True), "the value", required=True)
FOLLOW = Field(
    Word({"redirects": "ask again at the node that a refusal names"}),
    "`redirects`: a refusal that names the leader leads there",
)

RECEIPT = Field(
    Word(
        {
            "required": "without measured evidence that it bit, the run is invalid",
            "optional": "without evidence the fault is not counted",
        }
    ),
    "what a missing receipt means",
    default="required",
    shows="required",
)

VERBS: dict[str, Verb] = {
    "put": Verb("write a value", {"at": AT, "key": KEY, "value": VALUE, "follow": FOLLOW}, "ok", CLIENT),
    "get": Verb("read a key", {"at": AT, "key": KEY, "follow": FOLLOW}, "served", CLIENT),
    "delete": Verb("delete a key", {"at": AT, "key": KEY, "follow": FOLLOW}, "ok", CLIENT),
    "cas": Verb(
        "compare-and-set: write a value if the key holds the expected one",
        {
            "at": AT,
            "key": KEY,
            "expected": Field(
                Text("a value", template=STEP, wire=True), "the value that the key must hold", required=True
            ),
            "value": VALUE,
            "follow": FOLLOW,
        },
        "ok",
        CLIENT,
    ),
    "promote": Verb(
        "make the target the leader, by the program's own request",
        {"at": AT},
        "ok",
        CLIENT,
        within_s=Own(10.0),
        bare="at",
    ),
    "raw": Verb(
        "send bytes as they stand, no line end added",
        {"at": AT, "send": Field(WireText(), "the bytes; variables are filled in", required=True)},
        REQUIRED,
        CLIENT,
    ),
    "wait": Verb(
        "wait for a state of the target",
        {
            "at": AT,
            "until": Field(
                Word(
                    {
                        "ready": "every readiness probe of the program is true",
                        "serving": "a request is answered",
                        "gone": "the process and all it started are gone",
                        "leader": "it says that it is the leader",
                    }
                ),
                "the state",
                required=True,
            ),
        },
        within_s=Own(5.0),
    ),
    "sleep": Verb(
        "let time pass; say why, since waiting for a condition is nearly always better",
        {
            "for": Field(Duration(), "how long", required=True),
            "why": Field(Text("a reason"), "why no condition can be waited for", required=True),
        },
    ),
    "check": Verb(
        "look at the nodes from outside: their state, their role, their log",
        {
            "state": Field(
                Word(
                    {
                        "unchanged": "every node holds what it held before the group's refused writes",
                        "same": "the nodes hold the same",
                    }
                ),
                "compare what the nodes hold",
            ),
            "nodes": Field(
                OneTarget(), "whose state (with `state`)", default=parse_target("all"), shows="all"
            ),
            "role": Field(Word(("leader", "follower")), "the target says that it has this role"),
            "log": Field(Pattern(template=STEP), "the target's log has a line with this"),
            "at": Field(OneTarget(), "the target (with `role` or `log`)"),
        },
        timing=CLIENT,
        one_of=("state", "role", "log"),
        together={"role": ("at",), "log": ("at",), "nodes": ("state",), "at": ("role|log",)},
    ),
    "start": Verb(
        "start a node that is down and wait until it is ready", {"at": AT}, timing=("within",), bare="at"
    ),
    "stop": Verb("stop a node in order and wait until it is gone", {"at": AT}, timing=("within",), bare="at"),
    "restart": Verb(
        "stop a node in order, start it, wait until it is ready", {"at": AT}, timing=("within",), bare="at"
    ),
    "kill": Verb(
        "send a signal, by default the one that nothing survives",
        {"at": AT, "signal": Field(Signal(), "the signal", default="KILL", shows="KILL")},
        timing=("within",),
        bare="at",
    ),
    "fault": Verb(
        "break something on purpose while the steps in `do` run; it heals when they are over, whatever happened",
        {**fault_words.fields(), "receipt": RECEIPT},
        holds="do",
        one_of=tuple(fault_words.FAULTS),
    ),
    "load": Verb(
        "start or stop clients that work beside the steps, recorded and judged by what the program promises",
        load_words.FIELDS,
        one_of=("start", "stop"),
        together=dict.fromkeys(load_words.ONLY_AT_START, ("start",)),
    ),
    "storm": Verb(
        "faults drawn from the seed, one after another; the run directory holds them as an ordinary scenario",
        storm_words.FIELDS,
    ),
}


class StepSchema(Shape):
    """For the JSON Schema and the docs; steps are read by `scenario_file.py`."""

    means = "a step: one verb with its fields"

    def __init__(self, verbs: Mapping[str, Verb]) -> None:
        self.verbs = verbs

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        rows = {name: Field(verb.record(name), verb.says) for name, verb in self.verbs.items()}
        return Record("step", rows, one_of=tuple(rows)).json_schema(defs)


class StepsSchema(Shape):
    """Steps, and groups of steps."""

    means = "a list of steps and groups"

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [STEP_SHAPE.json_schema(defs), GROUP.json_schema(defs)]},
        }


STEP_SHAPE = Named("step", lambda: StepSchema(VERBS))
GROUP = Record(
    "group",
    {
        "group": Field(Text("a title"), "the group's title, a heading in the report", required=True),
        "steps": Field(Kept(ListOf(STEP_SHAPE, least=1)), "its steps", required=True),
    },
)
NODES_MAX = 99
KINDS = {"random_key": "a key drawn from the seed", "random_value": "a value drawn from the seed"}
FIELDS: dict[str, Field] = {
    "scenario": Field(
        Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*"), "the scenario's name", required=True
    ),
    "title": Field(Text(), "what it shows, in one sentence", default=""),
    "cluster": Field(
        Text("a path to a cluster file"), "the cluster file, as seen from this file", required=True
    ),
    "program": Field(
        Text("a program"),
        "what every node runs, instead of what the cluster file says (a name in nodes/, or a path as seen from this file)",
        shows="the cluster file's",
    ),
    "options": Field(TEXTS, "values for the program's options, over those of the cluster file", default={}),
    "nodes": Field(
        Int(1, NODES_MAX, "a number of nodes"),
        "so many nodes: the last followers are left out, or followers like the last one are added",
        shows="the cluster file's",
    ),
    "matrix": Field(
        MATRIX,
        "name → values: every combination is run as a cell of its own, with {name} filled in wherever it stands",
        shows="one cell",
    ),
    "needs": Field(
        ListOf(Text("a word", pattern=WORD), one=True),
        "capabilities the program must have; without them the scenario is skipped, with the reason",
        default=(),
    ),
    "vars": Field(
        MapOf(
            Text("random_key, random_value, or a plain text", wire=True),
            key=WORD,
            key_means="a name (small letters, digits, _)",
        ),
        "variables for {name} in the steps: "
        + "; ".join(f"{kind}: {says}" for kind, says in KINDS.items())
        + "; or a plain text",
        default={},
    ),
    "steps": Field(Kept(StepsSchema()), "what happens: steps, or groups of steps", required=True),
    "checks": Field(
        ListOf(Text("a check's name", pattern=WORD), one=True),
        "checks that must have had something to look at",
        default=(),
    ),
    "request_timeout": Field(TimeLimit(), "how long one request may take", default=Own(1.0), shows="1s"),
}
SCENARIO = Record("scenario", FIELDS)
