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
from pathlib import Path

from kvsim.cli.arguments import add_json
from kvsim.cli.files import load_cluster, load_scenario
from kvsim.cli.terminal import is_terminal, show
from kvsim.config.variables import new_seed
from kvsim.errors import Exit, UsageError
from kvsim.scenario.interrupt import Interrupted, orderly_interrupts
from kvsim.selftest.judge import Row, judge_bug, judge_correct
from kvsim.selftest.matrix import all_good, render, to_json
from kvsim.selftest.pool import Done, Job, run_all
from kvsim.selftest.table import Bug, Table, find_table, load_table

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
    rows = _run(bugs, scenarios, seed, arguments)
    of_bugs, of_correct = rows[: len(bugs)], rows[len(bugs) :]
    if arguments.json:
        print(json.dumps(to_json(of_bugs, of_correct, seed), ensure_ascii=False))
    else:
        show(render(of_bugs, of_correct, seed, time.monotonic() - began))
    return int(Exit.PASS if all_good(of_bugs, of_correct) else Exit.FAIL)


def own_scenarios(table: Table) -> list[Path]:
    """The scenarios whose cluster runs the correct store, and nothing else."""
    found = []
    for path in sorted(table.scenarios.glob("*.yaml")):
        cluster = load_cluster(load_scenario(path).cluster)
        if all(node.program.folder == table.correct for node in cluster.nodes):
            found.append(path)
    return found


def _run(bugs: tuple[Bug, ...], scenarios: list[Path], seed: int, arguments: argparse.Namespace) -> list[Row]:
    """One row for each bug, then one for each scenario, in that order."""
    rows: dict[str, Row] = {}
    with _folder(arguments.out) as (logs, out):
        judges: dict[str, Callable[[Done], Row]] = {}
        jobs = []
        for bug in bugs:
            jobs.append(Job(bug.name, _words(bug.scenario, seed, out, *_planted(bug))))
            judges[bug.name] = lambda done, bug=bug: judge_bug(bug, done)
        for path in scenarios:
            jobs.append(Job(f"correct-{path.stem}", _words(path, seed, out)))
            judges[f"correct-{path.stem}"] = lambda done, path=path: judge_correct(path.stem, done)
        with _progress(len(jobs)) as tell, orderly_interrupts():

            def on_done(done: Done) -> None:
                rows[done.job.name] = judges[done.job.name](done)
                tell(len(rows))

            try:
                run_all(jobs, logs, at_once=arguments.jobs, limit_s=RUN_LIMIT_S, on_done=on_done)
            except Interrupted:
                raise KeyboardInterrupt from None
    kept = arguments.out is not None
    return [rows[job.name] if kept else _without_directory(rows[job.name]) for job in jobs]


def _words(scenario: Path, seed: int, out: Path, *more: str) -> tuple[str, ...]:
    return ("run", str(scenario), "--seed", str(seed), "--json", "--out", str(out), *more)


def _planted(bug: Bug) -> list[str]:
    options = {"bug": bug.name, **bug.options}
    words = ["--program", str(bug.program)]
    words += ["--cluster", str(bug.cluster)] if bug.cluster else []
    return [*words, *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[tuple[Path, Path]]:
    """A folder for the runs' output, gone afterwards, and one for their run directories, which is `out` when that is given."""
    with tempfile.TemporaryDirectory(prefix="kvsim-selftest-") as temporary:
        yield Path(temporary), (out or Path(temporary) / "runs").resolve()


def _without_directory(row: Row) -> Row:
    return Row(**{**vars(row), "run_directory": ""})


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """How many runs are over, on a terminal; nothing when stderr is piped."""
    if not is_terminal(sys.stderr):
        yield lambda count: None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"selftest: {total} runs") as status:
        yield lambda count: status.update(f"selftest: {count} of {total} runs are over")
