"""Schemas made of other schemas: lists, mappings with free keys, short and long forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kvsim.config.schema.base import RENAMED, WRONG, Schema, Validation, hint
from kvsim.config.yaml_nodes import Fields, Items, Scalar, Tree


class ListOf(Schema):
    """A list. `single`: one item may be written without brackets. Reads into a tuple.

    `result` makes the typed value out of the items: tuple, frozenset.
    """

    def __init__(
        self,
        item: Schema,
        *,
        length_min: int = 0,
        single: bool = False,
        result: Callable[[Iterable[Any]], Any] = tuple,
    ) -> None:
        self.item, self.length_min, self.single, self.result = item, length_min, single, result
        self.expected = f"a list of: {item.expected}"

    def read(self, node: Tree, validation: Validation) -> Any:
        if not isinstance(node, Items):
            if not self.single:
                return validation.report_expected(node, self.expected)
            value = self.item.read(node, validation)
            return WRONG if value is WRONG else (value,)
        if len(node.items) < self.length_min:
            return validation.report_expected(node, f"at least {self.length_min} in this list")
        values = [self.item.read(item, validation) for item in node.items]
        return WRONG if any(value is WRONG for value in values) else tuple(values)

    def build(self, value: Any) -> Any:
        return self.result(map(self.item.build, value))

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        item = self.item.json_schema(defs)
        schema: dict[str, Any] = {"type": "array", "items": item}
        if self.length_min:
            schema["minItems"] = self.length_min
        return {"anyOf": [schema, item]} if self.single else schema


class MapOf(Schema):
    """A mapping whose keys the author chooses. Reads into a dict.

    `key`: a regular expression that the whole of each key must match; `key_expected` describes it.
    `key_template`: keys are templates too, in this scope.
    """

    def __init__(
        self,
        value: Schema,
        *,
        key: str = "",
        key_expected: str = "a name",
        length_min: int = 0,
        length_max: int = 200_000,
        key_template: str = "",
    ) -> None:
        self.value, self.key_expected, self.length_min = value, key_expected, length_min
        self.length_max = length_max
        self.key_template = key_template
        self.key = re.compile(key) if key else None
        self.expected = f"a mapping from {key_expected} to {value.expected}"

    def read(self, node: Tree, validation: Validation) -> Any:
        if not isinstance(node, Fields):
            return validation.report_expected(node, self.expected)
        if len(node.entries) < self.length_min:
            return validation.report_expected(node, f"at least {self.length_min} in this mapping")
        if len(node.entries) > self.length_max:
            count = len(node.entries)
            validation.report(node, f"expected at most {self.length_max} here, found {count}")
            return WRONG
        values: dict[str, Any] = {}
        for key, tree in node.entries:
            self._read_entry(key, tree, validation, values)
        return values

    def _read_entry(
        self, key: Scalar, tree: Tree, validation: Validation, values: dict[str, Any]
    ) -> None:
        if self.key and not self.key.fullmatch(key.text):
            new_name = RENAMED.get(key.text, "")
            known = [new_name] if self.key.fullmatch(new_name) else []
            found = f"{key.describe()}{hint(key.text, known)}"
            validation.report(key, f"expected {self.key_expected}, found {found}")
        if self.key_template:
            validation.templates.append((key, self.key_template))
        with validation.inside(key.text):
            value = self.value.read(tree, validation)
        if value is not WRONG:
            values[key.text] = value

    def build(self, value: Any) -> Any:
        return {key: self.value.build(given) for key, given in value.items()}

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "additionalProperties": self.value.json_schema(defs),
        }
        if self.key:
            schema["propertyNames"] = {"pattern": f"^(?:{self.key.pattern})$"}
        if self.length_min:
            schema["minProperties"] = self.length_min
        return schema


class ByNodeKind(Schema):
    """A text, a list or a mapping, each with its own schema: a value with short and long forms."""

    def __init__(
        self,
        expected: str,
        *,
        text: Schema | None = None,
        items: Schema | None = None,
        mapping: Schema | None = None,
    ) -> None:
        self.expected = expected
        self.text, self.items, self.mapping = text, items, mapping

    @property
    def schemas(self) -> tuple[Schema, ...]:
        return tuple(filter(None, (self.text, self.items, self.mapping)))

    def read(self, node: Tree, validation: Validation) -> Any:
        if isinstance(node, Scalar):
            schema = None if node.absent else self.text
        else:
            schema = self.items if isinstance(node, Items) else self.mapping
        if schema is None:
            return validation.report_expected(node, self.expected)
        return schema.read(node, validation)

    def build(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            schema = self.mapping
        else:
            schema = self.items if isinstance(value, tuple) else self.text
        return value if schema is None else schema.build(value)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [schema.json_schema(defs) for schema in self.schemas]}


class PlainData(Schema):
    """Any YAML as plain values: texts, tuples, dicts. For settings that a higher layer checks."""

    expected = "texts, lists and mappings"

    def __init__(self, *, template: str = "") -> None:
        self.template = template

    def read(self, node: Tree, validation: Validation) -> Any:
        if isinstance(node, Scalar):
            if self.template:
                validation.templates.append((node, self.template))
            return node.text
        if isinstance(node, Items):
            return tuple(self.read(item, validation) for item in node.items)
        return {key.text: self.read(value, validation) for key, value in node.entries}

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {}


class Unread(Schema):
    """Keeps the YAML node for another reader, which reads it with `schema`."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.expected = schema.expected

    def read(self, node: Tree, validation: Validation) -> Any:
        return node

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return self.schema.json_schema(defs)


class Named(Schema):
    """A schema with a name in the JSON Schema. Made when first used: schemas may be recursive."""

    def __init__(self, name: str, make: Callable[[], Schema]) -> None:
        self.name, self._make = name, make
        self._schema: Schema | None = None
        self.expected = f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

    @property
    def schema(self) -> Schema:
        if self._schema is None:
            self._schema = self._make()
        return self._schema

    def read(self, node: Tree, validation: Validation) -> Any:
        return self.schema.read(node, validation)

    def build(self, value: Any) -> Any:
        return self.schema.build(value)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        if self.name not in defs:
            defs[self.name] = {}
            defs[self.name] = self.schema.json_schema(defs)
        return {"$ref": f"#/$defs/{self.name}"}
