"""The published schemas and pages say what the readers do: held against shipped files, good ones, and ones with a mistake."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsim.client.templates import FORMS
from kvsim.config import cluster_words, names, program_words, protocol_words, scenario_words
from kvsim.config.cluster_file import load_cluster
from kvsim.config.program_file import load_program
from kvsim.config.scenario_file import load_scenarios
from kvsim.config.schema import LANGUAGES, json_schema, reference_markdown
from kvsim.errors import FileProblems, Problem

ROOT = Path(__file__).parents[2]
SHIPPED = {
    "cluster": [ROOT / "cluster.yaml", *ROOT.glob("clusters/*.yaml")],
    "scenario": list(ROOT.glob("scenarios/**/*.yaml")),
    "program": list(ROOT.glob("nodes/**/node.yaml")),
}
VALIDATORS = {language: jsonschema.Draft202012Validator(json_schema(language)) for language in LANGUAGES}


def accepted_by_reader(language: str, path: Path) -> bool:
    problems: list[Problem] = []
    try:
        if language == "program":
            load_program(str(path), path.parent, problems)
        else:
            {"cluster": load_cluster, "scenario": load_scenarios}[language](path)
    except FileProblems as error:
        problems = error.problems
    return not problems


def accepted_by_schema(language: str, text: str) -> bool:
    return VALIDATORS[language].is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_schemas_are_schemas(language: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(language))


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


CASES = [  # language, what is written, whether both accept it
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
    ("program", "start: [x]\nspeak: {kind: lines, anything: [1, 2]}", True),
    ("program", "start: [x]\nspeak: my.module:Client", True),
    (
        "program",
        "start: [x]\nrequests: {put: a, get: [b, c], delete: {path: /}}\nreplies: {ok: x, put: {ok: [x, {status: 200}]}}",
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
    ("scenario", "- get: {at: [n1, n2], key: on, expect: {any_of: [ok, {value: 3}]}, eventually: 2s}", True),
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
    assert (accepted_by_reader(language, folder / "case.yaml"), accepted_by_schema(language, whole)) == (
        good,
        good,
    )


WORDS = st.sampled_from(
    ["n1", "leader", "ok", "k", "{value: x}", "2s", "KILL", "[n1]", "{}", "same", "a b c", "9"]
)
STEPS = st.dictionaries(
    st.sampled_from(["at", "key", "value", "expect", "eventually", "signal", "state", "until"]), WORDS
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(verb=st.sampled_from(sorted(scenario_words.VERBS)), fields=STEPS)
def test_what_the_reader_takes_the_schema_takes(folder: Path, verb: str, fields: dict[str, str]) -> None:
    """An editor must never underline what kvsim accepts."""
    inside = ", ".join(f"{name}: {value}" for name, value in fields.items())
    text = f"{HEADS['scenario']}  - {verb}: {{{inside}}}\n"
    (folder / "case.yaml").write_text(text)
    if accepted_by_reader("scenario", folder / "case.yaml"):
        assert accepted_by_schema("scenario", text)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("cluster", [*cluster_words.FIELDS, *cluster_words.NODE.fields]),
        (
            "program",
            [*program_words.FIELDS, *protocol_words.OUTCOMES, *names.THIS_NODE, *names.REQUEST_FORMS],
        ),
        (
            "scenario",
            [*scenario_words.FIELDS, *scenario_words.VERBS, "any_of", "each follower", "eventually"],
        ),
    ],
)
def test_the_reference_page_has_every_word(language: str, words: list[str]) -> None:
    page = reference_markdown(language)
    assert [word for word in words if f"`{word}`" not in page] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_tables_of_the_page_are_whole(language: str) -> None:
    for line in reference_markdown(language).splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 5), line


def test_every_row_says_what_it_is_for() -> None:
    rows = [*program_words.FIELDS.items(), *cluster_words.FIELDS.items(), *scenario_words.FIELDS.items()]
    rows += [row for verb in scenario_words.VERBS.values() for row in verb.fields.items()]
    assert [name for name, row in rows if not row.says] == []


def test_the_forms_of_request_fields_are_those_the_clients_write() -> None:
    assert set(names.REQUEST_FORMS) == set(FORMS)
