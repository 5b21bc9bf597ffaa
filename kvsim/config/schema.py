"""The published form of the languages: JSON Schema for editors, and a reference page, both out of the readers' own tables.

Imported only by whoever prints them; reading a file never needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kvsim.config import names
from kvsim.config.cluster_words import CLUSTER, LAG, NODE
from kvsim.config.common_words import WORD
from kvsim.config.expectation import EXPECTED, REASONS
from kvsim.config.expectation import WORDS as EXPECTATION_WORDS
from kvsim.config.plan_words import LIMITS, PLAN
from kvsim.config.plan_words import SCENARIO as GRADED
from kvsim.config.process_words import COMMAND, LOG, PROBES, STOP, STOP_STEP
from kvsim.config.program_words import CAPABILITIES, PROGRAM
from kvsim.config.protocol_words import OUTCOMES, PROTOCOLS, RULE, SPEAK, STATUS
from kvsim.config.scenario_words import GROUP, KINDS, SCENARIO, VERBS, Verb
from kvsim.config.shape import ByKind, Field, Kept, ListOf, Record, Shape, Word
from kvsim.config.target import MEANINGS as TARGET_MEANINGS
from kvsim.config.template import FORMS as TEMPLATE_FORMS

FILLED_IN = "matrix name"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
LANGUAGES: dict[str, tuple[Record, str]] = {
    "cluster": (CLUSTER, "cluster.yaml: nodes, their roles and their program"),
    "scenario": (SCENARIO, "a scenario: steps, what they expect, and what must hold"),
    "program": (PROGRAM, "node.yaml: how to start, know, speak to and stop a program"),
    "plan": (PLAN, "plan.yaml: how submissions are graded"),
}


def json_schema(language: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one of LANGUAGES. Raises KeyError for another word."""
    return schema_of(*LANGUAGES[language], filled_in=language == "scenario")


def schema_of(record: Record, title: str, *, filled_in: bool = False) -> dict[str, Any]:
    """The JSON Schema of any table. `filled_in`: a matrix may stand for words and numbers in it.

    Editors read YAML their own way, so a text may also be a number or true/false there; kvsim keeps it as typed.
    """
    defs: dict[str, Any] = {}
    schema = record.json_schema(defs)
    if filled_in:
        schema, defs = _or_filled_in(schema), {name: _or_filled_in(one) for name, one in defs.items()}
        defs[FILLED_IN] = {"type": "string", "pattern": rf"\{{{WORD}\}}"}
    whole = {"$schema": DIALECT, "title": title, **schema}
    return {**whole, "$defs": dict(sorted(defs.items()))} if defs else whole


def _or_filled_in(schema: Any) -> Any:
    """The same, where each word or number may also be a `{name}` of the matrix, which is filled in before anything is read."""
    if isinstance(schema, list):
        return [_or_filled_in(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "enum" in schema or schema.get("type") == "integer" or "pattern" in schema:
        described = {"description": schema["description"]} if "description" in schema else {}
        return {"anyOf": [schema, {"$ref": f"#/$defs/{FILLED_IN}"}], **described}
    return {key: value if key == "propertyNames" else _or_filled_in(value) for key, value in schema.items()}


def reference_markdown(language: str) -> str:
    """The reference page of one language, in Markdown. Raises KeyError for a word that is none."""
    return "\n".join(PAGES[language]()) + "\n"


def _cluster() -> Iterator[str]:
    yield from _head("cluster")
    yield from _record("The file", CLUSTER)
    yield from _record("A node", NODE)
    yield from _record("`lag`", LAG)


def _program() -> Iterator[str]:
    yield from _head("program")
    yield from _record("The file", PROGRAM)
    yield from _record("A command (`init`, `after_start`)", _record_in(COMMAND))
    yield from _rows("Probes (`ready`, `cluster_ready`)", PROBES)
    for name, row in PROBES.items():
        record = _record_in(row.shape)
        if record:
            yield from _record(f"Probe `{name}`", record)
    yield from _record("`log`", LOG)
    yield from _record("`stop`", STOP)
    yield from _record("A step of `stop`", STOP_STEP)
    yield from _record("`speak`", SPEAK)
    yield from _words("Protocols", PROTOCOLS)
    yield from _words("Outcomes (`replies`)", OUTCOMES)
    yield from _record("An outcome rule", RULE)
    yield from _record("`status`", STATUS)
    yield from _words("Capabilities", CAPABILITIES)
    yield from _words("Templates", TEMPLATE_FORMS)
    yield from _words("Names in templates: this node", names.THIS_NODE)
    yield from _words("Names in templates: others", names.ADVICE)
    yield from _words("Names in `requests`, besides", names.REQUEST_NAMES)
    yield from _words("Forms of those, as in `{value.json}`", names.REQUEST_FORMS)


def _scenario() -> Iterator[str]:
    yield from _head("scenario")
    yield from _record("The file", SCENARIO)
    yield from _record("A group", GROUP)
    yield from _words("Variables", KINDS)
    yield from _words("Targets", TARGET_MEANINGS)
    yield from _words("Expectations", EXPECTATION_WORDS)
    yield from _record("Expectations that say more", EXPECTED.shape.mapping)
    yield from _words("Reasons of a refusal", REASONS)
    yield from ("## Verbs", "", "A step is a mapping with exactly one verb.", "")
    for name, verb in VERBS.items():
        yield from _verb(name, verb)


def _plan() -> Iterator[str]:
    yield from _head("plan")
    yield from _record("The file", PLAN)
    yield from _record("A scenario", GRADED)
    yield from _record("`limits`", LIMITS)


PAGES = {"cluster": _cluster, "program": _program, "scenario": _scenario, "plan": _plan}


def _head(language: str) -> Iterator[str]:
    title = LANGUAGES[language][1]
    yield from (
        f"# {title if '.yaml' in title else title[0].upper() + title[1:]}",
        "",
        "Printed from the reader's own tables; `*` marks what must be written.",
        "",
    )


def _verb(name: str, verb: Verb) -> Iterator[str]:
    yield from (f"### `{name}`", "", verb.says[0].upper() + verb.says[1:] + ".", "")
    yield from _table(verb.record(name).fields)
    if verb.bare:
        yield from (f"Short form: `- {name}: {verb.bare.upper()}`.", "")


def _record(title: str, record: Record) -> Iterator[str]:
    yield from _rows(title, record.fields)
    if record.bare:
        yield from (f"Short form: what stands for `{record.bare}` alone.", "")
    if record.others:
        yield from (f"Any other key: {record.others.says}.", "")


def _rows(title: str, rows: Mapping[str, Field]) -> Iterator[str]:
    yield from (f"## {title}", "")
    yield from _table(rows)


def _table(rows: Mapping[str, Field]) -> Iterator[str]:
    yield from ("| key | holds | for | left out |", "| --- | --- | --- | --- |")
    for name, row in rows.items():
        star = " *" if row.required else ""
        yield f"| `{name}`{star} | {_cell(_holds(row.shape))} | {_cell(row.says)} | {_cell(row.shows)} |"
    yield ""


def _words(title: str, words: Mapping[str, str]) -> Iterator[str]:
    yield from (f"## {title}", "", "| word | means |", "| --- | --- |")
    yield from (f"| `{_cell(word)}` | {_cell(says)} |" for word, says in words.items())
    yield ""


def _holds(shape: Shape) -> str:
    if isinstance(shape, Word) and any(shape.words.values()):
        return "; ".join(f"`{word}`: {says}" if says else f"`{word}`" for word, says in shape.words.items())
    return shape.means


def _record_in(shape: Shape) -> Record | None:
    """The record behind a shape that may be written short or long."""
    if isinstance(shape, ByKind):
        return next((inner for inner in map(_record_in, filter(None, shape.kinds.values())) if inner), None)
    if isinstance(shape, Kept | ListOf):
        return _record_in(shape.shape)
    return shape if isinstance(shape, Record) else None


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
