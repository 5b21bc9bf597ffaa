"""Run scenarios with many seeds on many workers: one SQLite file, one page.

Dask distributed hands the runs out (pip install 'kvsim[campaign]'): to worker processes on this machine or, with --scheduler, to
a Dask cluster. Given the same --out again, it makes only what is missing. Ctrl-C leaves all results that came back.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kvsim.campaign.archive import unpack
from kvsim.campaign.campaign import DATABASE, PAGE, Ran, agree, campaign, open_database
from kvsim.campaign.database import Database
from kvsim.campaign.page import page_of
from kvsim.campaign.plan import Case, Plan, case_of
from kvsim.campaign.summary import Summary, summary_of, text_of
from kvsim.cli.arguments import add_json, add_stage
from kvsim.cli.files import load_cases
from kvsim.cli.many import add_jobs, at_least, progress, words_for_run
from kvsim.cli.terminal import show
from kvsim.config.variables import new_seed
from kvsim.errors import Exit, FileProblems, Problem, UsageError
from kvsim.rundir import write_whole

SEEDS = 100


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", nargs="*", type=Path, metavar="SCENARIO", help="scenario files")
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, metavar="N", help=f"so many seeds for each (default: {SEEDS})"
    )
    parser.add_argument(
        "--first-seed", type=int, metavar="SEED", help="the first one (default: a new one, noted)"
    )
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="PROGRAM",
        help="the same with this program; may be repeated",
    )
    add_stage(parser)
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask scheduler, such as tcp://host:8786 (default: workers on this machine)",
    )
    add_jobs(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("campaign"),
        metavar="DIR",
        help="the campaign's folder (default: campaign/)",
    )
    parser.add_argument(
        "--unpack",
        type=int,
        metavar="NUMBER",
        help="unpack the run directory of one run that did not pass, into DIR/runs",
    )
    parser.add_argument(
        "--report", action="store_true", help="only print the results and write the page again"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    at_least(arguments, seeds=1, jobs=1, limit=1)
    if arguments.unpack is not None or arguments.report:
        return _look(arguments)
    cases = _cases(arguments)
    database = open_database(arguments.out)
    try:
        plan = _plan(arguments, cases, database)
        with progress(plan.wanted) as tell:
            ran = campaign(plan, database, arguments.scheduler, arguments.jobs, tell)
        summary = _told(arguments, database)
    finally:
        database.close()
    _say_how(ran, arguments.out)
    return int(summary.exit)


def _look(arguments: argparse.Namespace) -> int:
    if not (arguments.out / DATABASE).is_file():
        raise UsageError(f"{arguments.out}: no campaign stands there (it has no {DATABASE})")
    database = Database(arguments.out / DATABASE)
    try:
        if arguments.report:
            return int(_told(arguments, database).exit)
        packed = database.archive(arguments.unpack)
        if packed is None:
            raise UsageError(
                f"run {arguments.unpack} has no run directory: only those of runs that did not pass are kept"
            )
        print(unpack(packed, arguments.out / "runs"))
        return int(Exit.PASS)
    finally:
        database.close()


def _cases(arguments: argparse.Namespace) -> tuple[Case, ...]:
    """Every scenario with every program. Raises FileProblems with all mistakes of all files."""
    if not arguments.scenario:
        raise UsageError("which scenarios? kvsim campaign SCENARIO… --seeds N")
    problems: list[Problem] = []
    cases = []
    for program in [arguments.program, *arguments.also]:
        chosen = argparse.Namespace(**{**vars(arguments), "program": program})
        try:
            for path in arguments.scenario:
                for scenario, cluster in load_cases([path], chosen):
                    cases.append(case_of(scenario, cluster, path, words_for_run(chosen)))
        except FileProblems as error:
            problems += error.problems
    if problems:
        raise FileProblems(list(dict.fromkeys(problems)))
    return tuple(cases)


def _plan(arguments: argparse.Namespace, cases: tuple[Case, ...], database: Database) -> Plan:
    """The plan, on which the database agrees: a campaign goes on with the seeds that it was begun with."""
    noted = database.noted("first seed")
    first = arguments.first_seed if arguments.first_seed is not None else int(noted or new_seed())
    plan = Plan(cases, first, arguments.seeds, arguments.limit)
    agree(database, plan)
    database.note("wanted", str(plan.wanted))
    return plan


def _told(arguments: argparse.Namespace, database: Database) -> Summary:
    summary = summary_of(database)
    write_whole(arguments.out / PAGE, page_of(summary, f"kvsim campaign {arguments.out.resolve().name}"))
    if arguments.json:
        print(json.dumps(summary.to_json(), ensure_ascii=False))
    else:
        show(text_of(summary))
    return summary


def _say_how(ran: Ran, out: Path) -> None:
    before = f", {ran.before} were there before" if ran.before else ""
    print(f"made {ran.made} runs{before}; in {out / DATABASE} and {out / PAGE}", file=sys.stderr)
    for lost in ran.lost[:5]:
        print(f"lost: {lost.trial.scenario} --seed {lost.trial.seed}: {lost.why}", file=sys.stderr)
    if ran.interrupted or ran.lost:
        print("the same command again makes what is missing", file=sys.stderr)
