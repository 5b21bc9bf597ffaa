"""Read plan.yaml, and the scenarios and the program it names, into a `Plan`; all mistakes of all files at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kvsim.config.plan import Item, Limits, Plan
from kvsim.config.plan_words import LIMITS, PLAN
from kvsim.config.scenario import Scenario
from kvsim.config.shape import Reading, Values
from kvsim.config.spelling import did_you_mean
from kvsim.config.yaml_tree import Fields, Items, Scalar, is_file, quoted, read_file
from kvsim.errors import FileProblems, Problem


def load_plan(path: Path, load_scenarios: Callable[[Path], Sequence[Scenario]]) -> Plan:
    """Read a plan. `load_scenarios` reads a scenario file, its matrix cell by cell. Raises FileProblems with everything that is wrong."""
    problems: list[Problem] = []
    tree = read_file(path, problems)
    plan = _plan(tree, path, problems, load_scenarios) if tree else None
    if problems or plan is None:
        raise FileProblems(list(dict.fromkeys(problems)))
    return plan


def _plan(
    tree: Fields, path: Path, problems: list[Problem], load_scenarios: Callable[[Path], Sequence[Scenario]]
) -> Plan | None:
    reading = Reading(problems)
    values = PLAN.read(tree, reading)
    program = _program(values, path.parent, reading)
    items = [
        _item(number, one, path.parent, reading, load_scenarios)
        for number, one in enumerate(values.get("scenarios", ()), 1)
    ]
    _refuse_repeats([one for one in items if one], values, reading)
    if problems:
        return None
    limits = values["limits"]
    return Plan(
        name=values["plan"],
        path=path.resolve(),
        program=program,
        build=values["build"],
        items=tuple(items),
        limits=_limits(limits) if limits else Limits(),
        inside=values["inside"],
    )


def _program(values: Values, folder: Path, reading: Reading) -> Fields | None:
    """The tree of the program's node.yaml. It is written again beside each submission, so it has to stand alone."""
    if not values.get("program"):
        return None
    path = folder / values["program"]
    if not is_file(path):
        reading.say(values.at("program"), f"program: {_no_file(path)}")
        return None
    tree = read_file(path, reading.problems)
    if tree is None:
        return None
    if not isinstance(tree.get("start"), Items | Fields):
        reading.say(
            tree, "for grading `start` must stand in this file itself, as a list (or one for each role)"
        )
    like = tree.get("like")
    if isinstance(like, Scalar) and not Path(like.text).is_absolute():
        reading.say(like, "for grading `like` must be an absolute path, or the file must stand alone")
    return tree


def _item(
    number: int,
    one: Values,
    folder: Path,
    reading: Reading,
    load_scenarios: Callable[[Path], Sequence[Scenario]],
) -> Item | None:
    path = folder / one["file"] if one.get("file") else None
    if path is None:
        return None
    if not is_file(path):
        reading.say(one.at("file"), f"scenarios: {_no_file(path)}")
        return None
    try:
        scenarios = tuple(load_scenarios(path))
    except FileProblems as error:
        reading.problems.extend(error.problems)
        return None
    return Item(
        file=path.resolve(),
        scenarios=scenarios,
        name=scenarios[0].name,
        title=one.get("title")
        or (f"hidden scenario {number}" if one["hidden"] else scenarios[0].title or scenarios[0].name),
        points=one.get("points", 0),
        hidden=one["hidden"],
        runs=one["runs"],
        partial=one["partial"],
    )


def _no_file(path: Path) -> str:
    there = (one.name for one in path.parent.glob("*.yaml")) if path.parent.is_dir() else ()
    return f"no file {quoted(str(path))}{did_you_mean(path.name, there)}"


def _refuse_repeats(items: list[Item], values: Values, reading: Reading) -> None:
    seen: set[str] = set()
    for item in items:
        if item.name in seen:
            reading.say(values.at("scenarios"), f"scenarios: `{item.name}` a second time")
        seen.add(item.name)


def _limits(values: Values) -> Limits:
    names = {
        "time": "time_s",
        "build_time": "build_time_s",
        "memory": "memory_bytes",
        "cpu": "cpu_s",
        "disk": "disk_bytes",
    }
    return Limits(**{names.get(name, name): values[name] for name in LIMITS.fields})
