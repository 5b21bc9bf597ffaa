"""Whatever a file holds, reading it ends in a value or in problems that have a place: never in a traceback."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsim.config import cluster_words, process_words, program_words, protocol_words, scenario_words
from kvsim.config.cluster_file import load_cluster
from kvsim.config.lint import lint
from kvsim.config.program_file import load_program
from kvsim.config.scenario_file import load_scenario
from kvsim.errors import FileProblems, Problem

QUICK = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def load_one_program(path: Path) -> object:
    problems: list[Problem] = []
    program = load_program(str(path), path.parent, problems)
    if problems:
        raise FileProblems(problems)
    assert program is not None
    return program


def load_and_lint(path: Path) -> object:
    scenario = load_scenario(path, frozenset({"exits_clean"}))
    with contextlib.suppress(FileProblems):
        lint(scenario, load_cluster(path.parent / "cluster.yaml"))
    return scenario


LOADERS: dict[str, Callable[[Path], object]] = {
    "cluster": load_cluster,
    "program": load_one_program,
    "scenario": load_and_lint,
}


def read_wildly(load: Callable[[Path], object], path: Path, data: bytes) -> None:
    """Load the bytes; every problem must be one line that stands inside the file, or name a file that has no lines to show."""
    path.write_bytes(data)
    lines = data.count(b"\n") + 1
    try:
        load(path)
    except FileProblems as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message
            assert "\n" not in str(problem)
            if problem.file == path.name:
                assert 1 <= problem.line <= lines, problem
                assert problem.column >= 1


WORDS = sorted(
    {
        *cluster_words.FIELDS,
        *cluster_words.NODE.fields,
        *program_words.FIELDS,
        *process_words.PROBES,
        *protocol_words.OUTCOMES,
        *scenario_words.FIELDS,
        *scenario_words.VERBS,
        *(name for verb in scenario_words.VERBS.values() for name in verb.record("").fields),
        *(
            "group",
            "leader",
            "follower",
            "n1",
            "each follower",
            "ok",
            "value",
            "refused",
            "any_of",
            "toy",
            "steps",
        ),
        *(
            "2s",
            "500ms",
            "true",
            "9001",
            "0",
            "KILL",
            "{key}",
            "{port}",
            "{all:{name}|",
            "{{x}}",
            "(",
            "$.role",
            "$.",
            "lines",
        ),
        *(
            "",
            "~",
            "null",
            "random_key",
            "random_kye",
            "/",
            "..",
            ".",
            "nodes/toy",
            "a\\nb",
            "\\x00",
            "\\q",
            "file",
            "owned",
        ),
    }
)
WORD = st.sampled_from(WORDS) | st.text(max_size=6)
TREE = st.recursive(
    WORD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=4), max_leaves=25
)
BASES = {"cluster": cluster_words.FIELDS, "program": program_words.FIELDS, "scenario": scenario_words.FIELDS}


def as_yaml(tree: object) -> bytes:
    """JSON is YAML, nearly: escapes above ASCII stay away, so that the text is what YAML reads too."""
    return json.dumps(tree, ensure_ascii=True).encode()


@pytest.mark.parametrize("language", LOADERS)
@QUICK
@given(
    data=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes(language: str, folder: Path, data: bytes) -> None:
    read_wildly(LOADERS[language], folder / "wild.yaml", data)


@pytest.mark.parametrize("language", LOADERS)
@QUICK
@given(data=st.data())
def test_any_tree_of_known_words(language: str, folder: Path, data: st.DataObject) -> None:
    tree = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(BASES[language], TREE)))
    read_wildly(LOADERS[language], folder / "wild.yaml", as_yaml(tree))


STEP = st.dictionaries(st.sampled_from(sorted(scenario_words.VERBS)), TREE, min_size=1, max_size=2)


@QUICK
@given(
    steps=st.lists(STEP | st.fixed_dictionaries({"group": WORD, "steps": st.lists(STEP) | TREE}), max_size=4)
)
def test_any_steps(folder: Path, steps: list[object]) -> None:
    tree = {"scenario": "wild", "cluster": "cluster.yaml", "steps": steps}
    read_wildly(load_and_lint, folder / "wild.yaml", as_yaml(tree))


@QUICK
@given(
    nodes=st.dictionaries(
        WORD, st.fixed_dictionaries({}, optional=dict.fromkeys(cluster_words.NODE.fields, TREE)), max_size=4
    )
)
def test_any_nodes(folder: Path, nodes: dict[str, object]) -> None:
    read_wildly(
        load_cluster, folder / "wild.yaml", as_yaml({"cluster": "wild", "program": "toy", "nodes": nodes})
    )
