"""The runs of a campaign: every scenario with every program and every seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from kvsim.config.cluster import Cluster
from kvsim.config.scenario import Scenario, fault_kinds_of, walk_steps
from kvsim.trials.trial import Trial

# Steps that disrupt a node without a fault around them.
DISRUPTING_VERBS = {"kill", "pause", "stop", "restart"}
NO_FAULT = "none"


class Case(Struct, frozen=True):
    """One scenario with one program, run with every seed.

    `digest`: the SHA-256 of the scenario's and the cluster's text.
    """

    scenario: str
    arguments: tuple[str, ...]
    name: str
    program: str
    faults: tuple[str, ...]
    digest: str


class CampaignPlan(Struct, frozen=True):
    """Cases and seeds. A run that takes longer than `limit_s` is ended."""

    cases: tuple[Case, ...]
    first_seed: int
    seeds: int
    limit_s: float

    @property
    def planned(self) -> int:
        return len(self.cases) * self.seeds

    def trials(self) -> Iterator[Trial]:
        """All of them, seed by seed, so that every case is tried early."""
        for seed in range(self.first_seed, self.first_seed + self.seeds):
            for case in self.cases:
                labels = {
                    "scenario": case.name,
                    "program": case.program,
                    "faults": ", ".join(case.faults),
                }
                yield Trial(case.scenario, seed, case.arguments, labels)


def case_of(scenario: Scenario, cluster: Cluster, file: Path, arguments: Sequence[str]) -> Case:
    """The case of one scenario on one cluster; `file` is the path that the user gave."""
    programs = sorted({node.program.name for node in cluster.nodes})
    texts = scenario.path.read_bytes() + b"\0" + cluster.path.read_bytes()
    return Case(
        scenario=str(file),
        arguments=(*scenario.cell_arguments, *arguments),
        name=scenario.label,
        program=" + ".join(programs),
        faults=fault_labels(scenario, cluster),
        digest=hashlib.sha256(texts).hexdigest(),
    )


def fault_labels(scenario: Scenario, cluster: Cluster) -> tuple[str, ...]:
    """The faults of a scenario by name: its kinds of fault, and verbs that disrupt a node."""
    kinds = {kind.name for kind in fault_kinds_of(scenario, cluster.links)}
    verbs = {step.verb for step in walk_steps(scenario.steps)} & DISRUPTING_VERBS
    return tuple(sorted(kinds | verbs)) or (NO_FAULT,)
