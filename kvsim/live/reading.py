"""Read scenario and cluster files for the pytest plugin. Raises what the readers raise; starts nothing."""

from __future__ import annotations

from pathlib import Path

from kvsim.checks import promised
from kvsim.checks.table import CHECKS
from kvsim.client.connect import settings_of
from kvsim.config.cluster import Cluster
from kvsim.config.cluster_file import load_stage
from kvsim.config.lint import lint, missing_capabilities
from kvsim.config.scenario import Scenario
from kvsim.config.scenario_file import load_scenarios
from kvsim.errors import FileProblems


def read_scenarios(path: Path) -> tuple[Scenario, ...]:
    """A scenario file: one scenario, or each cell of its matrix. Raises FileProblems with all mistakes."""
    return load_scenarios(path, checks=frozenset(CHECKS) | promised.NAMES)


def read_cluster(scenario: Scenario, program: str | None = None) -> Cluster:
    """The cluster of a scenario, which must make sense there. Raises FileProblems."""
    cluster = load_stage(scenario, program=program, settings_of=settings_of)
    problems = lint(scenario, cluster)
    if problems:
        raise FileProblems(problems)
    return cluster


def unfit(scenario: Scenario, cluster: Cluster) -> str:
    """Why the scenario cannot be run on this cluster, which is then skipped; empty when it can."""
    missing = missing_capabilities(scenario, cluster)
    return f"{'; '.join(missing)}, which it needs" if missing else ""
