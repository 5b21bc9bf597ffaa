"""Several runs of one `kvsim run`: made beside each other where that is wanted, and told in one table at the end."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvsim.cli.many import words_for_run
from kvsim.cli.terminal import table
from kvsim.config.cluster import Cluster
from kvsim.config.scenario import Scenario
from kvsim.errors import Exit
from kvsim.evidence.proof import Proof, judge
from kvsim.history.record import Record
from kvsim.rundir import RunDir
from kvsim.trials.pool import run_all
from kvsim.trials.reading import first_deviation, without_own_words
from kvsim.trials.trial import Ending, Result, Trial, exit_of

NO_LIMIT_S = 86400.0  # a single run has none either; a day only ends what has gone astray
WHY_MAX = 90


@dataclass(frozen=True)
class Ran:
    """What became of one scenario. `run` and `proof` are None where nothing was run; `why` then says why not."""

    scenario: Scenario
    ending: Ending
    run: RunDir | None = None
    proof: Proof | None = None
    why: str = ""


Case = tuple[Scenario, Cluster]


def side_by_side(
    cases: Sequence[Case], arguments: argparse.Namespace, seed: int, tell: Callable[[Ran], None]
) -> list[Ran]:
    """Run all, `arguments.jobs` at a time, each in a process of its own; `tell` hears of each as it ends. In the order of the cases."""
    found: dict[str, Ran] = {}
    trials = [_trial(scenario, cluster, arguments, seed) for scenario, cluster in cases]
    scenarios = {trial.key: scenario for trial, (scenario, _) in zip(trials, cases, strict=True)}

    def report(trial: Trial, result: Result) -> bool:
        found[trial.key] = _ran(scenarios[trial.key], result)
        tell(found[trial.key])
        return False

    for out in {trial.about["out"] for trial in trials}:
        Path(out).mkdir(parents=True, exist_ok=True)
    run_all(trials, arguments.jobs, report, out=lambda trial: Path(trial.about["out"]), limit_s=NO_LIMIT_S)
    return [found[trial.key] for trial in trials if trial.key in found]


def _trial(scenario: Scenario, cluster: Cluster, arguments: argparse.Namespace, seed: int) -> Trial:
    words = [*scenario.words, *words_for_run(arguments)]
    words += [f"--{name.replace('_', '-')}" for name in ("keep", "fail_fast") if getattr(arguments, name)]
    out = arguments.out or cluster.root / "runs"
    return Trial(str(scenario.path), seed, tuple(words), {"out": str(out)})


def _ran(scenario: Scenario, result: Result) -> Ran:
    if not result.run:
        return Ran(scenario, result.ending, why=result.why.strip())
    run = RunDir(Path(result.run))
    return Ran(scenario, result.ending, run, judge(Record.load(run)), result.why)


def as_json(run: RunDir, proof: Proof) -> str:
    """One line for scripts."""
    return json.dumps({**proof.to_json(), "run_directory": str(run.path)}, ensure_ascii=False)


def summary(ran: Sequence[Ran], wanted: int) -> str:
    """A row a run, and how many ended how."""
    rows = [(one.ending, one.scenario.label, _why(one), one.run.path.name if one.run else "") for one in ran]
    counts = Counter(str(one.ending) for one in ran)
    missing = f", {wanted - len(ran)} not made" if len(ran) < wanted else ""
    said = ", ".join(f"{count} {ending}" for ending, count in counts.items())
    return f"{table(('verdict', 'scenario', 'first deviation', 'run directory'), rows)}\n\n{wanted} runs: {said}{missing}"


def _why(one: Ran) -> str:
    place, why = first_deviation(one.proof.to_json()) if one.proof else ("", one.why)
    line = f"{place}: {why}" if place and why else why
    line = without_own_words(line) if one.proof else (line.splitlines() or [""])[-1]
    return line if len(line) <= WHY_MAX else line[: WHY_MAX - 1] + "…"


def exit_status(ran: Sequence[Ran], wanted: int) -> int:
    """The worst run's, those that were skipped aside; runs that were not made leave what they would have shown unknown."""
    counts = Counter(str(one.ending) for one in ran if one.ending is not Ending.SKIPPED)
    if len(ran) < wanted:
        counts[str(Ending.INTERRUPTED)] += 1
    return int(exit_of(counts)) if counts else int(Exit.INVALID)
