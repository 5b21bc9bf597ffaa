"""Run one scenario many times: how often it holds, with what confidence, and where it first goes wrong.

Each run is a process of its own on ports of its own. Run directories of runs that pass are removed, unless --keep-all. When some runs
fail and some pass, the same list of runs is made against the reference store under the same load, to tell a store from a slow machine.
A scenario with a matrix is repeated cell by cell. Ctrl-C ends it and prints what there is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kvsim.cli.arguments import add_json, add_stage, options_of
from kvsim.cli.files import load_cases, load_stage
from kvsim.cli.many import add_jobs, at_least, progress, words_for_run
from kvsim.cli.terminal import show, table
from kvsim.config.program_file import find_program
from kvsim.config.scenario import Scenario
from kvsim.config.variables import new_seed
from kvsim.errors import FileProblems
from kvsim.repeat.blame import Blame, blame
from kvsim.repeat.repeat import SUMMARY, Repeat, new_folder, repeat
from kvsim.repeat.summary import Summary, text_of
from kvsim.rundir import write_whole
from kvsim.trials.rates import Rate
from kvsim.trials.trial import worst_exit

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
    at_least(arguments, runs=1, jobs=1, limit=1)
    cases = load_cases([arguments.scenario], arguments)
    first, cluster = cases[0]
    whole = arguments.out or new_folder(cluster.root / "runs", f"repeat-{first.name}")
    seed = arguments.seed if arguments.seed is not None else new_seed()
    told: list[Told] = []
    for scenario, _ in cases:
        folder = whole / scenario.folder if len(cases) > 1 else whole
        told.append(_repeated(arguments, _plan(arguments, scenario, folder, seed), scenario))
        if told[-1].summary.made < told[-1].summary.wanted and not arguments.until_fail:
            break  # ended by the user
    if len(cases) > 1:
        _tell_cells(arguments, told, len(cases))
    return int(worst_exit(one.summary.exit for one in told))


@dataclass(frozen=True)
class Told:
    """One scenario, or one cell of it: its runs, and how it compares."""

    summary: Summary
    said: Mapping[str, Any]


def _repeated(arguments: argparse.Namespace, plan: Repeat, scenario: Scenario) -> Told:
    print(f"{plan.name}: first seed {plan.first_seed}, in {plan.folder}", file=sys.stderr)
    with progress(plan.wanted) as tell:
        summary = repeat(plan, tell)
    compared, why_not = _compared(arguments, plan, scenario, summary)
    said = {
        **summary.to_json(),
        "first_seed": plan.first_seed,
        "folder": str(plan.folder),
        "blame": compared.to_json() if compared else None,
    }
    write_whole(plan.folder / SUMMARY, json.dumps(said, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(said, ensure_ascii=False))
    else:
        show(_text(summary, compared, why_not))
    return Told(summary, said)


def _tell_cells(arguments: argparse.Namespace, told: Sequence[Told], wanted: int) -> None:
    """A row a cell, for people; scripts have had a line a cell."""
    if arguments.json:
        return
    rows = [
        (
            one.summary.exit.name.lower(),
            one.summary.scenario,
            str(Rate(one.summary.made - one.summary.bad, one.summary.made)),
        )
        for one in told
    ]
    missing = f"\n{wanted - len(told)} cells were not made" if len(told) < wanted else ""
    show("\n" + table(("verdict", "cell", "passed"), rows) + missing)


def _plan(arguments: argparse.Namespace, scenario: Scenario, folder: Path, seed: int) -> Repeat:
    return Repeat(
        scenario=arguments.scenario,
        name=scenario.label,
        first_seed=seed,
        arguments=(*scenario.words, *words_for_run(arguments)),
        wanted=arguments.runs or (0 if arguments.until_fail else RUNS),
        jobs=arguments.jobs,
        limit_s=arguments.limit,
        folder=folder,
        until_fail=arguments.until_fail,
        same_seed=arguments.same_seed,
        keep=arguments.keep_all,
    )


def _compared(
    arguments: argparse.Namespace, plan: Repeat, scenario: Scenario, mine: Summary
) -> tuple[Blame | None, str]:
    """The comparison where it is called for; otherwise why it was not made, or nothing to say."""
    if arguments.no_reference or not mine.mixed or mine.made < mine.wanted:
        return None, ""
    own = load_stage(scenario, arguments.cluster, arguments.program, options_of(arguments))
    if find_program(arguments.reference, own.root) is None:
        return (
            None,
            f"not looked at: there is no program {arguments.reference} here (--reference names another)",
        )
    if {node.program.name for node in own.nodes} == {Path(arguments.reference).stem}:
        return None, "not looked at: this is the reference store itself"
    try:
        load_stage(scenario, arguments.cluster, arguments.reference)
    except FileProblems as error:
        return (
            None,
            f"not looked at: {arguments.reference} cannot be played this: {error.problems[0].message}",
        )
    other = argparse.Namespace(**{**vars(arguments), "program": arguments.reference, "option": []})
    words = (*scenario.words, *words_for_run(other))
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
