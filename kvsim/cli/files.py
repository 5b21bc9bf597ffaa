"""Read the user's files for the commands: every name they may use is handed to the readers here, once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kvsim.checks import promised
from kvsim.checks.table import CHECKS
from kvsim.client.connect import settings_of
from kvsim.config import cluster_file, program_file, scenario_file
from kvsim.config.cluster import Cluster
from kvsim.config.program import Program
from kvsim.config.program_file import Around
from kvsim.config.scenario import Scenario
from kvsim.errors import Problem
from kvsim.launcher.background import Background, chosen


def load_cluster(path: Path, program: str | None = None, options: Mapping[str, str] | None = None) -> Cluster:
    """A cluster file with its programs. Raises FileProblems with all mistakes."""
    return cluster_file.load_cluster(path, program, options or {}, settings_of)


def load_scenario(path: Path) -> Scenario:
    """A scenario file. Raises FileProblems with all mistakes."""
    return scenario_file.load_scenario(path, checks=frozenset(CHECKS) | promised.NAMES)


def load_program(path: Path, problems: list[Problem]) -> Program | None:
    """A node.yaml by itself, without a cluster around it."""
    return program_file.load_program(
        str(path.resolve()), path.parent, problems, Around(settings_of=settings_of)
    )


def load_running(path: Path) -> Background:
    """The place of the cluster that is up, with the program and options it was started with."""
    program, options = chosen(path)
    return Background(load_cluster(path, program, options), program, options)
