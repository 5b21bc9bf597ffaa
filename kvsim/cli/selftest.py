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
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from kvsim.cli.arguments import add_json
from kvsim.cli.files import load_cluster, load_scenario
from kvsim.cli.terminal import is_terminal, show
from kvsim.config.variables import new_seed
from kvsim.errors import Exit, UsageError
from kvsim.scenario.interrupt import Interrupted, orderly_interrupts
from kvsim.selftest.judge import Row
from kvsim.selftest.matrix import all_good, render, to_json
from kvsim.selftest.pool import Done, run_all
from kvsim.selftest.table import Bug, Table, find_table, load_table
from kvsim.selftest.tasks import Tasks

RUN_LIMIT_S = 60.0


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
    table = load_table(arguments.table or find_table(Path.cwd()))
    bugs = () if arguments.correct else table.chosen(arguments.bug)
    if arguments.list:
        show("\n".join(f"{bug.name}: {bug.says} ({bug.scenario.stem}, {bug.check})" for bug in bugs))
        return int(Exit.PASS)
    scenarios = [] if arguments.bug else own_scenarios(table)
    seed = arguments.seed if arguments.seed is not None else new_seed()
    began = time.monotonic()
    rows = _run(table, bugs, scenarios, seed, arguments)
    of_bugs, of_correct = rows[: len(bugs)], rows[len(bugs) :]
    if arguments.json:
        print(json.dumps(to_json(of_bugs, of_correct, seed), ensure_ascii=False))
    else:
        show(render(of_bugs, of_correct, seed, time.monotonic() - began))
    return int(Exit.PASS if all_good(of_bugs, of_correct) else Exit.FAIL)


def own_scenarios(table: Table) -> list[Path]:
    """The scenarios whose cluster runs the correct store, and nothing else."""
    found = []
    for path in sorted(table.scenarios.rglob("*.yaml")):
        cluster = load_cluster(load_scenario(path).cluster)
        if all(node.program.folder == table.correct for node in cluster.nodes):
            found.append(path)
    return found


def _run(
    table: Table, bugs: tuple[Bug, ...], scenarios: list[Path], seed: int, arguments: argparse.Namespace
) -> list[Row]:
    """One row for each bug, then one for each scenario, in that order."""
    with _folder(arguments.out) as (logs, out):
        make = Tasks(seed, out)
        tasks = {
            task.job.name: task
            for task in (*make.of_bugs(bugs), *make.of_correct(scenarios, table.scenarios))
        }
        rows: dict[str, Row] = {}
        with _progress(len(tasks)) as tell, orderly_interrupts():

            def on_done(done: Done) -> None:
                rows[done.job.name] = tasks[done.job.name].judge(done)
                tell(len(rows))

            jobs = [task.job for task in tasks.values()]
            try:
                run_all(jobs, logs, at_once=arguments.jobs, limit_s=RUN_LIMIT_S, on_done=on_done)
            except Interrupted:
                raise KeyboardInterrupt from None
    kept = arguments.out is not None
    return [rows[name] if kept else replace(rows[name], run_directory="") for name in tasks]


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[tuple[Path, Path]]:
    """A folder for the runs' output, gone afterwards, and one for their run directories, which is `out` when that is given."""
    with tempfile.TemporaryDirectory(prefix="kvsim-selftest-") as temporary:
        yield Path(temporary), (out or Path(temporary) / "runs").resolve()


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """How many runs are over, on a terminal; nothing when stderr is piped."""
    if not is_terminal(sys.stderr):
        yield lambda count: None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"selftest: {total} runs") as status:
        yield lambda count: status.update(f"selftest: {count} of {total} runs are over")
