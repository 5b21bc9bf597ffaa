"""Check files without starting anything, told apart by what stands in them: scenarios, cluster files, node.yaml, plan.yaml, bugs.yaml.

Every mistake is one line, file:line:column. Exit status 4 when there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kvsim.cli.files import load_cluster, load_planted, load_program, load_scenarios, load_stage
from kvsim.config.kinds import kind_of
from kvsim.config.lint import lint, missing_capabilities
from kvsim.config.plan_file import load_plan
from kvsim.errors import FileProblems, Problem
from kvsim.selftest.table import load_table


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="scenarios, cluster files, node.yaml, plan.yaml, bugs.yaml",
    )


def run(arguments: argparse.Namespace) -> int:
    problems: list[Problem] = []
    for path in arguments.file:
        try:
            print(f"{path}: {LINTERS[kind_of(path)](path, problems)}")
        except FileProblems as error:
            problems += error.problems
    if problems:
        raise FileProblems(list(dict.fromkeys(problems)))
    return 0


def _scenario(path: Path, problems: list[Problem]) -> str:
    scenarios = load_scenarios(path)
    unfit: dict[str, None] = {}
    for scenario in scenarios:
        cluster = load_stage(scenario)
        problems += lint(scenario, cluster)
        unfit |= dict.fromkeys(missing_capabilities(scenario, cluster))
    cells = f", {len(scenarios)} cells" if len(scenarios) > 1 else ""
    said = f"scenario {scenarios[0].name}, {len(scenarios[0].steps)} steps{cells}"
    return f"{said}; would be skipped: {'; '.join(unfit)}" if unfit else said


def _cluster(path: Path, problems: list[Problem]) -> str:
    cluster = load_cluster(path)
    return f"cluster {cluster.name}, {len(cluster.nodes)} nodes"


def _program(path: Path, problems: list[Problem]) -> str:
    program = load_program(path, problems)
    return f"program {program.name}" if program else "not a program that can be read"


def _plan(path: Path, problems: list[Problem]) -> str:
    """The plan, its scenarios, and what a submission is started by, held against each other."""
    plan = load_plan(path, load_scenarios)
    program = plan.program.mark.file
    for item in plan.items:
        for scenario in item.scenarios:
            problems += lint(scenario, load_stage(scenario, program=program))
    runs = sum(item.wanted for item in plan.items)
    return f"plan {plan.name}, {len(plan.items)} scenarios, {runs} runs a submission, {plan.points} points"


def _bugs(path: Path, problems: list[Problem]) -> str:
    """The table, and that each bug can be planted where it is to be shown."""
    table = load_table(path)
    for bug in table.bugs:
        try:
            for scenario in load_scenarios(bug.scenario):
                problems += lint(
                    scenario, load_planted(scenario, bug.cluster, bug.program, bug.planted, bug.places)
                )
        except FileProblems as error:
            problems += error.problems
    return f"table of {len(table.bugs)} planted bugs"


LINTERS = {"scenario": _scenario, "cluster": _cluster, "program": _program, "plan": _plan, "bugs": _bugs}
