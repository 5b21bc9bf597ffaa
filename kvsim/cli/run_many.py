"""Several runs of one `kvsim run`: made in parallel, and summarised in a table at the end."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from kvsim.checks.deviation import first_deviation
from kvsim.cli.batch_options import run_arguments
from kvsim.cli.loading import ScenarioCase
from kvsim.cli.output import is_terminal, table, text_width
from kvsim.config.scenario import Scenario
from kvsim.config.yaml_nodes import display_path
from kvsim.errors import KvsimError
from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import Proof, judge
from kvsim.proof.summary import render_summary
from kvsim.report.write import write_reports
from kvsim.run_directory import RunDirectory, runs_folder
from kvsim.runner.run import FinishedRun
from kvsim.text import escape_surrogates, truncate
from kvsim.trials.trial import Ending, Trial, TrialResult, exit_of

# One run has no time limit; a day ends only a process that hangs.
NO_LIMIT_S = 86400.0
WHY_MAX, WHY_MIN = 90, 30
SKIPPED = "skipped "


class CompletedRun(Struct, frozen=True):
    """The result of one scenario, and what is printed of it at its end. Where it was not run,
    `directory` and `proof` are None and `why` is the reason."""

    scenario: Scenario
    ending: Ending
    directory: RunDirectory | None = None
    proof: Proof | None = None
    why: str = ""
    summary: str = ""


def run_in_parallel(
    cases: Sequence[ScenarioCase],
    arguments: argparse.Namespace,
    seed: int,
    on_result: Callable[[CompletedRun], None],
) -> list[CompletedRun]:
    """Run all, `arguments.jobs` at a time, each in its own process.

    `on_result` is called with each run when it ends. Returns them in the order of the cases.
    """
    completed: dict[str, CompletedRun] = {}
    trials = [_trial(case, seed) for case in cases]
    scenarios = {trial.key: case.scenario for trial, case in zip(trials, cases, strict=True)}

    def report(trial: Trial, result: TrialResult) -> bool:
        completed[trial.key] = _completed(scenarios[trial.key], result)
        on_result(completed[trial.key])
        return False

    for out in {trial.labels["out"] for trial in trials}:
        Path(out).mkdir(parents=True, exist_ok=True)
    # Late, as whatever a single run does not need.
    from kvsim.trials.pool import run_all

    run_all(
        trials,
        arguments.jobs,
        report,
        out=lambda trial: Path(trial.labels["out"]),
        limit_s=NO_LIMIT_S,
    )
    return [completed[trial.key] for trial in trials if trial.key in completed]


def _trial(case: ScenarioCase, seed: int) -> Trial:
    scenario, _, arguments = case
    words = [*scenario.cell_arguments, *run_arguments(arguments)]
    words += [
        f"--{name.replace('_', '-')}" for name in ("keep", "fail_fast") if getattr(arguments, name)
    ]
    out = runs_folder(arguments.out)
    return Trial(str(scenario.path), seed, tuple(words), {"out": str(out)})


def _completed(scenario: Scenario, result: TrialResult) -> CompletedRun:
    if not result.run:
        return CompletedRun(scenario, result.ending, why=result.message.strip())
    run = RunDirectory(Path(result.run))
    record = RunRecord.load(run)
    proof = judge(record)
    text = summary_of(run, record, proof)
    return CompletedRun(scenario, result.ending, run, proof, result.message, text)


def write_timeline(done: FinishedRun) -> None:
    """Write a run's timeline and trace. An error changes no verdict."""
    try:
        write_reports(done.run, done.record, done.proof)
    except KvsimError as error:
        print(f"the timeline could not be written: {error}", file=sys.stderr)


def summary_of(run: RunDirectory, record: RunRecord, proof: Proof) -> str:
    """What is printed of one run at its end."""
    return render_summary(proof, record, Path(display_path(run.path)), text_width(sys.stdout))


def as_json(run: RunDirectory, proof: Proof) -> str:
    """One line for scripts."""
    return escape_surrogates(
        json.dumps({**proof.to_json(), "run_directory": str(run.path)}, ensure_ascii=False)
    )


def summary(runs: Sequence[CompletedRun], planned: int) -> str:
    """A row for each run, and the number of runs with each ending."""
    heads = ("verdict", "scenario", "first deviation", "run directory")
    rows = [
        (
            run.ending,
            run.scenario.label,
            _first_deviation(run),
            run.directory.path.name if run.directory else "",
        )
        for run in runs
    ]
    counts = Counter(str(run.ending) for run in runs)
    endings = ", ".join(f"{count} {ending}" for ending, count in counts.items())
    missing = f", {planned - len(runs)} not made" if len(runs) < planned else ""
    printed = _fitted([heads, *rows]) if is_terminal(sys.stdout) else [heads, *rows]
    return f"{table(printed[0], printed[1:])}\n\n{planned} runs: {endings}{missing}"


def _fitted(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The rows for this terminal: deviations are cut. Without room for them the run directories,
    which runs that failed have named above, are left out.
    """
    verdict, scenario, _, directory = (max(map(len, column)) for column in zip(*rows, strict=True))
    room = shutil.get_terminal_size().columns - len("  ") * 2 - verdict - scenario
    beside = room - len("  ") - directory
    if beside >= WHY_MIN:
        return [(*row[:2], truncate(row[2], beside), row[3]) for row in rows]
    return [(*row[:2], truncate(row[2], max(WHY_MIN, room))) for row in rows]


def _first_deviation(run: CompletedRun) -> str:
    position, why = first_deviation(run.proof.to_json()) if run.proof else ("", run.why)
    line = f"{position}: {why}" if position and why else why
    if run.proof:
        from kvsim.trials.trial_process import symptom_of

        line = symptom_of(line)
    else:
        line = (line.splitlines() or [""])[-1].removeprefix(f"{SKIPPED}{run.scenario.label}: ")
    return truncate(line, WHY_MAX)


def exit_status(runs: Sequence[CompletedRun], planned: int) -> int:
    """The exit status of the worst run. Skipped runs do not count; runs that were not made are
    unknown."""
    endings = [run.ending for run in runs if run.ending is not Ending.SKIPPED]
    if len(runs) < planned:
        endings.append(Ending.INTERRUPTED)
    return int(exit_of(endings))
