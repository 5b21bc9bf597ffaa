"""What a campaign is to try: every scenario with every program and every seed, labelled for its tables. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvsim.config.cluster import Cluster
from kvsim.config.fault_words import FAULTS
from kvsim.config.lint import every_step
from kvsim.config.scenario import Scenario
from kvsim.trials.trial import Trial

BY_HAND = ("kill", "pause", "stop", "restart")  # verbs that break something without a scope
NO_FAULT = "none"


@dataclass(frozen=True)
class Case:
    """One scenario with one program: what is tried with every seed. `digest` covers the scenario's and the cluster's text."""

    scenario: str
    arguments: tuple[str, ...]
    name: str
    program: str
    faults: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Plan:
    """Cases and seeds. `limit_s` ends a run that takes longer."""

    cases: tuple[Case, ...]
    first_seed: int
    seeds: int
    limit_s: float

    @property
    def wanted(self) -> int:
        return len(self.cases) * self.seeds

    def trials(self) -> Iterator[Trial]:
        """All of them, seed by seed, so that every case has been tried early."""
        for seed in range(self.first_seed, self.first_seed + self.seeds):
            for case in self.cases:
                about = {"scenario": case.name, "program": case.program, "faults": ", ".join(case.faults)}
                yield Trial(case.scenario, seed, case.arguments, about)


def case_of(scenario: Scenario, cluster: Cluster, file: Path, arguments: Sequence[str]) -> Case:
    """The case of one scenario file, as the user names it, on one cluster."""
    programs = sorted({node.program.name for node in cluster.nodes})
    texts = scenario.path.read_bytes() + b"\0" + cluster.path.read_bytes()
    return Case(
        scenario=str(file),
        arguments=(*scenario.words, *arguments),
        name=scenario.label,
        program=" + ".join(programs),
        faults=faults_in(scenario),
        digest=hashlib.sha256(texts).hexdigest(),
    )


def faults_in(scenario: Scenario) -> tuple[str, ...]:
    """The kinds of faults that a scenario names."""
    found = set()
    for step in every_step(scenario.steps):
        if step.verb == "fault":
            found |= {kind for kind in FAULTS if step.fields.get(kind) is not None}
        elif step.verb in BY_HAND:
            found.add(step.verb)
    return tuple(sorted(found)) or (NO_FAULT,)
