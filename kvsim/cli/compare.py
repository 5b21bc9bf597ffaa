"""Run one scenario against two programs, with the same keys and values, and show side by side what each did.

A and B are programs (a folder in nodes/, a path to a node.yaml) or cluster files. The first difference is marked. Exit status 0
when there is none and both pass, 1 when they differ.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kvsim.checks.verdict import EXITS, worst
from kvsim.cli.arguments import add_cell, add_json
from kvsim.cli.files import load_scenario, load_stage
from kvsim.config.cluster import Cluster
from kvsim.config.kinds import kind_of
from kvsim.config.lint import lint, missing_capabilities
from kvsim.config.scenario import Scenario
from kvsim.config.variables import new_seed
from kvsim.errors import Exit, FileProblems, UsageError
from kvsim.report.compare import rows, text, to_json
from kvsim.scenario.run import Options, run_scenario


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a program or a cluster file")
    parser.add_argument("b", metavar="B", help="another one")
    parser.add_argument("scenario", type=Path, metavar="SCENARIO", help="the scenario both are played")
    parser.add_argument("--seed", type=int, help="draw keys and values from this seed (default: a new one)")
    add_cell(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="put both run directories there")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    scenario = load_scenario(arguments.scenario, arguments.cell)
    clusters = [_cluster(word, scenario) for word in (arguments.a, arguments.b)]
    options = Options(seed=arguments.seed if arguments.seed is not None else new_seed(), out=arguments.out)
    done = [run_scenario(scenario, cluster, options, lambda *_: None) for cluster in clusters]
    found = rows(done[0].proof, done[1].proof)
    if arguments.json:
        runs = [str(one.run.path) for one in done]
        print(json.dumps({"seed": options.seed, "runs": runs, "rows": to_json(found)}, ensure_ascii=False))
    else:
        print(f"{scenario.label}, seed {options.seed}\n\n{text((arguments.a, arguments.b), found)}")
        for one in done:
            print(f"run directory: {one.run.path}")
    same = all(row.same for row in found)
    return int(EXITS[worst(one.proof.verdict for one in done)] if same else Exit.FAIL)


def _cluster(word: str, scenario: Scenario) -> Cluster:
    """The cluster one side is played on. Raises UsageError when it lacks what the scenario needs, FileProblems."""
    is_cluster = Path(word).is_file() and kind_of(Path(word)) == "cluster"
    cluster = load_stage(scenario, Path(word)) if is_cluster else load_stage(scenario, program=word)
    problems = lint(scenario, cluster)
    if problems:
        raise FileProblems(problems)
    unfit = missing_capabilities(scenario, cluster)
    if unfit:
        raise UsageError(f"{word} cannot be played {scenario.path}: {'; '.join(unfit)}, which it needs")
    return cluster
