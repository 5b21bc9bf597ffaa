"""Run one scenario many times: how often it passes, with what confidence, and where it fails first.

Each run is a process that uses free ports. Run directories of runs that pass are removed, unless
--keep-all. When some runs fail and some pass, the same runs are made with the reference store under
the same load, to find out whether the store or this machine is the cause. A scenario with a matrix
is repeated cell by cell. Ctrl-C ends it and prints the results so far.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from kvsim.argument_types import COUNT, SEED
from kvsim.cli.arguments import (
    Subcommand,
    add_json,
    add_run_options,
    add_scenario,
    chosen_seed,
    options_of,
    output_folder,
)
from kvsim.cli.batch_options import add_jobs, add_limit, batch_progress, run_arguments
from kvsim.cli.loading import load_cases, load_cluster_of
from kvsim.cli.output import show, table
from kvsim.config.program_loader import find_program
from kvsim.config.scenario import Scenario
from kvsim.errors import Exit, FileProblems
from kvsim.file_formats import format_fields
from kvsim.run_directory import runs_folder, write_atomic
from kvsim.text import escape_surrogates
from kvsim.trials.attribution import Attribution, attribute
from kvsim.trials.confidence import Rate
from kvsim.trials.repeat import RESULTS_FORMAT, SUMMARY, RepeatPlan, new_folder, repeat
from kvsim.trials.repeat_summary import RepeatSummary, text_of
from kvsim.trials.trial import worst_exit

RUNS, REFERENCE = 20, "kvstore"
# Enough to distinguish 0 % from 2 %.
REFERENCE_RUNS_MAX = 200


def configure(parser: argparse.ArgumentParser) -> None:
    add_scenario(parser)
    parser.add_argument(
        "-n",
        "--runs",
        type=COUNT,
        metavar="N",
        help=f"number of runs (default: {RUNS}; with --until-fail unlimited)",
    )
    parser.add_argument(
        "--until-fail", action="store_true", help="end at the first run that does not pass"
    )
    add_jobs(parser)
    add_limit(parser)
    parser.add_argument(
        "--seed",
        type=SEED,
        help="the first run's seed; each next run adds one (default: a new one, printed)",
    )
    parser.add_argument(
        "--same-seed",
        action="store_true",
        help="use one seed for all runs, so that only timing differs",
    )
    add_run_options(parser)
    parser.add_argument(
        "--reference",
        default=REFERENCE,
        metavar="PROGRAM",
        help=f"the store to compare with (default: {REFERENCE})",
    )
    parser.add_argument(
        "--no-reference", action="store_true", help="make no runs of the reference store"
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="put everything in DIR (default: a new folder in runs/)",
    )
    parser.add_argument(
        "--keep-all", action="store_true", help="also keep the run directories of runs that passed"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    cases = load_cases([arguments.scenario], arguments)
    first, _, arguments = cases[0]
    out = arguments.out or new_folder(runs_folder(), f"repeat-{first.name}")
    seed = chosen_seed(arguments)
    summaries: list[RepeatSummary] = []
    for scenario, _, _ in cases:
        folder = out / scenario.folder if len(cases) > 1 else out
        plan = _plan(arguments, scenario, folder, seed)
        summaries.append(_repeat(arguments, plan, scenario))
        interrupted = summaries[-1].made < summaries[-1].planned and not arguments.until_fail
        if interrupted:
            break
    if len(cases) > 1 and not arguments.json:
        show(f"\n{_cells_table(summaries, len(cases))}")
    return int(worst_exit(summary.exit for summary in summaries))


def _repeat(arguments: argparse.Namespace, plan: RepeatPlan, scenario: Scenario) -> RepeatSummary:
    """Repeat one scenario or one cell of it, compare it with the reference, and print both."""
    print(f"{plan.name}: first seed {plan.first_seed}, in {plan.folder}", file=sys.stderr)
    with batch_progress(plan.planned) as on_result:
        summary = repeat(plan, on_result)
    attribution, sentence = _attribution(arguments, plan, scenario, summary)
    result = {
        **format_fields(RESULTS_FORMAT),
        **summary.to_json(),
        "first_seed": plan.first_seed,
        "folder": str(plan.folder),
        "attribution": attribution.to_json() if attribution else None,
    }
    write_atomic(plan.folder / SUMMARY, json.dumps(result, indent=1) + "\n")
    if arguments.json:
        print(escape_surrogates(json.dumps(result, ensure_ascii=False)))
    else:
        show(_text(summary, sentence))
    return summary


def _cells_table(summaries: Sequence[RepeatSummary], planned: int) -> str:
    """A row for each cell."""
    rows = [
        (
            summary.exit.name.lower(),
            summary.scenario,
            str(Rate(summary.made - summary.bad, summary.made)),
        )
        for summary in summaries
    ]
    left = planned - len(summaries)
    missing = f"\n{left} cells were not made" if left else ""
    return table(("verdict", "cell", "passed"), rows) + missing


def _plan(arguments: argparse.Namespace, scenario: Scenario, folder: Path, seed: int) -> RepeatPlan:
    return RepeatPlan(
        scenario=arguments.scenario,
        name=scenario.label,
        first_seed=seed,
        arguments=(*scenario.cell_arguments, *run_arguments(arguments)),
        planned=arguments.runs or (0 if arguments.until_fail else RUNS),
        jobs=arguments.jobs,
        limit_s=arguments.limit,
        folder=folder,
        until_fail=arguments.until_fail,
        same_seed=arguments.same_seed,
        keep_all=arguments.keep_all,
    )


def _attribution(
    arguments: argparse.Namespace, plan: RepeatPlan, scenario: Scenario, mine: RepeatSummary
) -> tuple[Attribution | None, str]:
    """The comparison with the reference store, and its sentence.

    Without a comparison: None, and the reason; the reason is empty where none is needed.
    """
    if arguments.no_reference or not mine.mixed or mine.made < mine.planned:
        return None, ""
    unfit = _unfit_reference(arguments, scenario)
    if unfit:
        return None, f"not compared: {unfit}"
    print(
        f"{plan.name}: some runs failed; now the same runs with {arguments.reference}",
        file=sys.stderr,
    )
    with_reference = {**vars(arguments), "program": arguments.reference, "option": []}
    reference = replace(
        plan,
        arguments=(
            *scenario.cell_arguments,
            *run_arguments(argparse.Namespace(**with_reference)),
        ),
        planned=min(mine.made, REFERENCE_RUNS_MAX),
        until_fail=False,
        folder=plan.folder / "reference",
    )
    with batch_progress(reference.planned) as on_result:
        attribution = attribute(mine, repeat(reference, on_result), arguments.reference)
    return attribution, attribution.sentence


def _unfit_reference(arguments: argparse.Namespace, scenario: Scenario) -> str:
    """Why the reference store cannot run the scenario; empty when it can."""
    name = arguments.reference
    own = load_cluster_of(scenario, arguments.cluster, arguments.program, options_of(arguments))
    if find_program(name, own.path.parent) is None:
        return f"there is no program {name} here (--reference names another)"
    if {node.program.name for node in own.nodes} == {Path(name).stem}:
        return "this is the reference store itself"
    try:
        load_cluster_of(scenario, arguments.cluster, name)
    except FileProblems as error:
        return f"{name} cannot run this scenario: {error.problems[0].message}"
    return ""


def _text(summary: RepeatSummary, sentence: str) -> str:
    no_verdict = summary.exit is Exit.INTERNAL
    verdict = "NONE (kvsim gave no verdict)" if no_verdict else summary.exit.name
    parts = [
        text_of(summary),
        f"YOUR STORE OR THIS MACHINE?\n  {sentence}" if sentence else "",
        f"VERDICT: {verdict}",
    ]
    return "\n\n".join(filter(None, parts))


COMMANDS = {"repeat": Subcommand(__doc__, configure, run)}
