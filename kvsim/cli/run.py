"""Run scenarios, each against a private cluster of real processes, and print the proof. A matrix is run cell by cell.

The cluster starts on ports of its own, so a run works beside a cluster that is up and beside any number of other runs.
Everything recorded stands in runs/ beside the cluster file; runs/latest is the newest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kvsim.checks.verdict import Verdict
from kvsim.cli.arguments import add_json, add_stage
from kvsim.cli.files import load_cases
from kvsim.cli.many import at_least, words_for_run
from kvsim.cli.progress import progress
from kvsim.cli.ran import Case, Ran, as_json, exit_status, side_by_side, summary
from kvsim.cli.terminal import show
from kvsim.config.cluster import Cluster
from kvsim.config.lint import missing_capabilities
from kvsim.config.scenario import Scenario
from kvsim.config.variables import new_seed
from kvsim.errors import KvsimError, UsageError
from kvsim.report.github import annotations
from kvsim.report.junit import junit
from kvsim.report.write import write_reports, write_reports_apart
from kvsim.rundir import RunDir
from kvsim.scenario.job import Options
from kvsim.scenario.run import Done, run_scenario
from kvsim.trials.trial import Ending


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
        "-j",
        "--jobs",
        type=int,
        default=1,
        metavar="J",
        help="so many runs at a time, where there are several scenarios or cells (default: 1)",
    )
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
    at_least(arguments, jobs=1)
    cases = load_cases(arguments.scenario, arguments)
    if arguments.attach:
        _refuse_what_is_up(arguments, cases)
    seed = arguments.seed if arguments.seed is not None else new_seed()
    if arguments.jobs > 1 and len(cases) > 1:
        ran = side_by_side(cases, arguments, seed, lambda one: _tell(arguments, one))
    else:
        ran = _one_by_one(arguments, cases, seed)
    if len(cases) > 1 and not arguments.json:
        show(f"\n{summary(ran, len(cases))}")
    if arguments.junit:
        done = [(one.run, one.proof) for one in ran if one.run and one.proof]
        arguments.junit.write_text(junit(done), encoding="utf-8")
    return exit_status(ran, len(cases))


def _refuse_what_is_up(arguments: argparse.Namespace, cases: Sequence[Case]) -> None:
    """What cannot be had of a cluster that somebody else has started."""
    if arguments.jobs > 1:
        raise UsageError(
            "--attach: there is one cluster that is up, so runs on it cannot be beside each other (-j)"
        )
    for scenario, _ in cases:
        if scenario.instead.places:
            said = ", ".join(f"`{name}`" for name in scenario.instead.places)
            raise UsageError(
                f"--attach: {scenario.label} says itself what is played ({said}), and the cluster that is up is as it was started"
            )


def _one_by_one(arguments: argparse.Namespace, cases: Sequence[Case], seed: int) -> list[Ran]:
    """Run all, one after another, until one is interrupted."""
    options = Options(
        seed=seed,
        out=arguments.out,
        keep=arguments.keep,
        fail_fast=arguments.fail_fast,
        attach=arguments.attach,
        arguments=_repeat(arguments),
        time_limits=arguments.time_limits,
        broken_off=_film_of_broken_off,
    )
    ran: list[Ran] = []
    for scenario, cluster in cases:
        ran.append(_run_one(scenario, cluster, options))
        _tell(arguments, ran[-1])
        if ran[-1].proof and ran[-1].proof.ended == "interrupted":
            break
    return ran


def _run_one(scenario: Scenario, cluster: Cluster, options: Options) -> Ran:
    unfit = missing_capabilities(scenario, cluster)
    if unfit:
        why = f"skipped {scenario.path}: {'; '.join(unfit)}, which it needs"
        return Ran(scenario, Ending.SKIPPED, why=why)
    with progress(scenario) as view:
        done = run_scenario(scenario, cluster, replace(options, listen=view.listen), view.show)
    _film(done)
    return Ran(scenario, Ending(done.proof.verdict), done.run, done.proof)


def _tell(arguments: argparse.Namespace, ran: Ran) -> None:
    """One run's proof, as it is wanted, and where it is recorded."""
    if ran.run is None or ran.proof is None:
        print(ran.why, file=sys.stderr)
        return
    if arguments.json:
        print(as_json(ran.run, ran.proof), flush=True)
    else:
        show(ran.run.proof_text.read_text(encoding="utf-8"))
    if arguments.github:
        print("\n".join(annotations(ran.proof, ran.scenario.path)))
    if ran.proof.verdict is not Verdict.PASS or sys.stderr.isatty():
        film = f"\nfilm: {ran.run.film}" if ran.run.film.is_file() else ""
        print(f"run directory: {ran.run.path}{film}", file=sys.stderr)


def _film(done: Done) -> None:
    """Draw the run's film. A film that cannot be written changes no verdict."""
    try:
        write_reports(done.run, done.proof)
    except KvsimError as error:
        print(f"its film could not be written: {error}", file=sys.stderr)


def _film_of_broken_off(run: RunDir) -> None:
    """The film of a run that kvsim itself broke off, before the error that ended it is said."""
    trouble = write_reports_apart(run)
    film = f"its film could not be written: {trouble}" if trouble else f"film: {run.film}"
    print(f"the run broke off; what it recorded: {run.path}\n{film}", file=sys.stderr)


def _repeat(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What else the command that repeats this run has to say."""
    return (*words_for_run(arguments), *(["--attach"] if arguments.attach else []))
