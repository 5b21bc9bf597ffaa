"""Expectations as a schema: `ok`, `{value: x}`, `{refused: read_only}`, `{any_of: […]}`.

`refused` never covers `unknown`, and `served` never covers a refusal.
"""

from __future__ import annotations

from typing import Any

from kvsim.config.scenario import Expectation
from kvsim.config.schema import (
    WRONG,
    Choice,
    Field,
    ListOf,
    Named,
    Pattern,
    Record,
    Schema,
    Text,
    Validation,
    Values,
)
from kvsim.config.template import STEP_SCOPE
from kvsim.config.yaml_nodes import Scalar, Tree
from kvsim.text import did_you_mean

WORDS = {
    "ok": "done as asked",
    "not_found": "answered: there is no such key",
    "mismatch": "answered: the key does not hold the expected value (of a compare-and-set)",
    "served": "answered with anything: a value, not found, a mismatch; not refused",
    "refused": "certainly not done, for any reason",
    "unknown": "no certain answer: a time-out, a reset, an end of file, or a reply that no rule of "
    "the program matches",
    "unreachable": "no process listened; nothing was sent",
}
REASONS = {
    "read_only": "this node may not write",
    "not_ready": "the node cannot serve yet",
    "unreachable": "no process listened",
    "other": "refused for another reason",
}


class ExpectationSchema(Schema):
    """A word, or a mapping with one of value, refused, reply, any_of."""

    expected = (
        "an expectation: "
        + ", ".join(WORDS)
        + ", or a mapping with value, refused, reply or any_of"
    )

    def __init__(self) -> None:
        self.word = Choice(WORDS)
        self.mapping = Record(
            "expectation",
            {
                "value": Field(
                    Text("a text", template=STEP_SCOPE, wire=True), "this value was read"
                ),
                "refused": Field(Choice(REASONS), "refused for this reason"),
                "names": Field(
                    Choice({"leader": "the true one"}),
                    "and the refusal names the leader (with `refused`)",
                ),
                "reply": Field(
                    Pattern(template=STEP_SCOPE), "the reply matches this pattern, of any outcome"
                ),
                "any_of": Field(ListOf(EXPECTED, length_min=1), "one of these"),
            },
            one_of=("value", "refused", "reply", "any_of"),
        )

    def read(self, node: Tree, validation: Validation) -> Any:
        if not isinstance(node, Scalar):
            values = self.mapping.read(node, validation)
            return WRONG if values is WRONG else _from_mapping(values, validation)
        if node.text in WORDS:
            return Expectation(node.text)
        found = did_you_mean(node.text, [*WORDS, "value", "reply", "any_of"])
        validation.report(node, f"expected an expectation, found {node.describe()}{found}")
        return WRONG

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [self.word.json_schema(defs), self.mapping.json_schema(defs)]}


def _from_mapping(values: Values, validation: Validation) -> Any:
    if values.get("names") and not values.is_written("refused"):
        validation.report(values.node_of("names"), "`names` needs `refused`")
    if values.get("any_of"):
        return Expectation("any_of", options=values["any_of"])
    if values.get("refused"):
        return Expectation("refused", reason=values["refused"], names=values.get("names"))
    for kind in ("value", "reply"):
        if values.get(kind) is not None:
            return Expectation(kind, value=values[kind])
    return WRONG


EXPECTED = Named("expectation", ExpectationSchema)
