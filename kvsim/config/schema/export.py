"""The published form of the languages: JSON Schemas for editors, and reference pages.

Both come out of the readers' own tables. No reader needs this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kvsim.config import names
from kvsim.config.cluster_schema import LAG, node_record
from kvsim.config.expectation import EXPECTED, REASONS, ExpectationSchema
from kvsim.config.expectation import WORDS as EXPECTATION_WORDS
from kvsim.config.needs import DERIVED
from kvsim.config.plan_schema import GRADED_SCENARIO, LIMITS, PLAN
from kvsim.config.program_schema import CAPABILITIES, COMMAND, GUARANTEES, LOG, STOP, STOP_STEP
from kvsim.config.protocol_schema import GROUPS, OUTCOMES, RULE, STATUS
from kvsim.config.registry import Registry
from kvsim.config.request_forms import FORMS as REQUEST_FORMS
from kvsim.config.scenario_schema import GROUP, VARIABLE_KINDS, Verb
from kvsim.config.schema import (
    WORD,
    ByNodeKind,
    Choice,
    Field,
    ListOf,
    Named,
    Record,
    Schema,
    Unread,
)
from kvsim.config.target import DESCRIPTIONS as TARGET_DESCRIPTIONS
from kvsim.config.template import FORMS as TEMPLATE_FORMS

MATRIX_NAME = "matrix name"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
LANGUAGES = {
    "cluster": "cluster.yaml: nodes, their roles and their program",
    "scenario": "a scenario: steps, what they expect, and what must hold",
    "program": "node.yaml: how to start, observe, ask and stop a program",
    "plan": "plan.yaml: how submissions are graded",
}


def json_schema(language: str, registry: Registry) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one of LANGUAGES. Raises KeyError for another word."""
    records: dict[str, Callable[[], Record]] = {
        "cluster": lambda: registry.cluster,
        "scenario": lambda: registry.scenario,
        "program": lambda: registry.program,
        "plan": lambda: PLAN,
    }
    return schema_of(records[language](), LANGUAGES[language], matrix=language == "scenario")


def schema_of(record: Record, title: str, *, matrix: bool = False) -> dict[str, Any]:
    """The JSON Schema of any table. `matrix`: a `{name}` may replace words and numbers in it.

    An editor may parse a plain text as a number or as true/false, so the schema allows these where
    kvsim keeps the text as typed.
    """
    defs: dict[str, Any] = {}
    schema = record.json_schema(defs)
    if matrix:
        schema = _with_matrix_names(schema)
        defs = {name: _with_matrix_names(definition) for name, definition in defs.items()}
        defs[MATRIX_NAME] = {"type": "string", "pattern": rf"\{{{WORD}\}}"}
    whole = {"$schema": DIALECT, "title": title, **schema}
    return {**whole, "$defs": dict(sorted(defs.items()))} if defs else whole


def _with_matrix_names(schema: Any) -> Any:
    """The schema, where each word or number may also be a `{name}` of the matrix.

    The names are filled in before the file is read.
    """
    if isinstance(schema, list):
        return [_with_matrix_names(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "enum" in schema or schema.get("type") == "integer" or "pattern" in schema:
        description = {"description": schema["description"]} if "description" in schema else {}
        return {"anyOf": [schema, {"$ref": f"#/$defs/{MATRIX_NAME}"}], **description}
    return {
        key: value if key == "propertyNames" else _with_matrix_names(value)
        for key, value in schema.items()
    }


def reference_markdown(language: str, registry: Registry) -> str:
    """The reference page of one language, in Markdown. Raises KeyError for an unknown one."""
    pages = {
        "cluster": lambda: _cluster(registry),
        "program": lambda: _program(registry),
        "scenario": lambda: _scenario(registry),
        "plan": _plan,
    }
    return "\n".join(pages[language]()) + "\n"


def record_markdown(title: str, record: Record) -> str:
    """A section with the table of one record, in Markdown."""
    return "\n".join(_record(title, record)) + "\n"


def _cluster(registry: Registry) -> Iterator[str]:
    yield from _head("cluster")
    yield from _record("The file", registry.cluster)
    yield from _record("A node", node_record(registry.program))
    yield from _record("`lag`", LAG)


def _program(registry: Registry) -> Iterator[str]:
    yield from _head("program")
    yield from _record("The file", registry.program)
    yield from _record("A command (`init`, `after_start`)", _record_in(COMMAND))
    yield from _rows("Probes (`ready`, `cluster_ready`)", registry.probes)
    for name, row in registry.probes.items():
        yield from _record(f"Probe `{name}`", _record_in(row.schema))
    yield from _record("`log`", LOG)
    yield from _record("`stop`", STOP)
    yield from _record("A step of `stop`", STOP_STEP)
    protocols = {name: registry.describe_protocol(name) for name in registry.protocols}
    yield from _words("Protocols (`speak`)", protocols)
    for name in registry.protocols:
        yield from _protocol(name, registry)
    yield from _words("Other forms of a request, in every protocol", REQUEST_FORMS)
    yield from _words("Outcomes (`replies`)", OUTCOMES)
    yield from _record("An outcome rule", RULE)
    yield from _words("Named groups in rules, as in `(?P<value>.*)`", GROUPS)
    yield from _record("`status`", STATUS)
    yield from _words("Capabilities", CAPABILITIES)
    yield from _record("`guarantees`", GUARANTEES)
    yield from _words("Templates", TEMPLATE_FORMS)
    yield from _words("Names in templates: this node", names.THIS_NODE)
    yield from _words("Names in templates: others", names.OTHER_NAMES)
    yield from _words("Names in `requests`, besides", names.REQUEST_NAMES)
    yield from _words("Forms of those, as in `{value.json}`", names.REQUEST_FORMS)


def _protocol(name: str, registry: Registry) -> Iterator[str]:
    """The settings of a protocol, and what its requests hold."""
    language = registry.language_of(name)
    if language is None:
        return
    yield from _rows(f"`speak: {name}`, with settings `{{kind: {name}, …}}`", language.settings)
    yield from (f"A request is {language.request.expected}.", "")
    record = _record_in(language.request)
    if record is not None:
        yield from _table(record.fields)


def _scenario(registry: Registry) -> Iterator[str]:
    yield from _head("scenario")
    yield from _record("The file", registry.scenario)
    yield from _record("A group", GROUP)
    derived = {need: one.means for need, one in DERIVED.items()}
    yield from _words("Further words for `needs`, besides the capabilities of programs", derived)
    yield from _words("Variables", VARIABLE_KINDS)
    yield from _words("Targets", TARGET_DESCRIPTIONS)
    yield from _words("Expectations", EXPECTATION_WORDS)
    if isinstance(EXPECTED.schema, ExpectationSchema):
        yield from _record("Expectations in detail", EXPECTED.schema.mapping)
    yield from _words("Reasons of a refusal", REASONS)
    yield from ("## Verbs", "", "A step is a mapping with exactly one verb.", "")
    for verb in registry.verbs.values():
        yield from _verb(verb)


def _plan() -> Iterator[str]:
    yield from _head("plan")
    yield from _record("The file", PLAN)
    yield from _record("A scenario", GRADED_SCENARIO)
    yield from _record("`limits`", LIMITS)


def _head(language: str) -> Iterator[str]:
    title = LANGUAGES[language]
    yield from (
        f"# {title if '.yaml' in title else title[0].upper() + title[1:]}",
        "",
        "Printed from the reader's own tables; `*` marks a required key.",
        "",
    )


def _verb(verb: Verb) -> Iterator[str]:
    yield from (f"### `{verb.name}`", "", _sentence(verb.description), "")
    yield from _table(verb.record().fields)
    if verb.bare:
        yield from (f"Short form: `- {verb.name}: {verb.bare.upper()}`.", "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _record(title: str, record: Record | None) -> Iterator[str]:
    if record is None:
        return
    yield from _rows(title, record.fields)
    if record.bare:
        yield from (f"Short form: the value of `{record.bare}` alone.", "")
    if record.others:
        yield from (f"Any other key: {record.others.description}.", "")


def _rows(title: str, rows: Mapping[str, Field]) -> Iterator[str]:
    yield from (f"## {title}", "")
    yield from _table(rows)


def _table(rows: Mapping[str, Field]) -> Iterator[str]:
    yield from ("| key | holds | for | left out |", "| --- | --- | --- | --- |")
    for name, row in rows.items():
        cells = (_holds(row.schema), row.description, row.default_text)
        star = " *" if row.required else ""
        yield f"| `{name}`{star} | {' | '.join(map(_cell, cells))} |"
    yield ""


def _words(title: str, words: Mapping[str, str]) -> Iterator[str]:
    yield from (f"## {title}", "", "| word | meaning |", "| --- | --- |")
    yield from (f"| `{_cell(word)}` | {_cell(text)} |" for word, text in words.items())
    yield ""


def _holds(schema: Schema) -> str:
    if isinstance(schema, Choice) and any(schema.words.values()):
        return "; ".join(
            f"`{word}`: {text}" if text else f"`{word}`" for word, text in schema.words.items()
        )
    return schema.expected


def _record_in(schema: Schema) -> Record | None:
    """The record behind a schema with short and long forms."""
    if isinstance(schema, ByNodeKind):
        return next(filter(None, map(_record_in, schema.schemas)), None)
    if isinstance(schema, ListOf):
        return _record_in(schema.item)
    if isinstance(schema, Unread | Named):
        return _record_in(schema.schema)
    return schema if isinstance(schema, Record) else None


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
