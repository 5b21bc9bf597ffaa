"""Break a scenario after each of its steps, in several ways, and run every variant: a grid that shows where a store cannot bear it.

A variant is the scenario with, behind one step, a node killed and started again (or restarted in order). Whatever the scenario holds must
hold all the same. With --into the node is killed while it is at work on a write: a row a write, a column a time; what is shown is what the
client was told, and whether the write was there once the node was back. The variants are written to --out, to be run again by themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from kvsim.cli.arguments import add_json, add_stage
from kvsim.cli.files import load_cases
from kvsim.cli.many import add_jobs, at_least, progress, words_for_run
from kvsim.cli.ran import Case
from kvsim.cli.terminal import show
from kvsim.config.scenario import Scenario
from kvsim.config.scenario_text import standing_alone, text_of
from kvsim.config.shape import Duration, Reading
from kvsim.config.variables import new_seed
from kvsim.config.yaml_tree import Fields, Mark, Scalar
from kvsim.errors import Exit, UsageError
from kvsim.history.record import WRITES, Record
from kvsim.repeat.into import Hit, cells_into, grid_into, hit_of
from kvsim.repeat.repeat import kept_result, new_folder
from kvsim.repeat.sweep import BREAKS, Cell, cells_of, grid, to_json
from kvsim.rundir import RunDir
from kvsim.trials.groups import described, grouped
from kvsim.trials.pool import run_all
from kvsim.trials.trial import Result, Trial, worst_exit

DELAYS = ("0ms", "1ms", "2ms", "5ms")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", type=Path, metavar="SCENARIO", help="a scenario file")
    parser.add_argument(
        "--how",
        action="append",
        choices=list(BREAKS),
        metavar="HOW",
        help=f"only this way; may be repeated: {', '.join(BREAKS)}",
    )
    parser.add_argument(
        "--into",
        nargs="?",
        const=list(DELAYS),
        type=_delays,
        metavar="TIMES",
        help=f"instead: kill a node so long after each write has been sent, while it is at work on it (default times: {','.join(DELAYS)})",
    )
    parser.add_argument(
        "--at",
        default="leader",
        metavar="TARGET",
        help="with --into: whom the signal hits, a target as in scenarios (default: leader)",
    )
    parser.add_argument(
        "-n", "--runs", type=int, default=1, metavar="N", help="so many runs of each variant (default: 1)"
    )
    parser.add_argument(
        "--seed", type=int, help="the seed of the first run of each (default: a new one, printed)"
    )
    add_stage(parser)
    add_jobs(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="a folder for everything (default: a new one in runs/ beside the cluster file)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    at_least(arguments, runs=1, jobs=1, limit=1)
    if arguments.into and arguments.how:
        raise UsageError("--into and --how are two sweeps: call it twice")
    cases = load_cases([arguments.scenario], arguments)
    _refuse_the_forgetful(cases)
    first, cluster = cases[0]
    whole = arguments.out or new_folder(cluster.root / "runs", f"sweep-{first.name}")
    seed = arguments.seed if arguments.seed is not None else new_seed()
    print(f"seed {seed}, in {whole}", file=sys.stderr)
    swept = [
        _swept(arguments, scenario, whole / scenario.folder if len(cases) > 1 else whole, seed)
        for scenario, _ in cases
    ]
    return int(worst_exit(swept))


def _refuse_the_forgetful(cases: Sequence[Case]) -> None:
    for _, cluster in cases:
        for node in cluster.nodes:
            if "restart" not in node.program.capabilities:
                raise UsageError(
                    f"program {node.program.name} has no capability `restart`: what it holds does not survive, so nothing follows"
                )


def _swept(arguments: argparse.Namespace, scenario: Scenario, folder: Path, seed: int) -> Exit:
    """One scenario, or one cell of a matrix: all variants, and the grid. The worst exit status."""
    tree = standing_alone(scenario)
    cells = _cells(arguments, tree)
    trials = _trials(arguments, cells, folder, seed)
    pairs, hits = _run_all(arguments, trials, folder)
    results: dict[str, list[Result]] = {}
    for trial, result in pairs:
        results.setdefault(trial.about["cell"], []).append(result)
    said = {**to_json(pairs), "scenario": scenario.label, "seed": seed, "folder": str(folder)}
    if arguments.into:
        said["hits"] = {name: [hit.to_json() for hit in found] for name, found in hits.items()}
    if arguments.json:
        print(json.dumps(said))
    else:
        drawn = (
            grid_into(tree, arguments.into, hits)
            if arguments.into
            else grid(tree, arguments.how or list(BREAKS), results)
        )
        title = [f"{scenario.label}:"] if scenario.cell else []
        groups = [described(group) for group in grouped(pairs)]
        wrong = ["WHERE RUNS FIRST WENT WRONG\n" + "\n".join(groups)] if groups else []
        show("\n\n".join([*title, drawn, *wrong]))
    missing = [Exit.UNKNOWN] if len(pairs) < len(trials) else []
    return worst_exit([Exit(said["exit"]), *missing])


def _cells(arguments: argparse.Namespace, tree: Fields) -> list[Cell]:
    if not arguments.into:
        return cells_of(tree, arguments.how or list(BREAKS))
    cells = cells_into(tree, arguments.into, arguments.at)
    if not cells:
        raise UsageError(f"{arguments.scenario}: no step of it is a write ({', '.join(sorted(WRITES))})")
    return cells


def _trials(arguments: argparse.Namespace, cells: Sequence[Cell], folder: Path, seed: int) -> list[Trial]:
    variants = folder / "variants"
    try:
        variants.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"cannot make {variants}: {error.strerror}") from error
    found = []
    for cell in cells:
        file = variants / f"{cell.name}.yaml"
        file.write_text(text_of(cell.scenario), encoding="utf-8")
        load_cases(
            [file], argparse.Namespace(**{**vars(arguments), "cell": []})
        )  # a mistake in --at is one line
        about = {"cell": cell.name}
        found += [
            Trial(str(file), seed + number, words_for_run(arguments), about)
            for number in range(arguments.runs)
        ]
    return found


def _run_all(
    arguments: argparse.Namespace, trials: list[Trial], folder: Path
) -> tuple[list[tuple[Trial, Result]], dict[str, list[Hit]]]:
    pairs: list[tuple[Trial, Result]] = []
    hits: dict[str, list[Hit]] = {}
    with progress(len(trials)) as tell:

        def report(trial: Trial, result: Result) -> bool:
            if arguments.into:
                record = Record.load(RunDir(Path(result.run))) if result.run else None
                hits.setdefault(trial.about["cell"], []).append(hit_of(result, record))
            kept = kept_result(result, keep=False)
            pairs.append((trial, kept))
            tell(len(pairs), kept)
            return False

        run_all(trials, arguments.jobs, report, out=folder, limit_s=arguments.limit)
    (folder / "latest").unlink(missing_ok=True)
    return pairs, hits


def _delays(text: str) -> list[str]:
    """`0ms,1ms` as a list; each is a time with its unit, once."""
    delays = list(dict.fromkeys(filter(None, (word.strip() for word in text.split(",")))))
    reading = Reading([])
    for delay in delays:
        Duration().read(Scalar(Mark("--into", 0, 0), delay), reading)
    if reading.problems or not delays:
        found = reading.problems[0].message if reading.problems else "nothing was written"
        raise argparse.ArgumentTypeError(found)
    return delays
