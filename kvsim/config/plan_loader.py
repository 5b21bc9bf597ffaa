"""Read plan.yaml, and the scenarios and the program it names, into a `GradingPlan`; all mistakes of
all files at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kvsim import shipped
from kvsim.config.plan import GradingPlan, PlanItem
from kvsim.config.plan_schema import PLAN
from kvsim.config.scenario import Scenario
from kvsim.config.schema import Validation, Values
from kvsim.config.yaml_nodes import Fields, Items, Scalar, is_file, quote, read_file
from kvsim.errors import FileProblems, Problem
from kvsim.folders import find_paths
from kvsim.text import did_you_mean

LoadScenarios = Callable[[Path], Sequence[Scenario]]


def load_plan(path: Path, load_scenarios: LoadScenarios) -> GradingPlan:
    """Read a plan. `load_scenarios` reads a scenario file, its matrix cell by cell.

    Raises FileProblems with everything that is wrong.
    """
    problems: list[Problem] = []
    tree = read_file(path, problems)
    plan = _read(tree, path, problems, load_scenarios) if tree else None
    if problems or plan is None:
        raise FileProblems(list(dict.fromkeys(problems)))
    return plan


def _read(
    tree: Fields, path: Path, problems: list[Problem], load_scenarios: LoadScenarios
) -> GradingPlan | None:
    validation = Validation(problems)
    values: Values = PLAN.read(tree, validation)
    program = _program(values, path.parent, validation)
    found = [
        _item(number, item, path.parent, validation, load_scenarios)
        for number, item in enumerate(values.get("scenarios", ()), 1)
    ]
    items = tuple(item for item in found if item is not None)
    _check_repeated(items, values, validation)
    if problems or program is None:
        return None
    fields = PLAN.build(values)
    return GradingPlan(
        name=fields["plan"],
        path=path.resolve(),
        program=program,
        build=fields["build"],
        items=items,
        limits=fields["limits"],
        known_store=fields["known_store"],
    )


def _program(values: Values, folder: Path, validation: Validation) -> Fields | None:
    """The tree of the program's node.yaml.

    It is written again beside each submission, so it must not depend on other files.
    """
    if not values.get("program"):
        return None
    path = folder / values["program"]
    if not is_file(path):
        validation.report(values.node_of("program"), f"program: {_no_file(path)}")
        return None
    tree = read_file(path, validation.problems)
    if tree is None:
        return None
    if not isinstance(tree.get("start"), Items | Fields):
        message = "for grading `start` must be in this file, as a list (or one for each role)"
        validation.report(tree, message)
    like = tree.get("like")
    if isinstance(like, Scalar) and not Path(like.text).is_absolute():
        message = "for grading `like` must be an absolute path, or be left out"
        validation.report(like, message)
    return tree


def _item(
    number: int,
    values: Values,
    folder: Path,
    validation: Validation,
    load_scenarios: LoadScenarios,
) -> PlanItem | None:
    if not values.get("file"):
        return None
    path = folder / values["file"]
    if not is_file(path):
        path = shipped.shipped(shipped.SCENARIOS).get(values["file"], path)
    if not is_file(path):
        validation.report(values.node_of("file"), f"scenarios: {_no_file(path)}")
        return None
    try:
        scenarios = tuple(load_scenarios(path))
    except FileProblems as error:
        validation.problems.extend(error.problems)
        return None
    title = values.get("title") or (
        f"hidden scenario {number}"
        if values.get("hidden")
        else scenarios[0].title or scenarios[0].name
    )
    return PlanItem(
        file=path.resolve(),
        scenarios=scenarios,
        name=scenarios[0].name,
        title=title,
        points=values.get("points", 0),
        hidden=values.get("hidden", False),
        runs=values.get("runs", 1),
        partial=values.get("partial", "runs"),
    )


def _no_file(path: Path) -> str:
    names = [file.name for file in find_paths(path.parent, "*.yaml")]
    return f"no file {quote(str(path))}{did_you_mean(path.name, names)}"


def _check_repeated(items: Sequence[PlanItem], values: Values, validation: Validation) -> None:
    names: set[str] = set()
    for item in items:
        if item.name in names:
            validation.report(values.node_of("scenarios"), f"scenarios: `{item.name}` is repeated")
        names.add(item.name)
