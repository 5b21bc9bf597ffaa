"""What steps need: a step that a program cannot carry out is left out, and the others are run."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvsim.config.cluster_loader import load_cluster
from kvsim.config.lint import lint, reasons_to_skip
from kvsim.config.needs import meets, unmet_needs
from kvsim.config.program import Program
from kvsim.config.scenario import walk_steps
from kvsim.config.scenario_loader import load_scenario
from kvsim.runner.registry import REGISTRY

STEPS = """\
scenario: s
cluster: cluster.yaml
steps:
  - put: {at: leader, key: k, value: v}
  - delete: {at: leader, key: k, needs: delete}
  - group: A follower serves the delete
    needs: [delete, follower_reads]
    steps:
      - get: {at: n2, key: k, needs: restart}
"""


def loaded(folder: Path, text: str):
    (folder / "s.yaml").write_text(text)
    return load_scenario(folder / "s.yaml", REGISTRY), load_cluster("cluster.yaml", REGISTRY)


def test_a_step_has_its_own_needs_and_those_of_its_group(folder: Path) -> None:
    scenario, cluster = loaded(folder, STEPS)
    needs = [step.needs for step in walk_steps(scenario.steps)]
    assert needs == [set(), {"delete"}, {"delete", "follower_reads", "restart"}]
    # The toy has no delete: without `needs` that would be a mistake of the file.
    assert (lint(scenario, cluster), reasons_to_skip(scenario, cluster)) == ([], [])


def test_a_step_without_needs_must_be_possible(folder: Path) -> None:
    scenario, cluster = loaded(folder, STEPS.replace(", needs: delete}", "}"))
    (problem,) = lint(scenario, cluster)
    assert problem.line == 5 and "has no request `delete`" in problem.message


def test_an_unknown_need_of_a_step_is_a_mistake_of_the_step(folder: Path) -> None:
    scenario, cluster = loaded(folder, STEPS.replace("needs: restart", "needs: restrat"))
    (problem,) = lint(scenario, cluster)
    assert problem.line == 9 and "`restrat`; did you mean `restart`?" in problem.message


@pytest.mark.parametrize(
    ("capabilities", "refuses"),
    [
        ({"roles"}, True),
        ({"elects"}, True),
        ({"elects", "forwards"}, False),
        (set(), False),
    ],
)
def test_followers_that_refuse(capabilities: set[str], refuses: bool) -> None:
    program = Program("p", Path(), {}, capabilities=frozenset(capabilities))
    assert meets(program, "refuses") is refuses
    (lack,) = unmet_needs({"restart"}, [program])
    assert lack == "program p has no capability `restart`, which it needs"
