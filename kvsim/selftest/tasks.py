"""What a selftest has to run, and how each run is judged: bugs in their scenarios, the correct store in all of its own. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvsim.config.scenario import Scenario
from kvsim.selftest.judge import Proof, Row, judge_bug, judge_correct
from kvsim.selftest.table import Bug, near
from kvsim.trials.trial import Result, Trial


@dataclass(frozen=True)
class Task:
    """One run of kvsim, and what makes a row of it; `of` is what the row is about, whatever the seed."""

    of: str
    trial: Trial
    judge: Callable[[Result, Proof], Row]


def of_bugs(bugs: Sequence[Bug], seed: int) -> list[Task]:
    """Each bug in the scenario that shows it."""
    return [_of_bug(bug, seed) for bug in bugs]


def of_correct(scenarios: Sequence[Scenario], home: Path, seed: int) -> list[Task]:
    """The correct store through scenarios, named as seen from `home`."""
    return [_of_correct(scenario, home, seed) for scenario in scenarios]


def _of_bug(bug: Bug, seed: int) -> Task:
    trial = Trial(str(bug.scenario), seed, tuple(_planted(bug)))
    return Task(f"{bug.name} in {bug.scenario.stem}", trial, lambda ran, proof: judge_bug(bug, ran, proof))


def _of_correct(scenario: Scenario, home: Path, seed: int) -> Task:
    cell = scenario.label.removeprefix(scenario.name)
    label = scenario.path.relative_to(home).with_suffix("").as_posix() + cell
    trial = Trial(str(near(scenario.path)), seed, scenario.words)
    return Task(f"correct {label}", trial, lambda ran, proof: judge_correct(label, ran, proof))


def _planted(bug: Bug) -> list[str]:
    words = ["--program", str(bug.program)]
    words += ["--cluster", str(bug.cluster)] if bug.cluster else []
    return [*words, *(word for name, value in bug.planted.items() for word in ("-o", f"{name}={value}"))]
