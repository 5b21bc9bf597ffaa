"""What a client of one node is made of, as JSON: `programs.json` of a run directory.

It holds what of a program's node.yaml decides how its requests are written and its replies are
classified, with everything filled in that the file takes over from others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from kvsim.config.program import Program, Query, ReplyRule, Role, Speak
from kvsim.errors import UsageError
from kvsim.file_formats import format_fields, other_format
from kvsim.history.json_types import (
    ANY,
    COUNT,
    INT,
    NUMBER,
    TEXT,
    JsonList,
    JsonMap,
    JsonObject,
    Maybe,
    OneOf,
    problem_text,
)
from kvsim.structs import to_dict

# The format of the file.
PROGRAMS_FORMAT = 1

RULE = JsonObject(
    {"outcome": TEXT},
    {"reply": TEXT, "status": JsonList(INT), "headers": JsonMap(TEXT), "stderr": TEXT},
    closed=True,
)
STATUS = JsonObject(
    {"request": TEXT, "fields": JsonMap(TEXT), "words": JsonMap(OneOf(tuple(Role)))}, closed=True
)
PROGRAM = JsonObject(
    {
        "name": TEXT,
        "folder": TEXT,
        "speak": JsonObject({"kind": TEXT, "settings": JsonMap(ANY)}),
        "requests": JsonMap(ANY),
        "replies": JsonMap(JsonList(RULE)),
    },
    {"status": STATUS},
    closed=True,
)
NODE = JsonObject(
    {"program": COUNT, "host": TEXT, "port": COUNT, "names": JsonMap(ANY)},
    {"start": JsonList(TEXT), "ready_within_s": Maybe(NUMBER)},
    closed=True,
)
FILE = JsonObject({"format": INT, "programs": JsonList(PROGRAM), "nodes": JsonMap(NODE)})


class ClientDescription(Struct, frozen=True):
    """One node: its program, where clients reach it, and the names for its templates.

    `start` are the words of its start command, filled in, but no paths found; `ready_within_s` is
    the time in which it has to be ready. Both are empty for a node that kvsim did not start.
    """

    program: Program
    host: str
    port: int
    names: Mapping[str, Any]
    start: tuple[str, ...] = ()
    ready_within_s: float | None = None


def to_json(nodes: Mapping[str, ClientDescription]) -> dict[str, Any]:
    """The content of the file. Nodes of the same program share its description."""
    programs: list[dict[str, Any]] = []
    entries = {}
    for name, node in nodes.items():
        program = _program_to_json(node.program)
        if program not in programs:
            programs.append(program)
        entries[name] = {
            "program": programs.index(program),
            "host": node.host,
            "port": node.port,
            "names": dict(node.names),
            "start": list(node.start),
            "ready_within_s": node.ready_within_s,
        }
    return {**format_fields(PROGRAMS_FORMAT), "programs": programs, "nodes": entries}


def from_json(content: object, file: Path) -> dict[str, ClientDescription]:
    """The inverse of `to_json`. Raises UsageError that names the file."""
    if isinstance(content, dict) and content.get("format") != PROGRAMS_FORMAT:
        raise UsageError(other_format(f"{file}: descriptions", content, PROGRAMS_FORMAT))
    if problem := problem_text(FILE, content):
        raise UsageError(f"{file}: does not describe the programs of a run: {problem}")
    fields: Mapping[str, Any] = content  # type: ignore[assignment]
    programs = [_program_from_json(entry) for entry in fields["programs"]]
    return {name: _node(entry, programs, file) for name, entry in fields["nodes"].items()}


def _node(entry: Mapping[str, Any], programs: list[Program], file: Path) -> ClientDescription:
    if entry["program"] >= len(programs):
        raise UsageError(f"{file}: there is no program {entry['program']}")
    return ClientDescription(
        programs[entry["program"]],
        entry["host"],
        entry["port"],
        entry["names"],
        tuple(entry.get("start", ())),
        entry.get("ready_within_s"),
    )


def _program_to_json(program: Program) -> dict[str, Any]:
    query = program.status
    status = {"status": to_dict(query)} if query else {}
    return {
        "name": program.name,
        "folder": str(program.folder),
        "speak": {"kind": program.speak.kind, "settings": dict(program.speak.settings)},
        "requests": dict(program.requests),
        "replies": {
            verb: [_rule_to_json(rule) for rule in rules] for verb, rules in program.replies.items()
        },
        **status,
    }


def _rule_to_json(rule: ReplyRule) -> dict[str, Any]:
    fields = {
        "outcome": rule.outcome,
        "reply": rule.reply,
        "status": sorted(rule.status),
        "headers": dict(rule.headers),
        "stderr": rule.stderr,
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _program_from_json(entry: Mapping[str, Any]) -> Program:
    return Program(
        name=entry["name"],
        folder=Path(entry["folder"]),
        start={},
        speak=Speak(entry["speak"]["kind"], entry["speak"]["settings"]),
        requests=entry["requests"],
        replies={
            verb: tuple(_rule_from_json(rule) for rule in rules)
            for verb, rules in entry["replies"].items()
        },
        status=_query_from_json(entry["status"]) if "status" in entry else None,
    )


def _query_from_json(entry: Mapping[str, Any]) -> Query:
    words = {word: Role(role) for word, role in entry["words"].items()}
    return Query(entry["request"], entry["fields"], words)


def _rule_from_json(entry: Mapping[str, Any]) -> ReplyRule:
    return ReplyRule(**{**entry, "status": frozenset(entry.get("status", ()))})
