"""Make a run that failed as small as it can be: the fewest steps that still fail the same way, written as a scenario of its own.

Every try is a run with the same seed. The file that is written names the seed and the command; put it among your scenarios, so that the
failure stays gone once it is mended.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from kvsim.cli.arguments import add_json
from kvsim.cli.many import LIMIT_S, at_least
from kvsim.cli.terminal import is_terminal, show
from kvsim.config.scenario_text import text_of, with_values
from kvsim.config.yaml_tree import Fields, read_file
from kvsim.errors import Exit, FileProblems, UsageError
from kvsim.repeat.shrink import Shrinking, Shrunk, first_failure, holds_with_reference, shrink
from kvsim.rundir import RunDir, find_run
from kvsim.trials.trial import Ending, Trial

TRIES = 3


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="the run directory of a run that did not pass")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the scenario to write (default: NAME-SEED.yaml, here)"
    )
    parser.add_argument(
        "--tries",
        type=int,
        default=TRIES,
        metavar="N",
        help=f"smaller is what fails within so many runs (default: {TRIES})",
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
    target = arguments.out or Path(f"{meta['scenario']}-{meta['seed']}.yaml")
    if target.exists():
        raise UsageError(f"{target} is there already; --out names another file")
    with tempfile.TemporaryDirectory(prefix="kvsim-shrink-") as folder:
        shrunk = _shrunk(arguments, found, meta, Path(folder))
    again = shlex.join(["kvsim", "run", str(target), *_arguments(meta), "--seed", str(meta["seed"])])
    _write(target, shrunk, Path(meta["cluster_file"]), again)
    said = {"file": str(target), "again": again, **_figures(shrunk)}
    show(json.dumps(said) if arguments.json else _text(said))
    return int(Exit.PASS)


def _shrunk(arguments: argparse.Namespace, found: RunDir, meta: dict, folder: Path) -> Shrunk:
    scenario = with_values(_tree(found), cluster=str(Path(meta["cluster_file"]).resolve()), checks="")
    trial = Trial("", meta["seed"], _arguments(meta))
    shrinking = Shrinking(scenario, trial, folder, arguments.tries, arguments.limit)
    failure, every_time = first_failure(shrinking)
    if failure is None:
        raise UsageError(
            f"{arguments.run}: made {arguments.tries} times again, it did not fail; kvsim repeat tells how often it does"
        )
    if failure.ending is Ending.ERROR:
        raise UsageError(f"{arguments.run}: cannot be made again: {failure.why.strip()}")
    if every_time:
        shrinking = replace(shrinking, tries=1)
    return shrink(_with_reference(arguments, shrinking), failure, _tell)


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


def _tree(found: RunDir) -> Fields:
    problems: list = []
    tree = read_file(found.scenario, problems)
    if tree is None:
        raise FileProblems(problems)
    return tree


def _arguments(meta: dict) -> tuple[str, ...]:
    """What else the run was given, from the command that repeats it, without the scenario and the seed."""
    words = shlex.split(meta["again"])
    words = words[words.index("run") + 2 :]
    if "--seed" in words:
        at = words.index("--seed")
        del words[at : at + 2]
    if "--attach" in words:
        raise UsageError(
            "this run was made on a cluster that was up; only runs with a private cluster can be made again and again"
        )
    return tuple(words)


def _tell(tries: int, left: int) -> None:
    if is_terminal(sys.stderr):
        print(f"\r{tries} runs, {left} steps left ", end="", file=sys.stderr, flush=True)


def _write(target: Path, shrunk: Shrunk, cluster: Path, again: str) -> None:
    relative = os.path.relpath(cluster, target.resolve().parent)
    text = text_of(with_values(shrunk.scenario, cluster=relative))
    head = (
        f"# Shrunk by kvsim from {shrunk.steps_before} steps and groups to {shrunk.steps_after}. It fails with\n"
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
        "failed": shrunk.failed,
        "of": shrunk.runs,
        "tries": shrunk.tries,
        "place": shrunk.failure.place,
        "what": shrunk.failure.what,
    }


def _text(said: dict[str, object]) -> str:
    return (
        f"{said['file']}: {said['steps_after']} steps and groups of {said['steps_before']}, after {said['tries']} runs\n"
        f"it failed {said['failed']} of the last {said['of']} times: {said['place']}: {said['what']}\nagain: {said['again']}"
    )
