"""Break a scenario after each of its steps, in several ways, and run every variant: a grid that shows where a store cannot bear it.

A variant is the scenario with, behind one step, a node killed and started again (or restarted in order). Whatever the scenario holds must
hold all the same. The variants are written to --out, so that each can be run again by itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kvsim.cli.arguments import add_json, add_stage, options_of
from kvsim.cli.files import load_cluster, load_scenario
from kvsim.cli.many import add_jobs, at_least, progress, words_for_run
from kvsim.cli.terminal import show
from kvsim.config.cluster import Cluster
from kvsim.config.lint import lint
from kvsim.config.scenario_text import text_of, with_values
from kvsim.config.variables import new_seed
from kvsim.config.yaml_tree import Fields, read_file
from kvsim.errors import FileProblems, UsageError
from kvsim.repeat.repeat import kept_result, new_folder
from kvsim.repeat.sweep import BREAKS, cells_of, grid, to_json
from kvsim.trials.groups import described, grouped
from kvsim.trials.pool import run_all
from kvsim.trials.trial import Result, Trial


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
    scenario, cluster = _loaded(arguments)
    columns = arguments.how or list(BREAKS)
    folder = arguments.out or new_folder(cluster.root / "runs", f"sweep-{arguments.scenario.stem}")
    seed = arguments.seed if arguments.seed is not None else new_seed()
    print(f"seed {seed}, in {folder}", file=sys.stderr)
    trials = _trials(arguments, scenario, cluster, folder, seed, columns)
    pairs = _run_all(arguments, trials, folder)
    results: dict[str, list[Result]] = {}
    for trial, result in pairs:
        results.setdefault(trial.about["cell"], []).append(result)
    said = {**to_json(pairs), "seed": seed, "folder": str(folder)}
    if arguments.json:
        print(json.dumps(said))
    else:
        groups = [described(group) for group in grouped(pairs)]
        show(
            "\n\n".join(
                [
                    grid(scenario, columns, results),
                    *(["WHERE RUNS FIRST WENT WRONG\n" + "\n".join(groups)] if groups else []),
                ]
            )
        )
    return said["exit"] if len(pairs) == len(trials) else max(said["exit"], 2)


def _loaded(arguments: argparse.Namespace) -> tuple[Fields, Cluster]:
    scenario = load_scenario(arguments.scenario)
    cluster = load_cluster(arguments.cluster or scenario.cluster, arguments.program, options_of(arguments))
    problems = lint(scenario, cluster)
    if problems:
        raise FileProblems(problems)
    for node in cluster.nodes:
        if "restart" not in node.program.capabilities:
            raise UsageError(
                f"program {node.program.name} has no capability `restart`: what it holds does not survive, so nothing follows"
            )
    tree = read_file(arguments.scenario, [])
    return with_values(tree, cluster=str(cluster.path)), cluster


def _trials(
    arguments: argparse.Namespace,
    scenario: Fields,
    cluster: Cluster,
    folder: Path,
    seed: int,
    columns: list[str],
) -> list[Trial]:
    variants = folder / "variants"
    try:
        variants.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"cannot make {variants}: {error.strerror}") from error
    found = []
    for cell in cells_of(scenario, columns):
        file = variants / f"{cell.name}.yaml"
        file.write_text(text_of(cell.scenario), encoding="utf-8")
        about = {"cell": cell.name}
        found += [
            Trial(str(file), seed + number, words_for_run(arguments), about)
            for number in range(arguments.runs)
        ]
    return found


def _run_all(arguments: argparse.Namespace, trials: list[Trial], folder: Path) -> list[tuple[Trial, Result]]:
    pairs: list[tuple[Trial, Result]] = []
    with progress(len(trials)) as tell:

        def report(trial: Trial, result: Result) -> bool:
            kept = kept_result(result, keep=False)
            pairs.append((trial, kept))
            tell(len(pairs), kept)
            return False

        run_all(trials, arguments.jobs, report, out=folder, limit_s=arguments.limit)
    (folder / "latest").unlink(missing_ok=True)
    return pairs
