"""Check scenarios, cluster files, node.yaml, plan.yaml and bugs.yaml without starting anything.

The kind of a file is recognised from its content. Every mistake is one line, file:line:column.
Exit status 4 when there is one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvsim.cli.arguments import Subcommand
from kvsim.cli.loading import (
    file_kind,
    load_cluster,
    load_cluster_of,
    load_cluster_with_bug,
    load_program,
    load_scenarios,
    read_cases,
)
from kvsim.config.cluster import Cluster
from kvsim.config.cluster_loader import option_mistake
from kvsim.config.lint import lint, reasons_to_skip
from kvsim.config.plan_loader import load_plan
from kvsim.errors import FileProblems, Problem
from kvsim.selftest.bugs_file import Bug, load_bugs
from kvsim.text import even_members, plural


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
            print(f"{path}: {LINTERS[file_kind(path)](path, problems)}")
        except FileProblems as error:
            problems += error.problems
    if problems:
        raise FileProblems(list(dict.fromkeys(problems)))
    return 0


def _scenario(path: Path, problems: list[Problem]) -> str:
    found: list[Problem] = []
    cases = read_cases(path, found)
    if found:
        raise FileProblems(found)
    missing: dict[str, None] = {}
    for scenario, cluster in cases:
        missing |= dict.fromkeys(reasons_to_skip(scenario, cluster))
    cells = f", {len(cases)} cells" if len(cases) > 1 else ""
    first = cases[0][0]
    text = f"scenario {first.name}, {plural(len(first.steps), 'step')}{cells}"
    return f"{text}; would be skipped: {'; '.join(missing)}" if missing else text


def _cluster(path: Path, problems: list[Problem]) -> str:
    cluster = load_cluster(path)
    programs = {node.program.name: node.program for node in cluster.nodes}
    missing = [problem for program in programs.values() for problem in program.missing]
    elects = all("elects" in node.program.capabilities for node in cluster.nodes)
    even = even_members(len(cluster.nodes)) if elects else ""
    warning = f"; warning: {even}" if even else ""
    nodes = plural(len(cluster.nodes), "node")
    return f"cluster {cluster.name}, {nodes}{warning}{_not_here(missing)}"


def _program(path: Path, problems: list[Problem]) -> str:
    program = load_program(path, problems)
    if program is None:
        return "a program with mistakes"
    return f"program {program.name}{_not_here(program.missing)}"


def _not_here(missing: Sequence[Problem]) -> str:
    """What a run would need besides: a description of a program is right without the program."""
    if not missing:
        return ""
    return f"; cannot be run on this machine: {missing[0].message}"


def _plan(path: Path, problems: list[Problem]) -> str:
    """Check the plan, and its scenarios with the program that describes a submission."""
    plan = load_plan(path, load_scenarios)
    program = plan.program.location.file
    for item in plan.items:
        for scenario in item.scenarios:
            cluster = load_cluster_of(scenario, program=program)
            problems += lint(scenario, cluster, elsewhere=True)
    runs = sum(item.runs_total for item in plan.items)
    return (
        f"plan {plan.name}, {len(plan.items)} scenarios, {runs} runs for each submission, "
        f"{plan.points} points"
    )


def _bugs(path: Path, problems: list[Problem]) -> str:
    """Check the table, and that each bug can be planted in the scenario that must catch it."""
    bugs_file = load_bugs(path)
    for bug in bugs_file.bugs:
        try:
            for scenario in load_scenarios(bug.scenario):
                cluster = load_cluster_with_bug(
                    scenario, bug.cluster, bug.program, bug.planted, bug.locations
                )
                problems += lint(scenario, cluster)
                problems += _unknown_options(bug, cluster)
        except FileProblems as error:
            problems += error.problems
    return f"file of {len(bugs_file.bugs)} planted bugs"


def _unknown_options(bug: Bug, cluster: Cluster) -> Iterator[Problem]:
    programs = [node.program for node in cluster.nodes]
    for name, value in bug.options.items():
        message = option_mistake(name, value, programs)
        if message:
            yield bug.locations[name].problem(message)


LINTERS = {
    "scenario": _scenario,
    "cluster": _cluster,
    "program": _program,
    "plan": _plan,
    "bugs": _bugs,
}


COMMANDS = {"lint": Subcommand(__doc__, configure, run)}
