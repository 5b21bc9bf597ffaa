"""Run scenarios, each against a private cluster of real processes, and print the proof.

The cluster starts on ports of its own, so a run works beside a cluster that is up and beside any number of other runs.
Everything recorded stands in runs/ beside the cluster file; runs/latest is the newest.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from kvsim.checks.verdict import EXITS, Verdict, worst
from kvsim.cli.arguments import add_json, add_stage, options_of
from kvsim.cli.files import load_cluster, load_scenario
from kvsim.cli.progress import progress
from kvsim.cli.terminal import show
from kvsim.config.cluster import Cluster
from kvsim.config.lint import lint, missing_capabilities
from kvsim.config.scenario import Scenario
from kvsim.errors import FileProblems, KvsimError, Problem
from kvsim.report.github import annotations
from kvsim.report.junit import junit
from kvsim.report.write import write_reports
from kvsim.scenario.job import Options
from kvsim.scenario.run import Done, run_scenario


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", nargs="+", type=Path, metavar="SCENARIO", help="scenario files")
    parser.add_argument(
        "--seed", type=int, help="draw keys, values and targets from this seed (default: a new one, printed)"
    )
    parser.add_argument(
        "--attach", action="store_true", help="use the cluster that is up instead of a private one"
    )
    add_stage(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="put run directories there (default: runs/ beside the cluster file)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the nodes' data directories in the run directory"
    )
    parser.add_argument(
        "--fail-fast", action="store_true", help="end a run at the first step that does not pass"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    parser.add_argument(
        "--github", action="store_true", help="print GitHub annotations on the scenario's lines"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    pairs = _load_all(arguments)
    options = Options(
        seed=arguments.seed,
        out=arguments.out,
        keep=arguments.keep,
        fail_fast=arguments.fail_fast,
        attach=arguments.attach,
        arguments=_repeat(arguments),
    )
    results = [_run_one(arguments, scenario, cluster, options) for scenario, cluster in pairs]
    done = [result for result in results if result is not None]
    if arguments.junit:
        arguments.junit.write_text(junit([(one.run, one.proof) for one in done]), encoding="utf-8")
    return int(EXITS[worst([one.proof.verdict for one in done])])


def _load_all(arguments: argparse.Namespace) -> list[tuple[Scenario, Cluster]]:
    """Every file read and held against its cluster before anything is started. Raises FileProblems with all mistakes of all."""
    problems: list[Problem] = []
    pairs = []
    for path in arguments.scenario:
        try:
            scenario = load_scenario(path)
            cluster = load_cluster(
                arguments.cluster or scenario.cluster, arguments.program, options_of(arguments)
            )
            problems += lint(scenario, cluster)
            pairs.append((scenario, cluster))
        except FileProblems as error:
            problems += error.problems
    if problems:
        raise FileProblems(list(dict.fromkeys(problems)))
    return pairs


def _run_one(
    arguments: argparse.Namespace, scenario: Scenario, cluster: Cluster, options: Options
) -> Done | None:
    unfit = missing_capabilities(scenario, cluster)
    if unfit:
        print(f"skipped {scenario.path}: {'; '.join(unfit)}, which it needs", file=sys.stderr)
        return None
    with progress(scenario) as view:
        done = run_scenario(scenario, cluster, replace(options, listen=view.listen), view.show)
    if arguments.json:
        print(json.dumps({**done.proof.to_json(), "run_directory": str(done.run.path)}, ensure_ascii=False))
    else:
        show(done.run.proof_text.read_text(encoding="utf-8"))
    if arguments.github:
        print("\n".join(annotations(done.proof, scenario.path)))
    film = _film(done)
    if done.proof.verdict is not Verdict.PASS or sys.stderr.isatty():
        print(f"run directory: {done.run.path}{film}", file=sys.stderr)
    return done


def _film(done: Done) -> str:
    """Draw the run's film. A film that cannot be written changes no verdict."""
    try:
        write_reports(done.run, done.proof)
    except KvsimError as error:
        return f"\nits film could not be written: {error}"
    return f"\nfilm: {done.run.film}"


def _repeat(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What else the command that repeats this run has to say."""
    words = [word for option in arguments.option for word in ("-o", option)]
    words += ["--program", arguments.program] if arguments.program else []
    words += ["--cluster", str(arguments.cluster)] if arguments.cluster else []
    return (*words, *(["--attach"] if arguments.attach else []))
