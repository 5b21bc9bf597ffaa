"""Find the fewest steps, clients, keys and nodes with which a failed run still fails the same way.

The result is written as a scenario. Every try is a run with the same seed; a storm is replaced by
the faults that the seed drew. The file names the seed and the command. Keep it among your
scenarios, so that the failure is noticed if it comes back after it is fixed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kvsim.argument_types import COUNT
from kvsim.cli.arguments import Subcommand, add_json, add_run, chosen_run, output_file
from kvsim.cli.batch_options import add_limit
from kvsim.cli.output import show
from kvsim.cli.waiting_line import waiting_for
from kvsim.config.matrix import fill
from kvsim.config.program_loader import find_program
from kvsim.config.scenario_writer import text_of, with_values
from kvsim.config.yaml_nodes import Fields, Scalar, read_file
from kvsim.errors import Exit, FileProblems, Problem, UsageError
from kvsim.history.run_record import read_meta
from kvsim.invocation import invocation
from kvsim.launcher.watchdog_guard import scratch
from kvsim.run_directory import RunDirectory, find_run
from kvsim.trials.scenario_edit import describe_reduction
from kvsim.trials.shrink import ShrinkResult, ShrinkTask, first_failure, reference_passes, shrink
from kvsim.trials.trial import Ending, Trial, TrialResult

# The content of a run's meta.json.
Meta = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "the run directory of a run that did not pass")
    parser.add_argument(
        "--out",
        type=output_file,
        metavar="FILE",
        help="the scenario to write (default: NAME-SEED.yaml, here)",
    )
    parser.add_argument(
        "--tries",
        type=COUNT,
        metavar="N",
        help="a smaller scenario counts when it fails within N runs (default: measured, so that a "
        "scenario which fails as often as the whole one is rejected at most once in twenty times)",
    )
    parser.add_argument(
        "--reference",
        default="kvstore",
        metavar="PROGRAM",
        help="a correct store: it has to pass the scenario that is left (default: kvstore)",
    )
    add_limit(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    arguments.run = chosen_run(arguments.run)
    run_directory = find_run(arguments.run)
    meta = read_meta(run_directory)
    target = arguments.out or Path(f"{meta['scenario'].partition('[')[0]}-{meta['seed']}.yaml")
    if target.exists():
        raise UsageError(f"{target} exists already; --out names another file")
    with scratch("kvsim-shrink-") as folder:
        shrunk = _shrink(arguments, run_directory, meta, folder)
    words = ("run", str(target), *_run_arguments(meta), "--seed", str(meta["seed"]))
    repeat_command = shlex.join((*invocation(), *words))
    _write(target, shrunk, Path(meta["cluster_file"]), repeat_command)
    result = {"file": str(target), "repeat_command": repeat_command, **_figures(shrunk)}
    show(json.dumps(result) if arguments.json else _text(result))
    return int(Exit.PASS)


def _shrink(
    arguments: argparse.Namespace, run_directory: RunDirectory, meta: Meta, folder: Path
) -> ShrinkResult:
    """Shrink the run's scenario with its storms written out or, where that does not fail, the
    scenario itself. Raises UsageError when neither fails again."""
    files = [file for file in (run_directory.replay, run_directory.scenario) if file.is_file()]
    for file in files:
        trial = Trial("", meta["seed"], _run_arguments(meta))
        scenario = _self_contained(file, meta)
        task = ShrinkTask(
            scenario, trial, folder, arguments.tries, arguments.limit, len(meta["nodes"])
        )
        failure, tries = first_failure(task)
        if failure is not None and failure.ending is Ending.ERROR:
            raise UsageError(f"{arguments.run}: cannot be run again: {failure.message.strip()}")
        if failure is not None:
            task = _with_reference(arguments, replace(task, tries=tries))
            return _shrink_task(task, failure)
    raise UsageError(
        f"{arguments.run}: run again, it did not fail; kvsim repeat measures how often it does"
    )


def _shrink_task(task: ShrinkTask, failure: TrialResult) -> ShrinkResult:
    with waiting_for("the first of many runs with fewer steps") as wait:

        def on_try(tries: int, left: int) -> None:
            wait.text = f"{tries} runs, {left} steps left"

        return shrink(task, failure, on_try)


def _with_reference(arguments: argparse.Namespace, task: ShrinkTask) -> ShrinkTask:
    """The task with a correct store to compare, where one exists here and passes the whole
    scenario; otherwise a warning, and the task as it is."""
    words = _without(task.trial.arguments, ("--program", "-o"))
    compared = replace(task, reference=(*words, "--program", arguments.reference))
    if arguments.reference and reference_passes(compared):
        return compared
    print(
        f"kvsim: {arguments.reference or 'no reference'} does not pass this scenario, so another "
        "failure may be mistaken for this one",
        file=sys.stderr,
    )
    return task


def _without(words: tuple[str, ...], options: tuple[str, ...]) -> tuple[str, ...]:
    """The words without these options and their values."""
    dropped = {
        index
        for position, word in enumerate(words)
        if word in options
        for index in (position, position + 1)
    }
    return tuple(word for index, word in enumerate(words) if index not in dropped)


def _self_contained(file: Path, meta: Meta) -> Fields:
    """The run's scenario with the cell of its matrix filled in, usable in any folder, and without
    required checks."""
    problems: list[Problem] = []
    tree = read_file(file, problems)
    if tree is None:
        raise FileProblems(problems)
    program = tree.get("program")
    values = {"cluster": str(Path(meta["cluster_file"]).resolve()), "checks": ""}
    if isinstance(program, Scalar):
        folder = Path(meta["scenario_file"]).resolve().parent
        values["program"] = str(find_program(program.text, folder) or program.text)
    return with_values(fill(tree, meta.get("cell", {})), **values)


def _run_arguments(meta: Meta) -> tuple[str, ...]:
    """The arguments of the command that repeats the run, without the scenario and the seed."""
    words = shlex.split(meta["repeat_command"])
    # The scenario's file follows `run`.
    words = words[words.index("run") + 2 :]
    if "--attach" in words:
        raise UsageError(
            "this run used a cluster that was up; only runs with a private cluster can be repeated"
        )
    return _without(tuple(words), ("--seed", "--cell"))


def _write(target: Path, shrunk: ShrinkResult, cluster: Path, repeat_command: str) -> None:
    relative = os.path.relpath(cluster, target.resolve().parent)
    text = text_of(with_values(shrunk.scenario, cluster=relative))
    reduction = describe_reduction(shrunk.before, shrunk.after)
    steps = f"{shrunk.steps_before} steps and groups to {shrunk.steps_after}"
    failure = shrunk.failure
    head = (
        f"# Shrunk by kvsim from {steps}{f'; {reduction}' if reduction else ''}. It fails with\n"
        f"#   {repeat_command}\n"
        f"# {failure.ending}: {failure.failed_at}: {failure.symptom}\n"
    )
    try:
        target.write_text(head + text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from error


def _figures(shrunk: ShrinkResult) -> dict[str, object]:
    return {
        "steps_before": shrunk.steps_before,
        "steps_after": shrunk.steps_after,
        "smaller": describe_reduction(shrunk.before, shrunk.after),
        "failed": shrunk.failed,
        "of": shrunk.runs,
        "tries": shrunk.tries,
        "failed_at": shrunk.failure.failed_at,
        "symptom": shrunk.failure.symptom,
    }


def _text(result: dict[str, object]) -> str:
    smaller = f"; {result['smaller']}" if result["smaller"] else ""
    steps = f"{result['steps_after']} steps and groups of {result['steps_before']}"
    return (
        f"{result['file']}: {steps}{smaller}; after {result['tries']} runs\n"
        f"it failed {result['failed']} of the last {result['of']} times: "
        f"{result['failed_at']}: {result['symptom']}\n"
        f"again: {result['repeat_command']}"
    )


COMMANDS = {"shrink": Subcommand(__doc__, configure, run)}
