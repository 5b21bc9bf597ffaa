"""What a selftest has to run, and how each run is judged: bugs in their scenarios, the correct store in all of its own. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvsim.selftest.judge import Row, judge_bug, judge_correct
from kvsim.selftest.pool import Done, Job
from kvsim.selftest.table import Bug


@dataclass(frozen=True)
class Task:
    """One run of kvsim, and what makes a row of it; `of` is what the row is about, whatever the seed."""

    of: str
    job: Job
    judge: Callable[[Done], Row]


@dataclass(frozen=True)
class Tasks:
    """Makes tasks whose runs share a seed and put their run directories into `out`."""

    seed: int
    out: Path

    def of_bugs(self, bugs: Sequence[Bug]) -> list[Task]:
        """Each bug in the scenario that shows it."""
        return [self._of_bug(bug) for bug in bugs]

    def of_correct(self, scenarios: Sequence[Path], home: Path) -> list[Task]:
        """The correct store through scenarios, named as seen from `home`."""
        return [
            self._of_correct(path, path.relative_to(home).with_suffix("").as_posix()) for path in scenarios
        ]

    def _of_bug(self, bug: Bug) -> Task:
        job = Job(f"{bug.name}-{self.seed}", self._words(bug.scenario, *_planted(bug)))
        return Task(bug.name, job, lambda done: judge_bug(bug, done))

    def _of_correct(self, path: Path, label: str) -> Task:
        job = Job(f"correct-{label.replace('/', '-')}-{self.seed}", self._words(path))
        return Task(f"correct {label}", job, lambda done: judge_correct(label, done))

    def _words(self, scenario: Path, *more: str) -> tuple[str, ...]:
        return ("run", str(scenario), "--seed", str(self.seed), "--json", "--out", str(self.out), *more)


def _planted(bug: Bug) -> list[str]:
    options = {"bug": bug.name, **bug.options}
    words = ["--program", str(bug.program)]
    words += ["--cluster", str(bug.cluster)] if bug.cluster else []
    return [*words, *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
