"""Run the scenarios against stores with one planted bug each, and the correct store through all.

A bug counts as caught when the check that bugs.yaml names for it gives the verdict that is stated
there; a failure of another check is not enough. A finding against the correct store is a false
alarm. Exit status 0 when every bug is caught and there is no false alarm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from kvsim.argument_types import COUNT, JOBS, SEED
from kvsim.cli.arguments import Subcommand, add_json, chosen_seed, output_folder
from kvsim.cli.loading import load_cluster_of, load_scenarios
from kvsim.cli.output import show
from kvsim.cli.waiting_line import waiting_for
from kvsim.config.lint import reasons_to_skip
from kvsim.config.scenario import Scenario, fault_kinds_of
from kvsim.errors import Exit, UsageError
from kvsim.faults.preload.build import NotBuilt, find_compiler
from kvsim.folders import find_paths
from kvsim.launcher.watchdog_guard import scratch
from kvsim.selftest.assess import (
    AssessmentRow,
    SelftestRun,
    bug_runs,
    combine_seeds,
    correct_runs,
)
from kvsim.selftest.bugs_file import Bug, BugsFile, find_bugs_file, load_bugs
from kvsim.selftest.report import all_good, render, to_json
from kvsim.trials.pool import run_all
from kvsim.trials.trial import Trial, TrialResult
from kvsim.trials.trial_process import proof_of

RUN_LIMIT_S = 60.0
TIMING_VERBS = {"fault", "load", "storm"}
STORM_SEEDS = 20
# A bug has to be caught with 19 of 20 seeds.
CAUGHT_SHARE_MIN = 0.95


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bug", nargs="*", metavar="BUG", help="only these bugs, without the correct store"
    )
    parser.add_argument(
        "--correct", action="store_true", help="only the correct store, through every scenario"
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=JOBS,
        default=2 * (os.cpu_count() or 1),
        metavar="N",
        help="runs at a time (default: cores × 2)",
    )
    parser.add_argument(
        "--seed", type=SEED, help="the seed of every run (default: a new one, printed)"
    )
    parser.add_argument(
        "--seeds",
        type=COUNT,
        metavar="N",
        help="run everything with N seeds, beginning with --seed (default: 1)",
    )
    parser.add_argument(
        "--storms",
        action="store_true",
        help="only scenarios with faults or load; each bug in its storms, too; with "
        f"{STORM_SEEDS} seeds each unless --seeds is given",
    )
    parser.add_argument(
        "--bugs-file",
        type=Path,
        metavar="FILE",
        help="the file of planted bugs (default: bugs.yaml of the program `broken`)",
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="keep the run directories in DIR (default: none is kept)",
    )
    parser.add_argument("--list", action="store_true", help="list the planted bugs and stop")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.bug and arguments.correct:
        raise UsageError("name bugs, or give --correct, not both")
    bugs_file = load_bugs(arguments.bugs_file or find_bugs_file(Path.cwd()))
    bugs = () if arguments.correct else bugs_file.select(arguments.bug)
    scenarios = [] if arguments.bug or arguments.list else own_scenarios(bugs_file)
    if arguments.storms:
        with_storms = [variant for bug in bugs for variant in (bug, *bug.storms)]
        bugs = tuple(bug for bug in with_storms if depends_on_timing(load_scenarios(bug.scenario)))
        scenarios = [scenario for scenario in scenarios if depends_on_timing([scenario])]
    if arguments.list:
        show("\n".join(map(_describe, bugs)))
        return int(Exit.PASS)
    return _assess_all(bugs_file, *_runnable(bugs, scenarios), arguments)


def _describe(bug: Bug) -> str:
    return f"{bug.name}: {bug.description} ({bug.scenario.stem}, {bug.check})"


def _runnable(
    bugs: tuple[Bug, ...], scenarios: list[Scenario]
) -> tuple[tuple[Bug, ...], list[Scenario]]:
    """What this machine can run; the rest is printed. Raises NotBuilt when it can run nothing."""
    try:
        find_compiler()
        return bugs, scenarios
    except NotBuilt as error:
        kept_bugs = tuple(
            bug for bug in bugs if not any(map(_needs_library, load_scenarios(bug.scenario)))
        )
        kept = [scenario for scenario in scenarios if not _needs_library(scenario)]
        if not (kept_bugs or kept):
            raise
        left_out = [bug.name for bug in bugs if bug not in kept_bugs]
        left_out += [scenario.label for scenario in scenarios if scenario not in kept]
        if left_out:
            print(f"left out: {', '.join(left_out)}: {error}", file=sys.stderr)
        return kept_bugs, kept


def _needs_library(scenario: Scenario) -> bool:
    """Whether a fault of the scenario needs the library that is compiled for the nodes."""
    links = load_cluster_of(scenario).links
    return any(kind.preloads for kind in fault_kinds_of(scenario, links))


def _assess_all(
    bugs_file: BugsFile,
    bugs: tuple[Bug, ...],
    scenarios: list[Scenario],
    arguments: argparse.Namespace,
) -> int:
    seed = chosen_seed(arguments)
    began = time.monotonic()
    rows = _run(bugs_file, bugs, scenarios, seed, arguments)
    of_bugs, of_correct = rows[: len(bugs)], rows[len(bugs) :]
    if arguments.json:
        print(json.dumps(to_json(of_bugs, of_correct, seed), ensure_ascii=False))
    else:
        show(render(of_bugs, of_correct, seed, time.monotonic() - began))
    return int(Exit.PASS if all_good(of_bugs, of_correct) else Exit.FAIL)


def own_scenarios(bugs_file: BugsFile) -> list[Scenario]:
    """The scenarios (every cell of each) that apply to their cluster, all of the correct store."""
    scenarios = [
        scenario
        for path in find_paths(bugs_file.scenarios, "**/*.yaml")
        for scenario in load_scenarios(path)
    ]
    return [scenario for scenario in scenarios if _is_own(scenario, bugs_file)]


def _is_own(scenario: Scenario, bugs_file: BugsFile) -> bool:
    cluster = load_cluster_of(scenario)
    own = all(node.program.folder == bugs_file.correct for node in cluster.nodes)
    return own and not reasons_to_skip(scenario, cluster)


def depends_on_timing(scenarios: Sequence[Scenario]) -> bool:
    """Whether the scenarios have faults or concurrent clients: their results vary with timing."""
    return any(step.verb in TIMING_VERBS for scenario in scenarios for step in scenario.steps)


def _run(
    bugs_file: BugsFile,
    bugs: tuple[Bug, ...],
    scenarios: list[Scenario],
    seed: int,
    arguments: argparse.Namespace,
) -> list[AssessmentRow]:
    """One row for each bug, then one for each scenario, in that order."""
    count = arguments.seeds or (STORM_SEEDS if arguments.storms else 1)
    runs: list[SelftestRun] = []
    for run_seed in range(seed, seed + count):
        runs += bug_runs(bugs, run_seed)
        runs += correct_runs(scenarios, bugs_file.scenarios, run_seed)
    with _folder(arguments.out) as out:
        by_subject = _rows(runs, out, arguments.jobs)
    rows = [
        combine_seeds(rows, CAUGHT_SHARE_MIN if rows[0].named else 1.0)
        for rows in by_subject.values()
    ]
    kept = arguments.out is not None
    return rows if kept else [replace(row, run_directory="") for row in rows]


def _rows(runs: list[SelftestRun], out: Path, jobs: int) -> dict[str, list[AssessmentRow]]:
    """Subject → the rows of all its seeds."""
    by_key = {run.trial.key: run for run in runs}
    rows: dict[str, list[AssessmentRow]] = {run.subject: [] for run in runs}
    with _progress(len(runs)) as on_progress:

        def on_result(trial: Trial, result: TrialResult) -> bool:
            run = by_key[trial.key]
            rows[run.subject].append(run.assess(result, proof_of(result)))
            on_progress(sum(map(len, rows.values())))
            return False

        trials = [run.trial for run in runs]
        if not run_all(trials, jobs, on_result, out=out, limit_s=RUN_LIMIT_S):
            raise KeyboardInterrupt
    return rows


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """The folder for run directories: `kept`, or a temporary one that is removed afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with scratch("kvsim-selftest-") as temporary:
        yield temporary


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Say how many runs are over, at a terminal."""
    with waiting_for(f"the first of {total} runs") as wait:

        def update(count: int) -> None:
            wait.text = f"selftest: {count} of {total} runs are over"

        yield update


COMMANDS = {"selftest": Subcommand(__doc__, configure, run)}
