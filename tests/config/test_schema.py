"""The JSON Schemas and reference pages agree with the readers, on shipped files and on mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsim.client.templates import FORMS
from kvsim.config import names, protocol_schema, scenario_schema
from kvsim.config.cluster_loader import load_cluster
from kvsim.config.cluster_schema import NODE_FIELDS
from kvsim.config.program_loader import load_program
from kvsim.config.scenario_loader import load_scenarios
from kvsim.config.schema.export import LANGUAGES, json_schema, reference_markdown
from kvsim.errors import FileProblems, Problem
from kvsim.runner.registry import REGISTRY

ROOT = Path(__file__).parents[2]
SHIPPED = {
    "cluster": [ROOT / "cluster.yaml", *ROOT.glob("clusters/*.yaml")],
    "scenario": list(ROOT.glob("scenarios/**/*.yaml")),
    "program": list(ROOT.glob("nodes/**/node.yaml")),
}
VALIDATORS = {
    language: jsonschema.Draft202012Validator(json_schema(language, REGISTRY))
    for language in LANGUAGES
}


def accepted_by_reader(language: str, path: Path) -> bool:
    problems: list[Problem] = []
    try:
        if language == "program":
            load_program(str(path), path.parent, problems, REGISTRY)
        else:
            {"cluster": load_cluster, "scenario": load_scenarios}[language](path, REGISTRY)
    except FileProblems as error:
        problems = error.problems
    return not problems


def accepted_by_schema(language: str, text: str) -> bool:
    return VALIDATORS[language].is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_schemas_are_valid_json_schemas(language: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(language, REGISTRY))


@pytest.mark.parametrize(
    ("language", "path"),
    [
        pytest.param(language, path, id=str(path.relative_to(ROOT)))
        for language in SHIPPED
        for path in SHIPPED[language]
    ],
)
def test_shipped_files_pass_both(language: str, path: Path) -> None:
    text = path.read_text()
    errors = [error.message for error in VALIDATORS[language].iter_errors(yaml.safe_load(text))]
    assert (accepted_by_reader(language, path), errors) == (True, [])


# Language, YAML text, whether reader and schema accept it.
CASES = [
    ("cluster", "nodes: {n1: {role: leader, port: 9001}}", True),
    ("cluster", "nodes: {n1: {role: leader, args: x, env: {A: 1}}}", True),
    ("cluster", "nodes: {n1: {role: leader}}\nlag: must", True),
    ("cluster", "nodes: {n1: {role: leader}}\nlag: {follower: never, within: 2s}", True),
    ("cluster", "nodes: {n1: {role: leader, program: {program: x, start: [x]}}}", True),
    ("cluster", "nodes: {}", False),
    ("cluster", "nodes: {n1: {role: boss}}", False),
    ("cluster", "nodes: {n1: {role: leader, port: 70000}}", False),
    ("cluster", "nodes: {N1: {role: leader}}", False),
    ("cluster", "nodes: {n1: {role: leader}}\nnods: 1", False),
    ("cluster", "nodes: {n1: {role: leader}}\nlag: {follower: must, within: 2}", False),
    ("cluster", "nodes: {n1: {role: leader, program: {program: x}}}", False),
    ("program", "start: [x]", True),
    ("program", "like: toy", True),
    ("program", "start: {leader: [x], follower: [y]}", True),
    ("program", "start: [x]\nready: {log: x, port: owned, any: [{http: /}, {command: [x]}]}", True),
    ("program", "start: [x]\nstop: {steps: [{signal: SIGTERM, wait: 1s}, {command: [x]}]}", True),
    ("program", "start: [x]\nspeak: {kind: lines, anything: [1, 2]}", False),
    ("program", "start: [x]\nspeak: {kind: 'my.own:Client', anything: [1, 2]}", True),
    ("program", "start: [x]\nspeak: {kind: lines, until: {get: END}, line_end: crlf}", True),
    ("program", "start: [x]\nspeak: {kind: lines, handshake: [{sned: A}]}", False),
    ("program", "start: [x]\nspeak: {kind: frames, size: 2, byte_order: little}", True),
    ("program", "start: [x]\nspeak: {kind: frames, size: 3}", False),
    ("program", "start: [x]\nspeak: {kind: http, value: {json: $.a.0}}", True),
    ("program", "start: [x]\nspeak: {kind: http, value: {json: $.a, header: b}}", False),
    ("program", "start: [x]\nspeak: {kind: http, connection: sometimes}", False),
    ("program", 'start: [x]\nspeak: http\nrequests: {get: "GET /{key}"}', True),
    ("program", "start: [x]\nspeak: {kind: http}\nrequests: {get: {path: /a, bdoy: x}}", False),
    ("program", "start: [x]\nspeak: http\nrequests: {get: [GET, /a]}", False),
    ("program", 'start: [x]\nspeak: command\nrequests: {get: {argv: "a {key}", stdin: x}}', True),
    ("program", "start: [x]\nspeak: resp\nrequests: {get: {path: /a}}", False),
    ("program", "start: [x]\nspeak: resp\nrequests: {it: {steps: [MULTI, [EXEC]]}}", True),
    ("program", "start: [x]\nspeak: lines\nrequests: {it: {first_of: [A, B]}}", True),
    ("program", "start: [x]\nspeak: lines\nrequests: {put: {first_of: []}}", False),
    ("program", "start: [x]\nspeak: lines\nrequests: {put: {first: [A, B]}}", False),
    ("program", "start: [x]\nspeak: lines\nrequests: {s: {speak: http, send: GET /a}}", True),
    ("program", "start: [x]\nspeak: lines\nrequests: {s: {speak: htp, send: GET /a}}", False),
    (
        "program",
        "start: [x]\nspeak: {kind: frames, frame: [{constant: 0xCA, size: 2, reply: any}, {length: "
        "rest, size: 4}, {part: body}]}",
        True,
    ),
    ("program", "start: [x]\nspeak: {kind: frames, frame: [{length: rest, part: x}]}", False),
    ("program", "start: [x]\nspeak: my.module:Client", True),
    (
        "program",
        'start: [x]\nspeak: lines\nrequests: {put: "{key}{value}", get: "b {key}"}\n'
        "replies: {ok: x, put: {ok: [x, {status: 200}]}}",
        True,
    ),
    ("program", "start: [x]\nlog: pty\nports: peer\nenv_inherit: on", True),
    ("program", "start: x", False),
    ("program", "start: []", False),
    ("program", "user: x", False),
    ("program", "start: {leader: [x]}", False),
    ("program", "start: [x]\nready: {any: [{log: a, ping: true}]}", False),
    ("program", "start: [x]\nstop: {signal: BANG}", False),
    ("program", "start: [x]\nspeak: klingon", False),
    ("program", "start: [x]\nreplies: {put: {okay: x}}", False),
    ("program", "start: [x]\norder: never", False),
    ("scenario", "- put: {at: leader, key: k, value: 1}", True),
    (
        "scenario",
        "- get: {at: [n1, n2], key: on, expect: {any_of: [ok, {value: 3}]}, eventually: 2s}",
        True,
    ),
    ("scenario", "- group: g\n  steps: [{kill: leader}, {check: {state: same}}]", True),
    ("scenario", "- sleep: {for: 1s, why: because}", True),
    ("scenario", "- put: {at: leader, key: k}", False),
    ("scenario", "- gte: {at: leader, key: k}", False),
    ("scenario", "- kill: n1\n  stop: n1", False),
    ("scenario", "- get: {at: n1, key: k, expect: okay}", False),
    ("scenario", "- get: {at: n1, key: k, expect: {value: 1, reply: 2}}", False),
    ("scenario", "- sleep: {for: 1s}", False),
    ("scenario", "- sleep: {for: 1, why: x}", False),
    ("scenario", "- check: {role: leader, state: same, at: n1}", False),
    ("scenario", "- group: g\n  steps: []", False),
    ("scenario", "- group: g", False),
]
HEADS = {
    "cluster": "cluster: c\nprogram: toy\n",
    "program": "program: p\n",
    "scenario": "scenario: s\ncluster: cluster.yaml\nsteps:\n",
}


@pytest.mark.parametrize(("language", "text", "good"), CASES)
def test_reader_and_schema_agree(folder: Path, language: str, text: str, good: bool) -> None:
    whole = HEADS[language] + text + "\n"
    (folder / "case.yaml").write_text(whole)
    assert accepted_by_reader(language, folder / "case.yaml") == good
    assert accepted_by_schema(language, whole) == good


WORDS = st.sampled_from(
    ["n1", "leader", "ok", "k", "{value: x}", "2s", "KILL", "[n1]", "{}", "same", "a b c", "9"]
)
STEPS = st.dictionaries(
    st.sampled_from(["at", "key", "value", "expect", "eventually", "signal", "state", "until"]),
    WORDS,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(verb=st.sampled_from(sorted(REGISTRY.verbs)), fields=STEPS)
def test_the_schema_accepts_what_the_reader_accepts(
    folder: Path, verb: str, fields: dict[str, str]
) -> None:
    """An editor must not mark text as wrong that kvsim accepts."""
    inside = ", ".join(f"{name}: {value}" for name, value in fields.items())
    text = f"{HEADS['scenario']}  - {verb}: {{{inside}}}\n"
    (folder / "case.yaml").write_text(text)
    if accepted_by_reader("scenario", folder / "case.yaml"):
        assert accepted_by_schema("scenario", text)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("cluster", [*REGISTRY.cluster.fields, *NODE_FIELDS]),
        (
            "program",
            [
                *REGISTRY.program.fields,
                *protocol_schema.OUTCOMES,
                *names.THIS_NODE,
                *names.REQUEST_FORMS,
            ],
        ),
        (
            "scenario",
            [
                *scenario_schema.SCENARIO_FIELDS,
                *REGISTRY.verbs,
                "any_of",
                "each follower",
                "eventually",
            ],
        ),
    ],
)
def test_the_reference_page_has_every_word(language: str, words: list[str]) -> None:
    page = reference_markdown(language, REGISTRY)
    assert [word for word in words if f"`{word}`" not in page] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_row_of_the_page_has_all_columns(language: str) -> None:
    for line in reference_markdown(language, REGISTRY).splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 5), line


def test_every_field_has_a_description() -> None:
    rows = [
        *REGISTRY.program.fields.items(),
        *REGISTRY.cluster.fields.items(),
        *scenario_schema.SCENARIO_FIELDS.items(),
    ]
    rows += [row for verb in REGISTRY.verbs.values() for row in verb.fields.items()]
    assert [name for name, row in rows if not row.description] == []


def test_every_form_of_a_request_field_has_an_encoder() -> None:
    assert set(names.REQUEST_FORMS) == set(FORMS)
