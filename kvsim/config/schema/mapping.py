"""A mapping with known keys, described by a table of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from kvsim.config.schema.base import RENAMED, WRONG, Schema, Validation, hint
from kvsim.config.yaml_nodes import Fields, Scalar, Tree, quote


class Field(Struct, frozen=True):
    """One row of a record's table: its schema, and one line that describes its purpose.

    `default` is the value of an unwritten field, `default_text` how the docs show it. `attribute`
    is the argument of the record's `result` that gets the field, where its name differs.
    """

    schema: Schema
    description: str
    required: bool = False
    default: Any = None
    default_text: str = ""
    attribute: str = ""


class Values(dict[str, Any]):
    """What a record read: name → value. Written fields first, in the order of the file, then the
    defaults of the others. `node` is the mapping it was read from.
    """

    def __init__(self, values: Mapping[str, Any], node: Tree) -> None:
        super().__init__(values)
        self.node = node

    def node_of(self, name: str) -> Tree:
        """The node of that field, or of the record itself when it is not written."""
        found = self.node.get(name) if isinstance(self.node, Fields) else None
        return self.node if found is None else found

    def is_written(self, name: str) -> bool:
        return isinstance(self.node, Fields) and self.node.get(name) is not None

    def keys_in(self, name: str) -> list[Scalar]:
        """The keys of a field that is a mapping, with their locations; none for other fields."""
        node = self.node_of(name)
        if not self.is_written(name) or not isinstance(node, Fields):
            return []
        return [key for key, _ in node.entries]


class Record(Schema):
    """A mapping with known keys.

    `bare`: the field that a single text or list stands for. `others`: the rule for any other key.
    `one_of`: exactly one of these must be written. `waived_by`: a key that makes all required ones
    optional. `result`: makes the typed value out of the fields (and of `others`, a mapping); a
    record without one stays a dict.
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
        result: Callable[..., Any] = dict,
    ) -> None:
        self.name, self.fields, self.bare, self.others = name, dict(fields), bare, others
        self.one_of, self.waived_by, self.result = one_of, waived_by, result
        self.expected = f"a mapping ({', '.join(self.fields)})"
        if bare:
            self.expected += f" or {self.fields[bare].schema.expected}"

    def read(self, node: Tree, validation: Validation) -> Any:
        if not isinstance(node, Fields):
            return self._read_bare(node, validation)
        values: dict[str, Any] = {}
        for key, tree in node.entries:
            self._read_field(key, tree, validation, values)
        self._check_keys(node, validation)
        return Values({**values, **self._defaults(values)}, node)

    def _read_bare(self, node: Tree, validation: Validation) -> Any:
        if not self.bare:
            return validation.report_expected(node, self.expected)
        value = self.fields[self.bare].schema.read(node, validation)
        if value is WRONG:
            return WRONG
        written = Fields(node.location, ((Scalar(node.location, self.bare), node),))
        self._check_keys(written, validation)
        values = {self.bare: value}
        return Values({**values, **self._defaults(values)}, written)

    def _defaults(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: row.default
            for name, row in self.fields.items()
            if name not in values and not row.required
        }

    def _read_field(
        self, key: Scalar, tree: Tree, validation: Validation, values: dict[str, Any]
    ) -> None:
        row = self.fields.get(key.text, self.others)
        if row is None or (row is self.others and RENAMED.get(key.text) in self.fields):
            validation.report(key, f"unknown key {quote(key.text)}{hint(key.text, self.fields)}")
            return
        with validation.inside(key.text):
            value = row.schema.read(tree, validation)
        if value is not WRONG:
            values[key.text] = value

    def _check_keys(self, node: Fields, validation: Validation) -> None:
        waived = self.waived_by and node.get(self.waived_by) is not None
        for name, row in self.fields.items():
            if row.required and not waived and node.get(name) is None:
                validation.report(node, f"`{name}` is missing: {row.description}")
        written = [name for name in self.one_of if node.get(name) is not None]
        if self.one_of and len(written) != 1:
            found = " and ".join(written) or "none"
            expected = f"expected exactly one of {', '.join(self.one_of)}; found {found}"
            validation.report(node, expected)

    def build(self, value: Any, **more: Any) -> Any:
        """The typed value; `more` are further arguments of `result`."""
        built: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, given in value.items():
            row = self.fields.get(name)
            if row is None and self.others is not None:
                others[name] = self.others.schema.build(given)
            elif row is not None:
                is_default = isinstance(value, Values) and not value.is_written(name)
                built[row.attribute or name] = given if is_default else row.schema.build(given)
        if self.others is not None:
            built["others"] = others
        return self.result(**built, **more)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        properties = {name: describe(row, defs) for name, row in self.fields.items()}
        schema: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "additionalProperties": describe(self.others, defs) if self.others else False,
        }
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


def describe(row: Field, defs: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of the row, with its line of description."""
    return {**row.schema.json_schema(defs), "description": row.description}
