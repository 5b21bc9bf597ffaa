"""Read the user's files for the commands: every name they may use is handed to the readers here, once."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kvsim.checks import promised
from kvsim.checks.table import CHECKS
from kvsim.cli.arguments import options_of
from kvsim.client.connect import settings_of
from kvsim.config import cluster_file, program_file, scenario_file
from kvsim.config.cluster import Cluster
from kvsim.config.lint import lint
from kvsim.config.program import Program
from kvsim.config.program_file import Around
from kvsim.config.scenario import Scenario
from kvsim.config.yaml_tree import Mark
from kvsim.errors import FileProblems, Problem
from kvsim.launcher.background import Background, chosen


def load_cluster(path: Path, program: str | None = None, options: Mapping[str, str] | None = None) -> Cluster:
    """A cluster file with its programs. Raises FileProblems with all mistakes."""
    return cluster_file.load_cluster(path, program, options or {}, settings_of)


def load_scenarios(path: Path, picked: Sequence[str] = ()) -> tuple[Scenario, ...]:
    """A scenario file: one, or each cell of its matrix (that is picked). Raises FileProblems with all mistakes, UsageError."""
    return scenario_file.load_scenarios(path, frozenset(CHECKS) | promised.NAMES, picked)


def load_scenario(path: Path, picked: Sequence[str] = ()) -> Scenario:
    """A scenario file that is to be one scenario. Raises UsageError where it is several, else as `load_scenarios`."""
    return scenario_file.load_scenario(path, frozenset(CHECKS) | promised.NAMES, picked)


def load_stage(
    scenario: Scenario,
    path: Path | None = None,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Cluster:
    """The cluster a scenario is played on: its own or the caller's, with what it says instead. Raises FileProblems with all mistakes."""
    return cluster_file.load_stage(scenario, path, program, options, settings_of)


def load_planted(
    scenario: Scenario,
    path: Path | None,
    program: Path,
    options: Mapping[str, str],
    places: Mapping[str, Mark],
) -> Cluster:
    """The same with a planted bug; `places` says where its options were written. Raises FileProblems with all mistakes."""
    own = scenario.instead
    return cluster_file.load_cluster(
        path or scenario.cluster,
        str(program),
        {**own.options, **options},
        settings_of,
        nodes=own.nodes,
        places={**own.places, **places},
    )


def load_cases(paths: Iterable[Path], arguments: argparse.Namespace) -> list[tuple[Scenario, Cluster]]:
    """Every scenario (every cell) of the files, with the cluster that the arguments and the scenario ask for.

    All is read and held against its cluster before anything is started. Raises FileProblems with all mistakes of all, UsageError.
    """
    problems: list[Problem] = []
    cases = []
    for path in paths:
        try:
            for scenario in load_scenarios(path, arguments.cell):
                cluster = load_stage(scenario, arguments.cluster, arguments.program, options_of(arguments))
                problems += lint(scenario, cluster)
                cases.append((scenario, cluster))
        except FileProblems as error:
            problems += error.problems
    if problems:
        raise FileProblems(list(dict.fromkeys(problems)))
    return cases


def load_program(path: Path, problems: list[Problem]) -> Program | None:
    """A node.yaml by itself, without a cluster around it."""
    return program_file.load_program(
        str(path.resolve()), path.parent, problems, Around(settings_of=settings_of)
    )


def load_running(path: Path) -> Background:
    """The place of the cluster that is up, with the program and options it was started with."""
    program, options = chosen(path)
    return Background(load_cluster(path, program, options), program, options)
