"""A mapping with known keys, described by a table of fields; what it reads remembers where each value stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvsim.config.shape.base import WRONG, Reading, Shape
from kvsim.config.spelling import did_you_mean
from kvsim.config.yaml_tree import Fields, Scalar, Tree, quoted


@dataclass(frozen=True)
class Field:
    """One row of a record's table: its shape, one line that says what it is for, and what stands when it is left out."""

    shape: Shape
    says: str
    required: bool = False
    default: Any = None
    shows: str = ""  # the default as the docs show it


class Values(dict):  # type: ignore[type-arg]
    """What a record read: name → value, defaults filled in. `node` is the mapping it was read from."""

    def __init__(self, values: Mapping[str, Any], node: Tree) -> None:
        super().__init__(values)
        self.node = node

    def at(self, name: str) -> Tree:
        """Where that value stands, or the record itself."""
        found = self.node.get(name) if isinstance(self.node, Fields) else None
        return self.node if found is None else found

    def wrote(self, name: str) -> bool:
        return isinstance(self.node, Fields) and self.node.get(name) is not None


class Record(Shape):
    """A mapping with known keys. `bare`: the field that a single text or list stands for. `others`: rule for any other key.

    `one_of`: exactly one of these must be written. `waived_by`: a key that makes all required ones optional.
    """

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Field],
        *,
        bare: str = "",
        others: Field | None = None,
        one_of: tuple[str, ...] = (),
        waived_by: str = "",
    ) -> None:
        self.name, self.fields, self.bare, self.others, self.one_of = name, dict(fields), bare, others, one_of
        self.waived_by = waived_by
        self.means = f"a mapping ({', '.join(self.fields)})"
        if bare:
            self.means += f" or {self.fields[bare].shape.means}"

    def read(self, node: Tree, reading: Reading) -> Any:
        if not isinstance(node, Fields):
            return self.read_bare(node, reading)
        values = {name: row.default for name, row in self.fields.items() if not row.required}
        for key, tree in node.entries:
            self.read_one(key, tree, reading, values)
        self.complain_of_missing(node, reading)
        return Values(values, node)

    def read_bare(self, node: Tree, reading: Reading) -> Any:
        if not self.bare:
            return reading.expected(node, self.means)
        value = self.fields[self.bare].shape.read(node, reading)
        if value is WRONG:
            return WRONG
        written = Fields(node.mark, ((Scalar(node.mark, self.bare), node),))
        self.complain_of_missing(written, reading)
        defaults = {name: row.default for name, row in self.fields.items() if not row.required}
        return Values({**defaults, self.bare: value}, written)

    def read_one(self, key: Scalar, tree: Tree, reading: Reading, values: dict[str, Any]) -> None:
        row = self.fields.get(key.text, self.others)
        if row is None:
            reading.say(key, f"unknown key {quoted(key.text)}{did_you_mean(key.text, self.fields)}")
            return
        with reading.inside(key.text):
            value = row.shape.read(tree, reading)
        if value is not WRONG:
            values[key.text] = value

    def complain_of_missing(self, node: Fields, reading: Reading) -> None:
        waived = self.waived_by and node.get(self.waived_by) is not None
        for name, row in self.fields.items():
            if row.required and not waived and node.get(name) is None:
                reading.say(node, f"`{name}` is missing: {row.says}")
        written = [name for name in self.one_of if node.get(name) is not None]
        if self.one_of and len(written) != 1:
            found = " and ".join(written) or "none"
            reading.say(node, f"expected exactly one of {', '.join(self.one_of)}; found {found}")

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        properties = {name: described(row, defs) for name, row in self.fields.items()}
        others = described(self.others, defs) if self.others else False
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": others}
        required = [name for name, row in self.fields.items() if row.required]
        if required and self.waived_by:
            schema["anyOf"] = [{"required": required}, {"required": [self.waived_by]}]
        elif required:
            schema["required"] = required
        if self.one_of:
            schema["oneOf"] = [{"required": [name]} for name in self.one_of]
        if self.bare and all(name == self.bare for name in required):
            return {"anyOf": [schema, properties[self.bare]]}
        return schema


def described(row: Field, defs: dict[str, Any]) -> dict[str, Any]:
    """The row's schema with its line of description."""
    return {**row.shape.json_schema(defs), "description": row.says}
