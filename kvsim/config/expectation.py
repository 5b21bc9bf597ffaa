"""Expectations in words, as a shape: `ok`, `{value: x}`, `{refused: read_only, names: leader}`, `{any_of: [ok, refused]}`.

`refused` never covers `unknown`, and `served` never covers a refusal. Used by the table of verbs in `scenario_words.py`.
"""

from __future__ import annotations

from typing import Any

from kvsim.config.scenario import Expectation
from kvsim.config.shape import (
    WRONG,
    Field,
    ListOf,
    Named,
    Pattern,
    Reading,
    Record,
    Shape,
    Text,
    Values,
    Word,
)
from kvsim.config.spelling import did_you_mean
from kvsim.config.yaml_tree import Scalar, Tree

STEP = "step"  # scope of templates: a scenario's variables
WORDS = {
    "ok": "done as asked",
    "not_found": "answered: there is no such key",
    "mismatch": "answered: the key does not hold the expected value (of a compare-and-set)",
    "served": "answered, whatever the answer: a value, not found, a mismatch; not refused",
    "refused": "certainly not done, for whatever reason the node gives",
    "unknown": "no certain answer: a time-out, a reset, an end of file, or words that mean nothing to the program's rules",
    "unreachable": "nobody listened; nothing was sent",
}
REASONS = {
    "read_only": "this node may not write",
    "not_ready": "the node cannot serve yet",
    "unreachable": "nobody listened",
    "other": "refused for another reason",
}


class Expected(Shape):
    """A word, or a mapping with one of value, refused, reply, any_of."""

    means = "an expectation: " + ", ".join(WORDS) + ", or a mapping with value, refused, reply or any_of"

    def __init__(self) -> None:
        self.word = Word(WORDS)
        self.mapping = Record(
            "expectation",
            {
                "value": Field(Text("a text", template=STEP, wire=True), "this value was read"),
                "refused": Field(Word(REASONS), "refused for this reason"),
                "names": Field(
                    Word({"leader": "the true one"}), "and the refusal names the leader (with `refused`)"
                ),
                "reply": Field(Pattern(template=STEP), "the reply, whatever it means, holds this pattern"),
                "any_of": Field(ListOf(EXPECTED, least=1), "one of these"),
            },
            one_of=("value", "refused", "reply", "any_of"),
        )

    def read(self, node: Tree, reading: Reading) -> Any:
        if not isinstance(node, Scalar):
            values = self.mapping.read(node, reading)
            return WRONG if values is WRONG else _from_mapping(values, reading)
        if node.text in WORDS:
            return Expectation(node.text)
        found = did_you_mean(node.text, [*WORDS, "value", "reply", "any_of"])
        reading.say(node, f"expected an expectation, found {node.said()}{found}")
        return WRONG

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [self.word.json_schema(defs), self.mapping.json_schema(defs)]}


def _from_mapping(values: Values, reading: Reading) -> Any:
    if values.get("names") and not values.wrote("refused"):
        reading.say(values.at("names"), "`names` goes with `refused`")
    if values.get("any_of"):
        return Expectation("any_of", options=values["any_of"])
    if values.get("refused"):
        return Expectation("refused", reason=values["refused"], names=values.get("names"))
    for kind in ("value", "reply"):
        if values.get(kind) is not None:
            return Expectation(kind, value=values[kind])
    return WRONG


EXPECTED = Named("expectation", Expected)
