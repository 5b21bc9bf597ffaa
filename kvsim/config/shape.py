"""Shapes: small tables that say what may stand in a YAML file, and from which reader, JSON Schema and docs all come.

A shape reads one tree into plain values and adds every mistake it sees to the `Reading`, never only the first. What could not
be read comes back as WRONG and is left out. Sits above `yaml_tree.py`, below the three file readers; knows no word of their languages.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from kvsim.config.spelling import did_you_mean
from kvsim.config.yaml_tree import Fields, Items, Mark, Scalar, Tree, quoted
from kvsim.errors import Problem


class _Wrong:
    def __repr__(self) -> str:
        return "WRONG"

    def __bool__(self) -> bool:
        return False


WRONG: Any = _Wrong()  # what a shape returns for something that it has reported


@dataclass
class Reading:
    """What one reading of a file gathers: problems, and the templates seen, to be checked once all names are known."""

    problems: list[Problem] = field(default_factory=list)
    templates: list[tuple[Scalar, str]] = field(default_factory=list)  # (text, scope)
    path: list[str] = field(default_factory=list)

    def say(self, where: Tree | Mark, message: str) -> None:
        mark = where if isinstance(where, Mark) else where.mark
        prefix = ".".join(self.path)
        self.problems.append(mark.problem(f"{prefix}: {message}" if prefix else message))

    def expected(self, node: Tree, means: str) -> Any:
        self.say(node, f"expected {means}, found {node.said()}")
        return WRONG

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Messages said inside begin with the path to `name`."""
        self.path.append(name if len(name) <= 40 else name[:37] + "...")
        try:
            yield
        finally:
            self.path.pop()


class Shape:
    """Base of all shapes. `means` is a noun phrase for messages and docs."""

    means = "anything"

    def read(self, node: Tree, reading: Reading) -> Any:
        raise NotImplementedError

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        """Draft 2020-12; shapes with a name put themselves into `defs`."""
        raise NotImplementedError


class OfScalar(Shape):
    """A shape that is one text; subclasses say how the text is taken."""

    def read(self, node: Tree, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or node.absent:
            return reading.expected(node, self.means)
        return self.take(node, reading)

    def take(self, node: Scalar, reading: Reading) -> Any:
        raise NotImplementedError


ANY_SCALAR = ["string", "number", "boolean"]  # what YAML may make of a text that we keep as text


class Text(OfScalar):
    """Any text as typed. `template`: the scope of names its `{…}` may use. `wire`: may hold NUL. `pattern`: whole text."""

    def __init__(
        self,
        means: str = "a text",
        *,
        pattern: str = "",
        template: str = "",
        wire: bool = False,
        examples: tuple[str, ...] = (),
    ) -> None:
        self.means, self.scope, self.wire, self.examples = means, template, wire, examples
        self.pattern = re.compile(pattern) if pattern else None

    def take(self, node: Scalar, reading: Reading) -> Any:
        if not self.wire and "\0" in node.text:
            reading.say(node, "a NUL character cannot stand here")
            return WRONG
        if self.pattern and not self.pattern.fullmatch(node.text):
            return reading.expected(node, self.means)
        if self.scope:
            reading.templates.append((node, self.scope))
        return node.text

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        if self.pattern:
            return {"type": ANY_SCALAR, "pattern": f"^(?:{self.pattern.pattern})$"}
        return {"type": ANY_SCALAR}


class Word(OfScalar):
    """One of a few words; `words` maps each to its meaning (docs) or is a plain tuple."""

    def __init__(
        self, words: Mapping[str, str] | tuple[str, ...], *, as_value: Callable[[str], Any] = str
    ) -> None:
        self.words = dict(words) if isinstance(words, Mapping) else dict.fromkeys(words, "")
        self.as_value = as_value
        self.means = "one of " + ", ".join(self.words) if len(self.words) > 1 else next(iter(self.words))

    def take(self, node: Scalar, reading: Reading) -> Any:
        if node.text in self.words:
            return self.as_value(node.text)
        reading.say(node, f"expected a known word, found {node.said()}{did_you_mean(node.text, self.words)}")
        return WRONG

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Flag(OfScalar):
    """`true` or `false` (also yes, no, on, off)."""

    means = "true or false"
    WORDS: ClassVar[dict[str, bool]] = {
        "true": True,
        "yes": True,
        "on": True,
        "false": False,
        "no": False,
        "off": False,
    }

    def take(self, node: Scalar, reading: Reading) -> Any:
        value = self.WORDS.get(node.text.lower())
        return reading.expected(node, self.means) if value is None else value

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": [True, False, *self.WORDS]}


class Int(OfScalar):
    """A whole number between two bounds, written in plain decimal digits."""

    DIGITS = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")

    def __init__(self, low: int, high: int, what: str = "a whole number") -> None:
        self.low, self.high = low, high
        self.means = f"{what} from {low} to {high}"

    def take(self, node: Scalar, reading: Reading) -> Any:
        if not self.DIGITS.fullmatch(node.text) or not self.low <= int(node.text) <= self.high:
            return reading.expected(node, self.means)
        return int(node.text)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Duration(OfScalar):
    """A time with its unit, read into seconds: `500ms`, `2s`, `1.5s`, `1m`, `1h`; at most a day."""

    means = "a time with its unit, such as 500ms, 2s or 1m"
    WRITTEN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
    UNITS: ClassVar[dict[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    MAX_S = 86400.0

    def take(self, node: Scalar, reading: Reading) -> Any:
        match = self.WRITTEN.fullmatch(node.text)
        if not match:
            return reading.expected(node, self.means)
        seconds = float(match[1]) * self.UNITS[match[2]]
        return seconds if seconds <= self.MAX_S else reading.expected(node, "at most 24h")

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.WRITTEN.pattern})$"}


class Pattern(OfScalar):
    """A regular expression (Python's `re`), compiled here to see that it is one; the text is kept."""

    means = "a regular expression"

    def __init__(self, *, template: str = "", group: bool = False) -> None:
        self.scope, self.group = template, group

    def take(self, node: Scalar, reading: Reading) -> Any:
        compiled = compile_pattern(node, reading)
        if compiled is None:
            return WRONG
        if self.group and compiled.groups != 1:
            reading.say(
                node, f"expected a regular expression with exactly one ( ) group, found {compiled.groups}"
            )
            return WRONG
        if self.scope:
            reading.templates.append((node, self.scope))
        return node.text

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": ANY_SCALAR, "description": "a regular expression (Python's `re`), searched"}


def compile_pattern(node: Scalar, reading: Reading) -> re.Pattern[str] | None:
    """Compile the text; a mistake or a construct `re` warns about is one problem, and None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(node.text)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        reading.say(node, f"{quoted(node.text)} is not a regular expression: {error or 'nested too deep'}")
        return None


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
