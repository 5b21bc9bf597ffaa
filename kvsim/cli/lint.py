"""Check files without starting anything: scenarios, cluster files and node.yaml files, told apart by what stands in them.

Every mistake is one line, file:line:column. Exit status 4 when there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kvsim.cli.files import load_cluster, load_program, load_scenarios, load_stage
from kvsim.config.kinds import kind_of
from kvsim.config.lint import lint, missing_capabilities
from kvsim.errors import FileProblems, Problem


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="+", type=Path, metavar="FILE", help="scenario, cluster or node.yaml files"
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


LINTERS = {"scenario": _scenario, "cluster": _cluster, "program": _program}
