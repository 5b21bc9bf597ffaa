"""A scenario's matrix: plain scenarios out of one file, and what goes wrong in one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config import matrix
from kvsim.config.cluster import Cluster
from kvsim.config.cluster_file import load_stage
from kvsim.config.scenario import Scenario
from kvsim.config.scenario_file import load_scenario, load_scenarios
from kvsim.config.scenario_text import standing_alone, text_of
from kvsim.config.yaml_tree import read_text
from kvsim.errors import UsageError

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
    def call(text: str, *picked: str) -> tuple[Scenario, ...]:
        (folder / "m.yaml").write_text(text)
        return load_scenarios(folder / "m.yaml", picked=picked)

    return call


@pytest.fixture
def wrong(folder: Path, complaints: Callable[..., list[str]]) -> Callable[[str], list[str]]:
    def call(text: str) -> list[str]:
        (folder / "m.yaml").write_text(text)
        return [line.removeprefix("m.yaml:") for line in complaints(load_scenarios, folder / "m.yaml")]

    return call


def test_every_combination_is_a_plain_scenario(cells: Callable[..., tuple[Scenario, ...]]) -> None:
    found = cells(TWO)
    assert [one.label for one in found] == [
        "m[fsync=always-clients=5]", "m[fsync=always-clients=50]", "m[fsync=never-clients=5]", "m[fsync=never-clients=50]",
    ]  # fmt: skip
    last = found[-1]
    assert last.title == "50 clients, fsync never"
    assert last.steps[0].fields["clients"] == 50
    assert last.steps[1].fields["key"] == "k-50"
    assert last.steps[1].fields["value"] == "{{fsync}}"  # literal braces stay for the templates
    assert last.words == ("--cell", "fsync=never", "--cell", "clients=50")
    assert load_stage(last).nodes[0].options["fsync"] == "never"


def test_cells_are_picked_by_their_values(cells: Callable[..., tuple[Scenario, ...]], folder: Path) -> None:
    assert [one.label for one in cells(TWO, "clients=5")] == [
        "m[fsync=always-clients=5]",
        "m[fsync=never-clients=5]",
    ]
    assert (
        load_scenario(folder / "m.yaml", picked=["clients=5", "fsync=never"]).label
        == "m[fsync=never-clients=5]"
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("clinets=5", "m.yaml has no `clinets`: its matrix has fsync, clients; did you mean `clients`?"),
        ("fsync=alway", "in m.yaml, fsync is one of always, never; did you mean `always`?"),
        ("fsync", "expected NAME=VALUE"),
    ],
)
def test_a_cell_that_is_not_there(cells: Callable[..., tuple[Scenario, ...]], word: str, said: str) -> None:
    with pytest.raises(UsageError, match="--cell") as caught:
        cells(TWO, word)
    assert said in str(caught.value)


def test_where_one_scenario_is_wanted_several_are_a_mistake(
    cells: Callable[..., tuple[Scenario, ...]], folder: Path
) -> None:
    cells(TWO)
    with pytest.raises(UsageError, match="has 4 cells; pick one: --cell fsync=always --cell clients=5"):
        load_scenario(folder / "m.yaml")


def test_a_file_without_a_matrix_is_one_scenario(cells: Callable[..., tuple[Scenario, ...]]) -> None:
    text = HEAD + "steps: [{kill: leader}]\n"
    assert [(one.label, one.words) for one in cells(text)] == [("m", ())]
    with pytest.raises(UsageError, match="it has no matrix"):
        cells(text, "fsync=always")


def test_mistakes_have_their_place_and_the_cell_where_not_all_have_them(
    wrong: Callable[[str], list[str]],
) -> None:
    assert wrong(TWO.replace("[5, 50]", "[5, many]").replace("value:", "valeu:")) == [
        '7:31: load.clients: expected a number of clients from 1 to 10000, found "many" (in cell fsync=always-clients=many)',
        "8:10: put: `value` is missing: the value",
        '8:43: put: unknown key "valeu"; did you mean `value`?',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{fsync: [always, always]}", "4:10: matrix: fsync has the value always twice"),
        (
            "{fsync: [always], other: [1]}",
            '4:27: matrix: `other` is used nowhere: write "{other}" where it is meant',
        ),
        ("{fsync: []}", "4:17: matrix.fsync: expected at least 1 in this list, found an empty list"),
        ("[fsync]", "4:9: matrix: expected a mapping"),
        (
            "{fsync: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], clients: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}",
            "4:9: matrix: 11 × 10 = 110 cells, each a run of its own; at most 100: leave values out",
        ),
    ],
)
def test_what_is_wrong_with_a_matrix(wrong: Callable[[str], list[str]], line: str, said: str) -> None:
    lines = wrong(TWO.replace("{fsync: [always, never], clients: [5, 50]}", line))
    assert any(one.startswith(said) for one in lines), lines


def test_a_name_without_quotes_is_told_as_that(wrong: Callable[[str], list[str]]) -> None:
    assert '7:32: matrix: {clients} needs quotes, or YAML takes it for a mapping: "{clients}"' in wrong(
        TWO.replace('"{clients}"}', "{clients}}")
    )


def test_a_name_may_be_a_variable_or_of_the_matrix_and_not_both(wrong: Callable[[str], list[str]]) -> None:
    (line,) = wrong(TWO.replace("steps:", "vars: {clients: random_key}\nsteps:", 1))
    assert "`clients` stands in `vars`, too" in line


# --- what a scenario says instead of its cluster ----------------------------------------------------------------------


@pytest.fixture
def stage(cells: Callable[..., tuple[Scenario, ...]]) -> Callable[..., Cluster]:
    def call(line: str, **given: object) -> Cluster:
        (scenario,) = cells(f"{HEAD}{line}\nsteps: [{{kill: leader}}]\n")
        return load_stage(scenario, **given)

    return call


@pytest.mark.parametrize(
    ("count", "names"),
    [(1, ["n1"]), (2, ["n1", "n2"]), (3, ["n1", "n2", "n3"]), (5, ["n1", "n2", "n3", "n4", "n5"])],
)
def test_so_many_nodes(stage: Callable[..., Cluster], count: int, names: list[str]) -> None:
    nodes = stage(f"nodes: {count}").nodes
    assert [node.name for node in nodes] == names
    assert [str(node.role) for node in nodes] == ["leader", *["follower"] * (count - 1)]
    assert [node.port for node in nodes[3:]] == [None] * max(0, count - 3)


def test_the_leader_stays_wherever_it_stands(stage: Callable[..., Cluster], folder: Path) -> None:
    text = (folder / "cluster.yaml").read_text()
    (folder / "cluster.yaml").write_text(
        text.replace("leader,  ", "follower,").replace("n3: {role: follower", "n3: {role: leader")
    )
    assert [node.name for node in stage("nodes: 2").nodes] == ["n1", "n3"]


def test_the_command_line_says_it_over_the_scenario(stage: Callable[..., Cluster]) -> None:
    assert stage("options: {fsync: always}").nodes[0].options["fsync"] == "always"
    assert stage("options: {fsync: always}", options={"fsync": "never"}).nodes[0].options["fsync"] == "never"


def test_an_option_nobody_has_is_told_where_it_stands(
    stage: Callable[..., Cluster], complaints: Callable[..., list[str]]
) -> None:
    assert complaints(stage, "options: {fsyn: x}") == [
        "m.yaml:3:11: no program here has an option `fsyn`; did you mean `fsync`?"
    ]
    assert complaints(stage, "", options={"fsyn": "x"}) == [
        "--option: no program here has an option `fsyn`; did you mean `fsync`?"
    ]


def test_a_program_that_is_not_there(wrong: Callable[[str], list[str]]) -> None:
    (line,) = wrong(HEAD + "program: toi\nsteps: [{kill: leader}]\n")
    assert line.startswith('3:10: no node.yaml for program "toi"')
    assert "did you mean `toy`" in line


def test_a_cell_as_a_file_of_its_own(cells: Callable[..., tuple[Scenario, ...]], folder: Path) -> None:
    """What is written out is the same scenario, wherever it stands."""
    one = cells(TWO.replace("options:", "program: toy\noptions:"))[0]
    other = folder / "elsewhere" / "deep.yaml"
    other.parent.mkdir()
    other.write_text(text_of(standing_alone(one)))
    read = load_scenario(other)
    assert (read.cluster, read.instead.program, read.title) == (one.cluster, one.instead.program, one.title)
    assert [step.fields for step in read.steps] == [step.fields for step in one.steps]


PARTS = st.lists(st.sampled_from(["{a}", "{b}", "{{a}}", "{all:{a}}", "a", "{", "}", "{a"]), max_size=6)


@given(parts=PARTS, value=st.text("xyz{}", max_size=4))
def test_only_names_of_the_cell_are_filled_in(parts: list[str], value: str) -> None:
    text = " ".join(parts)
    tree = read_text(f"steps: ['{text}']\n", "", [])
    (filled,) = matrix.filled(tree, {"a": value}).get("steps").items
    assert filled.text == " ".join(
        {"{a}": value, "{all:{a}}": f"{{all:{value}}}"}.get(part, part) for part in parts
    )
