"""Run one scenario many times: how often it holds, with what confidence, and where it first goes wrong.

Each run is a process of its own on ports of its own. Run directories of runs that pass are removed, unless --keep-all. When some runs
fail and some pass, the same list of runs is made against the reference store under the same load, to tell a store from a slow machine.
Ctrl-C ends it and prints what there is.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from kvsim.cli.arguments import add_json, add_stage, options_of
from kvsim.cli.files import load_cluster, load_scenario
from kvsim.cli.many import add_jobs, at_least, progress, words_for_run
from kvsim.cli.terminal import show
from kvsim.config.lint import lint
from kvsim.config.program_file import find_program
from kvsim.config.scenario import Scenario
from kvsim.config.variables import new_seed
from kvsim.errors import FileProblems
from kvsim.repeat.blame import Blame, blame
from kvsim.repeat.repeat import SUMMARY, Repeat, new_folder, repeat
from kvsim.repeat.summary import Summary, text_of
from kvsim.rundir import write_whole

RUNS, REFERENCE = 20, "kvstore"
REFERENCE_RUNS_MAX = 200  # enough to tell 0 % from 2 %


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", type=Path, metavar="SCENARIO", help="a scenario file")
    parser.add_argument(
        "-n",
        "--runs",
        type=int,
        metavar="N",
        help=f"so many runs (default: {RUNS}; with --until-fail no end)",
    )
    parser.add_argument("--until-fail", action="store_true", help="end at the first run that does not pass")
    add_jobs(parser)
    parser.add_argument(
        "--seed",
        type=int,
        help="the first run's seed; the others count up from it (default: a new one, printed)",
    )
    parser.add_argument(
        "--same-seed", action="store_true", help="the same seed for every run, so that only timing differs"
    )
    add_stage(parser)
    parser.add_argument(
        "--reference",
        default=REFERENCE,
        metavar="PROGRAM",
        help=f"the store to compare with (default: {REFERENCE})",
    )
    parser.add_argument("--no-reference", action="store_true", help="make no runs of the reference store")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="put everything there (default: a new folder in runs/ beside the cluster file)",
    )
    parser.add_argument(
        "--keep-all", action="store_true", help="keep the run directories of runs that passed, too"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    plan = _plan(arguments)
    print(f"{plan.name}: first seed {plan.first_seed}, in {plan.folder}", file=sys.stderr)
    with progress(plan.wanted) as tell:
        summary = repeat(plan, tell)
    compared, why_not = _compared(arguments, plan, summary)
    whole = {
        **summary.to_json(),
        "first_seed": plan.first_seed,
        "folder": str(plan.folder),
        "blame": compared.to_json() if compared else None,
    }
    write_whole(plan.folder / SUMMARY, json.dumps(whole, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(whole, ensure_ascii=False))
    else:
        show(_text(summary, compared, why_not))
    return int(summary.exit)


def _plan(arguments: argparse.Namespace) -> Repeat:
    """Every file is read, and every mistake in it said once, before the first run."""
    at_least(arguments, runs=1, jobs=1, limit=1)
    scenario = load_scenario(arguments.scenario)
    folder = arguments.out or new_folder(
        _checked_root(arguments, scenario) / "runs", f"repeat-{scenario.name}"
    )
    return Repeat(
        scenario=arguments.scenario,
        name=scenario.name,
        first_seed=arguments.seed if arguments.seed is not None else new_seed(),
        arguments=words_for_run(arguments),
        wanted=arguments.runs or (0 if arguments.until_fail else RUNS),
        jobs=arguments.jobs,
        limit_s=arguments.limit,
        folder=folder,
        until_fail=arguments.until_fail,
        same_seed=arguments.same_seed,
        keep=arguments.keep_all,
    )


def _checked_root(arguments: argparse.Namespace, scenario: Scenario) -> Path:
    cluster = load_cluster(arguments.cluster or scenario.cluster, arguments.program, options_of(arguments))
    problems = lint(scenario, cluster)
    if problems:
        raise FileProblems(problems)
    return cluster.root


def _compared(arguments: argparse.Namespace, plan: Repeat, mine: Summary) -> tuple[Blame | None, str]:
    """The comparison where it is called for; otherwise why it was not made, or nothing to say."""
    if arguments.no_reference or not mine.mixed or mine.made < mine.wanted:
        return None, ""
    scenario = load_scenario(plan.scenario)
    own = load_cluster(arguments.cluster or scenario.cluster, arguments.program, options_of(arguments))
    if find_program(arguments.reference, own.root) is None:
        return (
            None,
            f"not looked at: there is no program {arguments.reference} here (--reference names another)",
        )
    if {node.program.name for node in own.nodes} == {Path(arguments.reference).stem}:
        return None, "not looked at: this is the reference store itself"
    words = (
        "--program",
        arguments.reference,
        *(("--cluster", str(arguments.cluster)) if arguments.cluster else ()),
    )
    print(f"{plan.name}: some runs failed; now the same runs with {arguments.reference}", file=sys.stderr)
    reference = replace(
        plan,
        arguments=words,
        wanted=min(mine.made, REFERENCE_RUNS_MAX),
        until_fail=False,
        folder=plan.folder / "reference",
    )
    with progress(reference.wanted) as tell:
        return blame(mine, repeat(reference, tell), arguments.reference), ""


def _text(summary: Summary, compared: Blame | None, why_not: str) -> str:
    sentence = compared.sentence if compared else why_not
    verdict = "NONE (kvsim gave no verdict)" if summary.exit.name == "INTERNAL" else summary.exit.name
    parts = [
        text_of(summary),
        f"YOUR STORE OR THIS MACHINE?\n  {sentence}" if sentence else "",
        f"VERDICT: {verdict}",
    ]
    return "\n\n".join(filter(None, parts))
