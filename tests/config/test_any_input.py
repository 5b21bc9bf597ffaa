"""Any content of a file ends in a value or in problems with a position, never in a traceback."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsim.config import protocol_schema, scenario_schema
from kvsim.config.cluster_loader import load_cluster
from kvsim.config.cluster_schema import NODE_FIELDS
from kvsim.config.lint import lint
from kvsim.config.program_loader import load_program
from kvsim.config.scenario_loader import load_scenario
from kvsim.errors import FileProblems, Problem
from kvsim.runner.registry import REGISTRY

QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def load_one_program(path: Path) -> object:
    problems: list[Problem] = []
    program = load_program(str(path), path.parent, problems, REGISTRY)
    if problems:
        raise FileProblems(problems)
    assert program is not None
    return program


def load_one_cluster(path: Path) -> object:
    return load_cluster(path, REGISTRY)


def load_and_lint(path: Path) -> object:
    scenario = load_scenario(path, REGISTRY)
    with contextlib.suppress(FileProblems):
        lint(scenario, load_cluster(path.parent / "cluster.yaml", REGISTRY))
    return scenario


LOADERS: dict[str, Callable[[Path], object]] = {
    "cluster": load_one_cluster,
    "program": load_one_program,
    "scenario": load_and_lint,
}


def check_any(load: Callable[[Path], object], path: Path, data: bytes) -> None:
    """Load the bytes; every problem must be one line with a position in its file."""
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
        *REGISTRY.cluster.fields,
        *NODE_FIELDS,
        "program",
        *REGISTRY.program.fields,
        *REGISTRY.probes,
        *protocol_schema.OUTCOMES,
        *scenario_schema.SCENARIO_FIELDS,
        *REGISTRY.verbs,
        *(name for verb in REGISTRY.verbs.values() for name in verb.record().fields),
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
    WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=4),
    max_leaves=25,
)
BASES = {
    "cluster": REGISTRY.cluster.fields,
    "program": REGISTRY.program.fields,
    "scenario": scenario_schema.SCENARIO_FIELDS,
}


def as_yaml(tree: object) -> bytes:
    """The tree as JSON. JSON in ASCII is valid YAML."""
    return json.dumps(tree, ensure_ascii=True).encode()


@pytest.mark.parametrize("language", LOADERS)
@QUICK
@given(
    data=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes(language: str, folder: Path, data: bytes) -> None:
    check_any(LOADERS[language], folder / "any.yaml", data)


@pytest.mark.parametrize("language", LOADERS)
@QUICK
@given(data=st.data())
def test_any_tree_of_known_words(language: str, folder: Path, data: st.DataObject) -> None:
    tree = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(BASES[language], TREE)))
    check_any(LOADERS[language], folder / "any.yaml", as_yaml(tree))


STEP = st.dictionaries(st.sampled_from(sorted(REGISTRY.verbs)), TREE, min_size=1, max_size=2)


@QUICK
@given(
    steps=st.lists(
        STEP | st.fixed_dictionaries({"group": WORD, "steps": st.lists(STEP) | TREE}), max_size=4
    )
)
def test_any_steps(folder: Path, steps: list[object]) -> None:
    tree = {"scenario": "any", "cluster": "cluster.yaml", "steps": steps}
    check_any(load_and_lint, folder / "any.yaml", as_yaml(tree))


@QUICK
@given(
    nodes=st.dictionaries(
        WORD,
        st.fixed_dictionaries({}, optional=dict.fromkeys([*NODE_FIELDS, "program"], TREE)),
        max_size=4,
    )
)
def test_any_nodes(folder: Path, nodes: dict[str, object]) -> None:
    check_any(
        load_one_cluster,
        folder / "any.yaml",
        as_yaml({"cluster": "any", "program": "toy", "nodes": nodes}),
    )
