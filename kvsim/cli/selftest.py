"""Run the scenarios against stores with one planted bug each, and the correct store through all of them.

A bug counts as caught when the check that the table names for it gives the verdict that the table states; that some other
check failed too is not enough. Anything said against the correct store is a false alarm. Exit status 0 only without either.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kvsim.cli.arguments import add_json
from kvsim.cli.files import load_scenarios, load_stage
from kvsim.cli.terminal import is_terminal, show
from kvsim.config.scenario import Scenario
from kvsim.config.variables import new_seed
from kvsim.errors import Exit, UsageError
from kvsim.faults.preload.build import NotBuilt, find_compiler
from kvsim.launcher.net import scratch
from kvsim.scenario.stage import breaks_inside
from kvsim.selftest.judge import Row, combined
from kvsim.selftest.matrix import all_good, render, to_json
from kvsim.selftest.table import Bug, Table, find_table, load_table
from kvsim.selftest.tasks import Task, of_bugs, of_correct
from kvsim.trials.pool import run_all
from kvsim.trials.reading import proof_of
from kvsim.trials.trial import Result, Trial

RUN_LIMIT_S = 60.0
STORMY = {"fault", "load", "storm"}
STORM_SEEDS = 20
CAUGHT_ENOUGH = 0.95  # of the seeds: 19 of 20


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bug", nargs="*", metavar="BUG", help="only these bugs, without the correct store")
    parser.add_argument(
        "--correct", action="store_true", help="only the correct store, through every scenario"
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=int,
        default=2 * (os.cpu_count() or 1),
        metavar="N",
        help="runs at once (default: cores × 2)",
    )
    parser.add_argument("--seed", type=int, help="the seed of every run (default: a new one, printed)")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="run everything with N seeds from there on (default: 1)"
    )
    parser.add_argument(
        "--storms",
        action="store_true",
        help="only what needs faults or load to show, each bug in its storms too, with 20 seeds each unless --seeds says otherwise",
    )
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="the table of planted bugs (default: nodes/broken/bugs.yaml)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="keep the run directories there (default: nothing is kept)"
    )
    parser.add_argument("--list", action="store_true", help="list the planted bugs and stop")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {arguments.jobs}")
    if arguments.bug and arguments.correct:
        raise UsageError("name bugs, or ask for --correct, not both")
    if arguments.seeds is not None and arguments.seeds < 1:
        raise UsageError(f"--seeds must be at least 1, not {arguments.seeds}")
    table = load_table(arguments.table or find_table(Path.cwd()))
    bugs = () if arguments.correct else table.chosen(arguments.bug)
    scenarios = [] if arguments.bug or arguments.list else own_scenarios(table)
    if arguments.storms:
        everywhere = [one for bug in bugs for one in (bug, *bug.storms)]
        bugs = tuple(one for one in everywhere if is_storm(load_scenarios(one.scenario)))
        scenarios = [one for one in scenarios if is_storm([one])]
    if arguments.list:
        show("\n".join(f"{bug.name}: {bug.says} ({bug.scenario.stem}, {bug.check})" for bug in bugs))
        return int(Exit.PASS)
    return _judged(table, *_possible(bugs, scenarios), arguments)


def _possible(bugs: tuple[Bug, ...], scenarios: list[Scenario]) -> tuple[tuple[Bug, ...], list[Scenario]]:
    """What can be run on this machine; what cannot is said. Raises NotBuilt when that is everything."""
    try:
        find_compiler()
    except NotBuilt as error:
        left = tuple(bug for bug in bugs if not any(map(breaks_inside, load_scenarios(bug.scenario))))
        some = [scenario for scenario in scenarios if not breaks_inside(scenario)]
        if not (left or some):
            raise
        gone = [bug.name for bug in bugs if bug not in left]
        gone += [scenario.label for scenario in scenarios if scenario not in some]
        if gone:
            print(f"left out: {', '.join(gone)}: {error}", file=sys.stderr)
        return left, some
    return bugs, scenarios


def _judged(
    table: Table, bugs: tuple[Bug, ...], scenarios: list[Scenario], arguments: argparse.Namespace
) -> int:
    seed = arguments.seed if arguments.seed is not None else new_seed()
    began = time.monotonic()
    rows = _run(table, bugs, scenarios, seed, arguments)
    of_bugs, of_correct = rows[: len(bugs)], rows[len(bugs) :]
    if arguments.json:
        print(json.dumps(to_json(of_bugs, of_correct, seed), ensure_ascii=False))
    else:
        show(render(of_bugs, of_correct, seed, time.monotonic() - began))
    return int(Exit.PASS if all_good(of_bugs, of_correct) else Exit.FAIL)


def own_scenarios(table: Table) -> list[Scenario]:
    """The scenarios (every cell of each) whose cluster runs the correct store, and nothing else."""
    return [
        scenario
        for path in sorted(table.scenarios.rglob("*.yaml"))
        for scenario in load_scenarios(path)
        if all(node.program.folder == table.correct for node in load_stage(scenario).nodes)
    ]


def is_storm(scenarios: Sequence[Scenario]) -> bool:
    """Whether a scenario breaks something, or has many clients: what it shows depends on timing."""
    return any(step.verb in STORMY for scenario in scenarios for step in scenario.steps)


def _run(
    table: Table, bugs: tuple[Bug, ...], scenarios: list[Scenario], seed: int, arguments: argparse.Namespace
) -> list[Row]:
    """One row for each bug, then one for each scenario, in that order."""
    count = arguments.seeds or (STORM_SEEDS if arguments.storms else 1)
    tasks: list[Task] = []
    for one in range(seed, seed + count):
        tasks += [*of_bugs(bugs, one), *of_correct(scenarios, table.scenarios, one)]
    with _folder(arguments.out) as out:
        rows = _rows(tasks, out, arguments.jobs)
    kept = arguments.out is not None
    told = [combined(of, CAUGHT_ENOUGH if of[0].named else 1.0) for of in rows.values()]
    return told if kept else [replace(row, run_directory="") for row in told]


def _rows(tasks: list[Task], out: Path, at_once: int) -> dict[str, list[Row]]:
    """What the row is about → the rows of all its seeds."""
    by_key = {task.trial.key: task for task in tasks}
    rows: dict[str, list[Row]] = {task.of: [] for task in tasks}
    with _progress(len(tasks)) as tell:

        def report(trial: Trial, result: Result) -> bool:
            task = by_key[trial.key]
            rows[task.of].append(task.judge(result, proof_of(result)))
            tell(sum(map(len, rows.values())))
            return False

        if not run_all([task.trial for task in tasks], at_once, report, out=out, limit_s=RUN_LIMIT_S):
            raise KeyboardInterrupt
    return rows


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """Where the run directories go: the folder that was named, or one that is gone afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with scratch("kvsim-selftest-") as temporary:
        yield temporary


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """How many runs are over, on a terminal; nothing when stderr is piped."""
    if not is_terminal(sys.stderr):
        yield lambda count: None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"selftest: {total} runs") as status:
        yield lambda count: status.update(f"selftest: {count} of {total} runs are over")
