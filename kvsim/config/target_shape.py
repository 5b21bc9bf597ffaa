"""A target as a shape: words, a node's name, or a list of names. What a target is stands in `target.py`."""

from __future__ import annotations

from typing import Any

from kvsim.config.shape import WRONG, Reading, Shape
from kvsim.config.target import WORDS as TARGET_WORDS
from kvsim.config.target import named, parse_target
from kvsim.config.yaml_tree import Items, Scalar, Tree

CLIENT = "client"


class OneTarget(Shape):
    """Who a step is for: words, a node's name, or a list of names."""

    means = "a target"

    def read(self, node: Tree, reading: Reading) -> Any:
        try:
            if (
                isinstance(node, Items)
                and all(isinstance(item, Scalar) for item in node.items)
                and node.items
            ):
                return named(tuple(item.text for item in node.items))
            if isinstance(node, Scalar) and not node.absent:
                return parse_target(node.text)
        except ValueError as error:
            reading.say(node, str(error))
            return WRONG
        return reading.expected(
            node, "a target: a node's name, a list of names, or one of " + ", ".join(TARGET_WORDS)
        )

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"anyOf": [{"enum": list(TARGET_WORDS)}, {"type": "string"}, names]}


class End(OneTarget):
    """One end of a link: a target, or `client`, which reads into that word."""

    means = "a target, or `client`"

    def read(self, node: Tree, reading: Reading) -> Any:
        if isinstance(node, Scalar) and node.text == CLIENT:
            return CLIENT
        return super().read(node, reading)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [{"const": CLIENT}, *super().json_schema(defs)["anyOf"]]}
