"""A scenario's matrix: several scenarios from one file, and the mistakes in a matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config import matrix
from kvsim.config.cluster import Cluster
from kvsim.config.cluster_loader import load_cluster_of
from kvsim.config.scenario import Scenario
from kvsim.config.scenario_loader import load_scenario, load_scenarios
from kvsim.config.scenario_writer import self_contained, text_of
from kvsim.config.yaml_nodes import read_text
from kvsim.errors import UsageError
from kvsim.runner.registry import REGISTRY
from kvsim.runner.steps.requests import PutStep
from kvsim.runner.steps.workload import LoadStep

HEAD = "scenario: m\ncluster: cluster.yaml\n"
TWO = (
    HEAD
    + """\
title: "{clients} clients, fsync {fsync}"
matrix: {fsync: [always, never], clients: [5, 50]}
options: {fsync: "{fsync}"}
steps:
  - load: {start: l, clients: "{clients}"}
  - put: {at: leader, key: "k-{clients}", value: "{{fsync}}"}
  - load: {stop: l}
"""
)


@pytest.fixture
def cells(folder: Path) -> Callable[..., tuple[Scenario, ...]]:
    def call(text: str, *chosen: str) -> tuple[Scenario, ...]:
        (folder / "m.yaml").write_text(text)
        return load_scenarios(folder / "m.yaml", REGISTRY, chosen)

    return call


@pytest.fixture
def problems_in(folder: Path, problems_of: Callable[..., list[str]]) -> Callable[[str], list[str]]:
    def call(text: str) -> list[str]:
        (folder / "m.yaml").write_text(text)
        return [
            line.removeprefix("m.yaml:")
            for line in problems_of(load_scenarios, folder / "m.yaml", REGISTRY)
        ]

    return call


def test_every_combination_is_a_plain_scenario(cells: Callable[..., tuple[Scenario, ...]]) -> None:
    found = cells(TWO)
    assert [scenario.label for scenario in found] == [
        "m[fsync=always-clients=5]",
        "m[fsync=always-clients=50]",
        "m[fsync=never-clients=5]",
        "m[fsync=never-clients=50]",
    ]
    last = found[-1]
    assert last.title == "50 clients, fsync never"
    load, put, _ = last.steps
    assert isinstance(load, LoadStep) and load.clients == 50
    # Literal braces stay for the templates.
    assert isinstance(put, PutStep) and (put.key, put.value) == ("k-50", "{{fsync}}")
    assert last.cell_arguments == ("--cell", "fsync=never", "--cell", "clients=50")
    assert load_cluster_of(last, REGISTRY).nodes[0].options["fsync"] == "never"


def test_cells_are_selected_by_their_values(
    cells: Callable[..., tuple[Scenario, ...]], folder: Path
) -> None:
    assert [scenario.label for scenario in cells(TWO, "clients=5")] == [
        "m[fsync=always-clients=5]",
        "m[fsync=never-clients=5]",
    ]
    assert (
        load_scenario(folder / "m.yaml", REGISTRY, ["clients=5", "fsync=never"]).label
        == "m[fsync=never-clients=5]"
    )


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (
            "clinets=5",
            "m.yaml has no `clinets`: its matrix has fsync, clients; did you mean `clients`?",
        ),
        ("fsync=alway", "in m.yaml, fsync is one of always, never; did you mean `always`?"),
        ("fsync", "expected NAME=VALUE"),
    ],
)
def test_a_cell_that_does_not_exist(
    cells: Callable[..., tuple[Scenario, ...]], word: str, expected: str
) -> None:
    with pytest.raises(UsageError, match="--cell") as caught:
        cells(TWO, word)
    assert expected in str(caught.value)


def test_several_cells_are_a_mistake_where_a_single_scenario_is_expected(
    cells: Callable[..., tuple[Scenario, ...]], folder: Path
) -> None:
    cells(TWO)
    with pytest.raises(
        UsageError, match="has 4 cells; choose one: --cell fsync=always --cell clients=5"
    ):
        load_scenario(folder / "m.yaml", REGISTRY)


def test_a_file_without_a_matrix_is_one_scenario(
    cells: Callable[..., tuple[Scenario, ...]],
) -> None:
    text = HEAD + "steps: [{kill: leader}]\n"
    (scenario,) = cells(text)
    assert (scenario.label, scenario.cell_arguments) == ("m", ())
    with pytest.raises(UsageError, match="it has no matrix"):
        cells(text, "fsync=always")


def test_mistakes_have_their_location_and_the_cell_if_not_all_cells_have_them(
    problems_in: Callable[[str], list[str]],
) -> None:
    assert problems_in(TWO.replace("[5, 50]", "[5, many]").replace("value:", "valeu:")) == [
        '7:31: load.clients: expected a number of clients from 1 to 10000, found "many" (in cell '
        'fsync=always-clients=many)',
        "8:10: put: `value` is missing: the value",
        '8:43: put: unknown key "valeu"; did you mean `value`?',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{fsync: [always, always]}", "4:10: matrix: fsync has the value always twice"),
        (
            "{fsync: [always], other: [1]}",
            '4:27: matrix: `other` is not used: write "{other}" in a step or a setting',
        ),
        (
            "{fsync: []}",
            "4:17: matrix.fsync: expected at least 1 in this list, found an empty list",
        ),
        ("[fsync]", "4:9: matrix: expected a mapping"),
        (
            "{fsync: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], clients: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}",
            "4:9: matrix: 11 × 10 = 110 cells, each a run; at most 100: leave values out",
        ),
    ],
)
def test_mistakes_in_a_matrix(
    problems_in: Callable[[str], list[str]], line: str, expected: str
) -> None:
    lines = problems_in(TWO.replace("{fsync: [always, never], clients: [5, 50]}", line))
    assert any(found.startswith(expected) for found in lines), lines


def test_a_name_without_quotes_is_reported(problems_in: Callable[[str], list[str]]) -> None:
    assert (
        '7:32: matrix: {clients} needs quotes, or YAML takes it for a mapping: "{clients}"'
        in problems_in(TWO.replace('"{clients}"}', "{clients}}"))
    )


def test_a_name_may_be_a_variable_or_of_the_matrix_and_not_both(
    problems_in: Callable[[str], list[str]],
) -> None:
    (line,) = problems_in(TWO.replace("steps:", "vars: {clients: random_key}\nsteps:", 1))
    assert "`clients` is also in `vars`" in line


# --- what a scenario sets instead of its cluster --------------------------------------------


@pytest.fixture
def cluster_for(cells: Callable[..., tuple[Scenario, ...]]) -> Callable[..., Cluster]:
    def call(line: str, **given: object) -> Cluster:
        (scenario,) = cells(f"{HEAD}{line}\nsteps: [{{kill: leader}}]\n")
        return load_cluster_of(scenario, REGISTRY, **given)

    return call


@pytest.mark.parametrize(
    ("count", "names"),
    [(1, ["n1"]), (2, ["n1", "n2"]), (3, ["n1", "n2", "n3"]), (5, ["n1", "n2", "n3", "n4", "n5"])],
)
def test_a_scenario_sets_the_number_of_nodes(
    cluster_for: Callable[..., Cluster], count: int, names: list[str]
) -> None:
    nodes = cluster_for(f"nodes: {count}").nodes
    assert [node.name for node in nodes] == names
    assert [str(node.role) for node in nodes] == ["leader", *["follower"] * (count - 1)]
    assert [node.port for node in nodes[3:]] == [None] * max(0, count - 3)


def test_the_leader_stays_at_any_position(
    cluster_for: Callable[..., Cluster], folder: Path
) -> None:
    text = (folder / "cluster.yaml").read_text()
    (folder / "cluster.yaml").write_text(
        text.replace("leader,  ", "follower,").replace("n3: {role: follower", "n3: {role: leader")
    )
    assert [node.name for node in cluster_for("nodes: 2").nodes] == ["n1", "n3"]


def test_the_command_line_overrides_the_scenario(cluster_for: Callable[..., Cluster]) -> None:
    assert cluster_for("options: {fsync: always}").nodes[0].options["fsync"] == "always"
    assert (
        cluster_for("options: {fsync: always}", options={"fsync": "never"})
        .nodes[0]
        .options["fsync"]
        == "never"
    )


def test_an_unknown_option_is_reported_where_it_is_written(
    cluster_for: Callable[..., Cluster], problems_of: Callable[..., list[str]]
) -> None:
    assert problems_of(cluster_for, "options: {fsyn: x}") == [
        "m.yaml:3:11: no program here has an option `fsyn`; did you mean `fsync`?"
    ]
    assert problems_of(cluster_for, "", options={"fsyn": "x"}) == [
        "--option: no program here has an option `fsyn`; did you mean `fsync`?"
    ]


def test_a_program_that_does_not_exist(problems_in: Callable[[str], list[str]]) -> None:
    (line,) = problems_in(HEAD + "program: toi\nsteps: [{kill: leader}]\n")
    assert line.startswith('3:10: no node.yaml for program "toi"')
    assert "did you mean `toy`" in line


def test_a_cell_written_as_a_separate_file(
    cells: Callable[..., tuple[Scenario, ...]], folder: Path
) -> None:
    """The text that is written is the same scenario, in any folder."""
    cell = cells(TWO.replace("options:", "program: toy\noptions:"))[0]
    file = folder / "elsewhere" / "deep.yaml"
    file.parent.mkdir()
    file.write_text(text_of(self_contained(cell)))
    read = load_scenario(file, REGISTRY)
    assert (read.cluster, read.title) == (cell.cluster, cell.title)
    assert read.overrides.program == cell.overrides.program
    assert [step.text for step in read.steps] == [step.text for step in cell.steps]


PARTS = st.lists(
    st.sampled_from(["{a}", "{b}", "{{a}}", "{all:{a}}", "a", "{", "}", "{a"]), max_size=6
)


@given(parts=PARTS, value=st.text("xyz{}", max_size=4))
def test_only_names_of_the_cell_are_filled_in(parts: list[str], value: str) -> None:
    text = " ".join(parts)
    tree = read_text(f"steps: ['{text}']\n", "", [])
    (filled,) = matrix.fill(tree, {"a": value}).get("steps").items
    assert filled.text == " ".join(
        {"{a}": value, "{all:{a}}": f"{{all:{value}}}"}.get(part, part) for part in parts
    )
