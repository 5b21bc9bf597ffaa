"""Run scenarios with many seeds on many workers; the results are one SQLite file and one page.

Dask distributed (pip install distributed) gives the runs to worker processes on this machine
or, with --scheduler, to a Dask cluster. With the same --out again, only missing runs are made.
Ctrl-C keeps all results that have arrived.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kvsim.argument_types import COUNT, SEED, WholeNumber
from kvsim.campaign.archive import unpack
from kvsim.campaign.campaign import (
    DATABASE,
    PAGE,
    CampaignOutcome,
    campaign,
    check_plan,
    open_database,
)
from kvsim.campaign.database import Database
from kvsim.campaign.page import page_of
from kvsim.campaign.plan import CampaignPlan, Case, case_of
from kvsim.campaign.summary import CampaignSummary, summary_of, text_of
from kvsim.cli.arguments import Subcommand, add_json, add_run_options, add_scenario, output_folder
from kvsim.cli.batch_options import add_jobs, add_limit, batch_progress, run_arguments
from kvsim.cli.loading import load_cases
from kvsim.cli.output import show
from kvsim.config.variables import new_seed
from kvsim.errors import Exit, FileProblems, Problem, UsageError
from kvsim.run_directory import RUNS, write_atomic
from kvsim.text import escape_surrogates

SEEDS = 100
LOST_SHOWN = 5


def configure(parser: argparse.ArgumentParser) -> None:
    add_scenario(parser, nargs="*")
    parser.add_argument(
        "--seeds",
        type=COUNT,
        default=SEEDS,
        metavar="N",
        help=f"number of seeds for each scenario (default: {SEEDS})",
    )
    parser.add_argument(
        "--first-seed",
        type=SEED,
        metavar="SEED",
        help="the first seed (default: a new one, kept in DIR)",
    )
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="PROGRAM",
        help="run everything also with this program; may be repeated",
    )
    add_run_options(parser)
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask scheduler, such as tcp://host:8786 (default: workers on this machine)",
    )
    add_jobs(parser)
    add_limit(parser)
    parser.add_argument(
        "--out",
        type=output_folder,
        default=Path(RUNS) / "campaign",
        metavar="DIR",
        help="the campaign's folder (default: runs/campaign/)",
    )
    parser.add_argument(
        "--unpack",
        type=WholeNumber(1, 10**9, "a number of a run"),
        metavar="NUMBER",
        help="unpack the run directory of one run that did not pass, into DIR/runs",
    )
    parser.add_argument(
        "--report", action="store_true", help="only print the results and write the page again"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.unpack is not None or arguments.report:
        return _read_results(arguments)
    cases = _cases(arguments)
    database = open_database(arguments.out)
    try:
        plan = _plan(arguments, cases, database)
        with batch_progress(plan.planned) as on_result:
            outcome = campaign(plan, database, arguments.scheduler, arguments.jobs, on_result)
        summary = _report(arguments, database)
    finally:
        database.close()
    _print_outcome(outcome, arguments.out)
    return int(summary.exit)


def _read_results(arguments: argparse.Namespace) -> int:
    """Report on a campaign, or unpack one of its runs; runs nothing."""
    path = arguments.out / DATABASE
    if not path.is_file():
        raise UsageError(f"{arguments.out}: not the folder of a campaign (it has no {DATABASE})")
    database = Database(path)
    try:
        if arguments.report:
            return int(_report(arguments, database).exit)
        packed = database.archive(arguments.unpack)
        if packed is None:
            raise UsageError(
                f"run {arguments.unpack} has no run directory: only those of runs that did not "
                "pass are kept"
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
                for scenario, cluster, its_own in load_cases([path], chosen):
                    cases.append(case_of(scenario, cluster, path, run_arguments(its_own)))
        except FileProblems as error:
            problems += error.problems
    if problems:
        raise FileProblems(list(dict.fromkeys(problems)))
    return tuple(cases)


def _plan(
    arguments: argparse.Namespace, cases: tuple[Case, ...], database: Database
) -> CampaignPlan:
    """The plan, checked against the database: a campaign continues with the seeds of its begin."""
    stored = database.setting("first seed")
    first = arguments.first_seed if arguments.first_seed is not None else int(stored or new_seed())
    plan = CampaignPlan(cases, first, arguments.seeds, arguments.limit)
    check_plan(database, plan)
    database.set_setting("planned", str(plan.planned))
    return plan


def _report(arguments: argparse.Namespace, database: Database) -> CampaignSummary:
    """Write the page and print the summary."""
    summary = summary_of(database)
    title = f"kvsim campaign {arguments.out.resolve().name}"
    write_atomic(arguments.out / PAGE, page_of(summary, title))
    if arguments.json:
        print(escape_surrogates(json.dumps(summary.to_json(), ensure_ascii=False)))
    else:
        show(text_of(summary))
    return summary


def _print_outcome(outcome: CampaignOutcome, out: Path) -> None:
    before = f", {outcome.before} were there before" if outcome.before else ""
    files = f"{out / DATABASE} and {out / PAGE}"
    print(f"made {outcome.made} runs{before}; in {files}", file=sys.stderr)
    for lost in outcome.lost[:LOST_SHOWN]:
        command = f"{lost.trial.scenario} --seed {lost.trial.seed}"
        print(f"lost: {command}: {lost.reason}", file=sys.stderr)
    if outcome.interrupted or outcome.lost:
        print("the same command again makes the missing runs", file=sys.stderr)


COMMANDS = {"campaign": Subcommand(__doc__, configure, run)}
