"""Make a run that failed as small as it can be: the fewest steps, clients, keys and nodes that still fail the same way.

It is written as a scenario of its own. Every try is a run with the same seed; a storm is written out as the faults that the seed drew. The
file that is written names the seed and the command; put it among your scenarios, so that the failure stays gone once it is mended.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from kvsim.cli.arguments import add_json
from kvsim.cli.many import LIMIT_S, at_least
from kvsim.cli.terminal import is_terminal, show
from kvsim.config.matrix import filled
from kvsim.config.program_file import find_program
from kvsim.config.scenario_text import text_of, with_values
from kvsim.config.yaml_tree import Fields, Scalar, read_file
from kvsim.errors import Exit, FileProblems, UsageError
from kvsim.launcher.net import scratch
from kvsim.repeat.amounts import told
from kvsim.repeat.shrink import Shrinking, Shrunk, first_failure, holds_with_reference, shrink
from kvsim.rundir import RunDir, find_run
from kvsim.trials.trial import Ending, Trial


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="the run directory of a run that did not pass")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the scenario to write (default: NAME-SEED.yaml, here)"
    )
    parser.add_argument(
        "--tries",
        type=int,
        metavar="N",
        help="smaller is what fails within so many runs (default: measured, so that a scenario which fails as often as the whole one "
        "is thrown away by mistake at most once in twenty times)",
    )
    parser.add_argument(
        "--reference",
        default="kvstore",
        metavar="PROGRAM",
        help="a store that is right: it has to pass what is left (default: kvstore)",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT_S,
        metavar="SECONDS",
        help=f"end a run that takes longer (default: {LIMIT_S:g})",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    at_least(arguments, tries=1, limit=1)
    found = find_run(arguments.run)
    meta = json.loads(found.meta.read_text(encoding="utf-8"))
    target = arguments.out or Path(f"{meta['scenario'].partition('[')[0]}-{meta['seed']}.yaml")
    if target.exists():
        raise UsageError(f"{target} is there already; --out names another file")
    with scratch("kvsim-shrink-") as folder:
        shrunk = _shrunk(arguments, found, meta, folder)
    again = shlex.join(["kvsim", "run", str(target), *_arguments(meta), "--seed", str(meta["seed"])])
    _write(target, shrunk, Path(meta["cluster_file"]), again)
    said = {"file": str(target), "again": again, **_figures(shrunk)}
    show(json.dumps(said) if arguments.json else _text(said))
    return int(Exit.PASS)


def _shrunk(arguments: argparse.Namespace, found: RunDir, meta: dict, folder: Path) -> Shrunk:
    """The first of the run's scenarios that fails again, made small: with its storms written out, if there were any, or as it was."""
    files = [file for file in (found.replay, found.scenario) if file.is_file()]
    for file in files:
        trial = Trial("", meta["seed"], _arguments(meta))
        scenario = _standing_alone(file, meta)
        shrinking = Shrinking(scenario, trial, folder, arguments.tries, arguments.limit, len(meta["nodes"]))
        failure, tries = first_failure(shrinking)
        if failure is not None and failure.ending is Ending.ERROR:
            raise UsageError(f"{arguments.run}: cannot be made again: {failure.why.strip()}")
        if failure is not None:
            return shrink(_with_reference(arguments, replace(shrinking, tries=tries)), failure, _tell)
    raise UsageError(f"{arguments.run}: made again, it did not fail; kvsim repeat tells how often it does")


def _with_reference(arguments: argparse.Namespace, shrinking: Shrinking) -> Shrinking:
    """With a store that is right beside it, where one is here and passes the whole scenario; otherwise said and done without."""
    own = _without(shrinking.trial.arguments, ("--program", "-o"))
    compared = replace(shrinking, reference=(*own, "--program", arguments.reference))
    if arguments.reference and holds_with_reference(compared):
        return compared
    print(
        f"kvsim: {arguments.reference or 'no reference'} does not pass this scenario, so another failure may be mistaken for this one",
        file=sys.stderr,
    )
    return shrinking


def _without(words: tuple[str, ...], options: tuple[str, ...]) -> tuple[str, ...]:
    """The words without those options and their values."""
    drop = {place for at, word in enumerate(words) if word in options for place in (at, at + 1)}
    return tuple(word for at, word in enumerate(words) if at not in drop)


def _standing_alone(file: Path, meta: dict) -> Fields:
    """The scenario of the run, the cell of its matrix filled in, that may stand in any folder and has no check to satisfy."""
    problems: list = []
    tree = read_file(file, problems)
    if tree is None:
        raise FileProblems(problems)
    program = tree.get("program")
    values = {"cluster": str(Path(meta["cluster_file"]).resolve()), "checks": ""}
    if isinstance(program, Scalar):
        values["program"] = str(
            find_program(program.text, Path(meta["scenario_file"]).resolve().parent) or program.text
        )
    return with_values(filled(tree, meta.get("cell", {})), **values)


def _arguments(meta: dict) -> tuple[str, ...]:
    """What else the run was given, from the command that repeats it, without the scenario and the seed."""
    words = shlex.split(meta["again"])
    words = words[words.index("run") + 2 :]  # behind the file
    if "--attach" in words:
        raise UsageError(
            "this run was made on a cluster that was up; only runs with a private cluster can be made again and again"
        )
    return _without(tuple(words), ("--seed", "--cell"))


def _tell(tries: int, left: int) -> None:
    if is_terminal(sys.stderr):
        print(f"\r{tries} runs, {left} steps left ", end="", file=sys.stderr, flush=True)


def _write(target: Path, shrunk: Shrunk, cluster: Path, again: str) -> None:
    relative = os.path.relpath(cluster, target.resolve().parent)
    text = text_of(with_values(shrunk.scenario, cluster=relative))
    less = told(shrunk.before, shrunk.after)
    smaller = f"; {less}" if less else ""
    head = (
        f"# Shrunk by kvsim from {shrunk.steps_before} steps and groups to {shrunk.steps_after}{smaller}. It fails with\n"
        f"#   {again}\n# {shrunk.failure.ending}: {shrunk.failure.place}: {shrunk.failure.what}\n"
    )
    try:
        target.write_text(head + text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from error


def _figures(shrunk: Shrunk) -> dict[str, object]:
    return {
        "steps_before": shrunk.steps_before,
        "steps_after": shrunk.steps_after,
        "smaller": told(shrunk.before, shrunk.after),
        "failed": shrunk.failed,
        "of": shrunk.runs,
        "tries": shrunk.tries,
        "place": shrunk.failure.place,
        "what": shrunk.failure.what,
    }


def _text(said: dict[str, object]) -> str:
    smaller = f"; {said['smaller']}" if said["smaller"] else ""
    return (
        f"{said['file']}: {said['steps_after']} steps and groups of {said['steps_before']}{smaller}; after {said['tries']} runs\n"
        f"it failed {said['failed']} of the last {said['of']} times: {said['place']}: {said['what']}\nagain: {said['again']}"
    )
