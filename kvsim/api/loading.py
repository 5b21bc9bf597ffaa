"""Read scenario and cluster files with all verbs, checks and protocols of kvsim. Starts nothing."""

from __future__ import annotations

from pathlib import Path

from kvsim.config import cluster_loader, scenario_loader
from kvsim.config.cluster import Cluster
from kvsim.config.lint import lint, reasons_to_skip
from kvsim.config.scenario import Scenario
from kvsim.errors import FileProblems
from kvsim.runner.registry import REGISTRY


def load_scenarios(path: Path) -> tuple[Scenario, ...]:
    """A scenario file: one scenario, or each cell of its matrix.

    Raises FileProblems with all mistakes.
    """
    return scenario_loader.load_scenarios(path, REGISTRY)


def load_cluster_of(scenario: Scenario, program: str | None = None) -> Cluster:
    """The cluster of a scenario, which must be able to run on it. Raises FileProblems."""
    cluster = cluster_loader.load_cluster_of(scenario, REGISTRY, program=program)
    problems = lint(scenario, cluster)
    if problems:
        raise FileProblems(problems)
    return cluster


def reason_to_skip(scenario: Scenario, cluster: Cluster) -> str:
    """Why the scenario cannot run on this cluster and is skipped; empty when it can."""
    missing = reasons_to_skip(scenario, cluster)
    return "; ".join(missing)
