"""Which nodes a scenario may have left down, from its text."""

from __future__ import annotations

import pytest

from kvsim.config.target import parse_target
from kvsim.config.yaml_nodes import read_text
from kvsim.trials.nodes_left_down import may_be_down, may_be_down_before
from kvsim.trials.sweep import DISRUPTIONS, grid, rows_of, variants_of

SCENARIO = """
steps:
  - put: {at: leader, key: a, value: b}
  - kill: leader
  - group: down
    steps:
      - get: {at: n2, key: a}
      - start: leader
      - stop: {at: any follower}
      - get: {at: n2, key: a}
      - start: any follower
  - fault: {kill: leader, do: [{get: {at: n2, key: a}}]}
  - fault: {pause: n2, do: [{kill: "n1, n3"}]}
  - start: [n3, n1]
"""
TREE = read_text(SCENARIO, "s.yaml", [])
BROKEN = {"1": "", "2": "l", "3.1": "l", "3.2": "", "3.3": "f", "3.4": "f", "3.5": "", "4": ""}


@pytest.mark.parametrize(("row", "down"), [*BROKEN.items(), ("5", "lf"), ("6", "")])
def test_a_node_is_down_from_its_end_to_its_start(row, down):
    path = rows_of(TREE)[row]
    assert may_be_down(TREE, path, parse_target("leader")) is ("l" in down)
    assert may_be_down(TREE, path, parse_target("any follower")) is ("f" in down)


def test_names_are_compared_with_names():
    path = rows_of(TREE)["5"]
    assert may_be_down(TREE, path, parse_target("n3"))
    assert not may_be_down(TREE, path, parse_target("n2"))


def test_before_a_step_its_own_effect_does_not_count():
    path = rows_of(TREE)["2"]
    assert not may_be_down_before(TREE, path, parse_target("leader"))
    assert may_be_down_before(TREE, rows_of(TREE)["3.1"], parse_target("leader"))


def test_no_variant_breaks_a_node_that_is_down_and_the_grid_says_so():
    names = {variant.name for variant in variants_of(TREE, list(DISRUPTIONS))}
    assert {"1-kill-leader", "2-kill-follower", "3.2-kill-leader"} <= names
    assert not {"2-kill-leader", "3.1-restart-leader", "3.3-restart-followers"} & names
    lines = grid(TREE, ["kill-leader"], {}).splitlines()
    assert [line.split()[1] for line in lines if line.startswith(("2 ", "3.1 "))] == ["x", "x"]
    assert lines[-1] == "x not made: the scenario has left the node down"
