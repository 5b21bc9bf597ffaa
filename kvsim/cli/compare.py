"""Run one scenario against two programs, with the same keys and values, and show both side by side.

A and B are programs (a folder in nodes/, a path to a node.yaml) or cluster files. The first
difference is marked. Exit status 0 when there is none and both pass, 1 when they differ.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kvsim.argument_types import SEED
from kvsim.checks.verdict import EXITS, worst
from kvsim.cli.arguments import (
    Subcommand,
    add_cell,
    add_json,
    add_scenario,
    chosen_seed,
    output_folder,
)
from kvsim.cli.loading import file_kind, load_cluster_of, load_scenario
from kvsim.cli.waiting_line import waiting_for
from kvsim.config.cluster import Cluster
from kvsim.config.lint import lint, reasons_to_skip
from kvsim.config.scenario import Scenario
from kvsim.errors import Exit, FileProblems, UsageError
from kvsim.report.compare import comparison_rows, render, to_json
from kvsim.runner.job import RunOptions
from kvsim.runner.run import FinishedRun, run_scenario
from kvsim.text import escape_surrogates


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a program or a cluster file")
    parser.add_argument("b", metavar="B", help="another one")
    add_scenario(parser)
    parser.add_argument(
        "--seed", type=SEED, help="draw keys and values from this seed (default: a new one)"
    )
    add_cell(parser)
    parser.add_argument(
        "--out", type=output_folder, metavar="DIR", help="put both run directories in DIR"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    scenario = load_scenario(arguments.scenario, arguments.cell)
    clusters = [_cluster(reference, scenario) for reference in (arguments.a, arguments.b)]
    seed = chosen_seed(arguments)
    options = RunOptions(seed=seed, out=arguments.out)
    done = [
        _run(scenario, cluster, options, reference)
        for cluster, reference in zip(clusters, (arguments.a, arguments.b), strict=True)
    ]
    rows = comparison_rows(done[0].proof, done[1].proof)
    paths = [str(side.run.path) for side in done]
    if arguments.json:
        result = {"seed": seed, "runs": paths, "rows": to_json(rows)}
        print(escape_surrogates(json.dumps(result, ensure_ascii=False)))
    else:
        print(f"{scenario.label}, seed {seed}\n\n{render((arguments.a, arguments.b), rows)}")
        print("\n".join(f"run directory: {path}" for path in paths))
    same = all(row.same for row in rows)
    return int(EXITS[worst(side.proof.verdict for side in done)] if same else Exit.FAIL)


def _run(scenario: Scenario, cluster: Cluster, options: RunOptions, reference: str) -> FinishedRun:
    with waiting_for(f"{scenario.label} with {reference}"):
        return run_scenario(scenario, cluster, options, lambda *_: None)


def _cluster(reference: str, scenario: Scenario) -> Cluster:
    """The cluster of one side. Raises UsageError when it lacks what the scenario needs,
    FileProblems for mistakes in files."""
    path = Path(reference)
    if path.is_file() and file_kind(path) == "cluster":
        cluster = load_cluster_of(scenario, path)
    else:
        cluster = load_cluster_of(scenario, program=reference)
    problems = lint(scenario, cluster)
    if problems:
        raise FileProblems(problems)
    missing = reasons_to_skip(scenario, cluster)
    if missing:
        raise UsageError(f"{reference} cannot run {scenario.path}: {'; '.join(missing)}")
    return cluster


COMMANDS = {"compare": Subcommand(__doc__, configure, run)}
