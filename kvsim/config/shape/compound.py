"""Shapes made of other shapes: lists, mappings with keys of the author's choice, short and long forms, trees kept for others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kvsim.config.shape.base import WRONG, Reading, Shape
from kvsim.config.yaml_tree import Fields, Items, Scalar, Tree


class ListOf(Shape):
    """A list. `one`: a single item may stand without the brackets. Reads into a tuple."""

    def __init__(self, shape: Shape, *, least: int = 0, one: bool = False) -> None:
        self.shape, self.least, self.one = shape, least, one
        self.means = f"a list of: {shape.means}"

    def read(self, node: Tree, reading: Reading) -> Any:
        if not isinstance(node, Items):
            if not self.one:
                return reading.expected(node, self.means)
            value = self.shape.read(node, reading)
            return WRONG if value is WRONG else (value,)
        if len(node.items) < self.least:
            return reading.expected(node, f"at least {self.least} in this list")
        values = [self.shape.read(item, reading) for item in node.items]
        return WRONG if any(value is WRONG for value in values) else tuple(values)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        item = self.shape.json_schema(defs)
        schema: dict[str, Any] = {"type": "array", "items": item}
        if self.least:
            schema["minItems"] = self.least
        return {"anyOf": [schema, item]} if self.one else schema


class MapOf(Shape):
    """A mapping whose keys the author chooses. Reads into a dict.

    `key`: a regular expression that each matches as a whole. `key_template`: keys are templates too, in this scope.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        key: str = "",
        key_means: str = "a name",
        least: int = 0,
        key_template: str = "",
    ) -> None:
        self.shape, self.key_means, self.least, self.key_scope = shape, key_means, least, key_template
        self.key = re.compile(key) if key else None
        self.means = f"a mapping from {key_means} to {shape.means}"

    def read(self, node: Tree, reading: Reading) -> Any:
        if not isinstance(node, Fields):
            return reading.expected(node, self.means)
        if len(node.entries) < self.least:
            return reading.expected(node, f"at least {self.least} in this mapping")
        values = {}
        for key, tree in node.entries:
            self.read_one(key, tree, reading, values)
        return values

    def read_one(self, key: Scalar, tree: Tree, reading: Reading, values: dict[str, Any]) -> None:
        if self.key and not self.key.fullmatch(key.text):
            reading.expected(key, self.key_means)
        if self.key_scope:
            reading.templates.append((key, self.key_scope))
        with reading.inside(key.text):
            value = self.shape.read(tree, reading)
        if value is not WRONG:
            values[key.text] = value

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object", "additionalProperties": self.shape.json_schema(defs)}
        if self.key:
            schema["propertyNames"] = {"pattern": f"^(?:{self.key.pattern})$"}
        if self.least:
            schema["minProperties"] = self.least
        return schema


class ByKind(Shape):
    """A text, a list or a mapping, each with its own shape: one place that may be written short or long."""

    def __init__(
        self,
        means: str,
        *,
        text: Shape | None = None,
        items: Shape | None = None,
        mapping: Shape | None = None,
    ) -> None:
        self.means = means
        self.kinds = {Scalar: text, Items: items, Fields: mapping}

    def read(self, node: Tree, reading: Reading) -> Any:
        shape = self.kinds[type(node)]
        if shape is None or (isinstance(node, Scalar) and node.absent):
            return reading.expected(node, self.means)
        return shape.read(node, reading)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [shape.json_schema(defs) for shape in self.kinds.values() if shape]}


class Plain(Shape):
    """Any tree, as plain values: texts, tuples, dicts. For settings whose own words a higher layer knows."""

    means = "texts, lists and mappings"

    def __init__(self, *, template: str = "", schema: Mapping[str, Any] | None = None) -> None:
        self.scope = template
        self.schema = dict(schema or {})

    def read(self, node: Tree, reading: Reading) -> Any:
        if isinstance(node, Scalar):
            if self.scope:
                reading.templates.append((node, self.scope))
            return node.text
        if isinstance(node, Items):
            return tuple(self.read(item, reading) for item in node.items)
        return {key.text: self.read(value, reading) for key, value in node.entries}

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return dict(self.schema)


class Kept(Shape):
    """Keeps the tree for somebody else to read; the schema is that of the shape it will be read with."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.means = shape.means

    def read(self, node: Tree, reading: Reading) -> Any:
        return node

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return self.shape.json_schema(defs)


class Named(Shape):
    """A shape that has a name of its own in the JSON Schema; made late, so that shapes may hold themselves."""

    def __init__(self, name: str, make: Callable[[], Shape]) -> None:
        self.name, self.make = name, make
        self.made: Shape | None = None

    @property
    def shape(self) -> Shape:
        if self.made is None:
            self.made = self.make()
        return self.made

    @property
    def means(self) -> str:  # type: ignore[override]
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"

    def read(self, node: Tree, reading: Reading) -> Any:
        return self.shape.read(node, reading)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        if self.name not in defs:
            defs[self.name] = {}
            defs[self.name] = self.shape.json_schema(defs)
        return {"$ref": f"#/$defs/{self.name}"}
