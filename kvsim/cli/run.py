"""Run scenarios, each against a private cluster of real processes, and print what was proven.

A matrix is run cell by cell. The cluster uses free ports, so a run works beside a cluster that is
up and beside other runs. Everything recorded is in runs/ of the working directory;
runs/latest is the newest.

SCENARIO is a file, or the name of a scenario that kvsim brings along: roles, storms/majority. One
that suits every store then runs on the cluster.yaml of this folder, if there is one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from kvsim.argument_types import JOBS, SEED
from kvsim.checks.verdict import Verdict
from kvsim.cli.arguments import (
    Subcommand,
    add_json,
    add_run_options,
    add_scenario,
    chosen_seed,
    output_file,
    output_folder,
    write_output,
)
from kvsim.cli.batch_options import run_arguments
from kvsim.cli.loading import ScenarioCase, load_cases
from kvsim.cli.output import show, text_width
from kvsim.cli.progress import run_progress
from kvsim.cli.run_many import (
    SKIPPED,
    CompletedRun,
    as_json,
    exit_status,
    run_in_parallel,
    summary,
    summary_of,
    write_timeline,
)
from kvsim.cli.streams import trusted
from kvsim.config.cluster import Cluster
from kvsim.config.lint import reasons_to_skip
from kvsim.config.scenario import Scenario
from kvsim.config.yaml_nodes import display_path
from kvsim.errors import UsageError
from kvsim.folders import find_paths
from kvsim.proof.summary import headline
from kvsim.report.write import write_reports_in_subprocess
from kvsim.run_directory import RunDirectory
from kvsim.runner.job import RunOptions
from kvsim.runner.run import run_scenario
from kvsim.trials.trial import Ending


def configure(parser: argparse.ArgumentParser) -> None:
    add_scenario(parser, nargs="*")
    parser.add_argument(
        "--seed",
        type=SEED,
        help="draw keys, values and targets from this seed (default: a new one, printed)",
    )
    parser.add_argument(
        "--attach", action="store_true", help="use the cluster that is up instead of a private one"
    )
    add_run_options(parser)
    parser.add_argument(
        "-j",
        "--jobs",
        type=JOBS,
        default=1,
        metavar="J",
        help="runs at a time, where there are several scenarios or cells (default: 1)",
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="put run directories in DIR (default: runs/)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the nodes' data directories in the run directory"
    )
    parser.add_argument(
        "--fail-fast", action="store_true", help="end a run at the first step that does not pass"
    )
    parser.add_argument(
        "--full", action="store_true", help="print the whole proof, which proof.txt always holds"
    )
    parser.add_argument("--junit", type=output_file, metavar="FILE", help="write JUnit XML")
    parser.add_argument(
        "--github", action="store_true", help="print GitHub annotations on the scenario's lines"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    if not arguments.scenario:
        raise UsageError(_how_to_begin())
    cases = load_cases(arguments.scenario, arguments, attached=arguments.attach)
    if arguments.attach:
        _require_attachable(arguments, cases)
    seed = chosen_seed(arguments)
    if arguments.jobs > 1 and len(cases) > 1:
        runs = run_in_parallel(cases, arguments, seed, lambda run: _print(arguments, run, True))
    else:
        runs = _run_in_turn(arguments, cases, seed)
    if len(cases) > 1 and not arguments.json:
        show(f"\n{summary(runs, len(cases))}")
    if arguments.junit:
        write_output(arguments.junit, _junit(runs))
    return exit_status(runs, len(cases))


def _junit(runs: Sequence[CompletedRun]) -> str:
    from kvsim.report.junit import junit

    return junit(
        [(run.directory, run.proof) for run in runs if run.directory and run.proof],
        files={run.scenario.label: display_path(run.scenario.path) for run in runs},
        skipped=[(run.scenario.label, run.why) for run in runs if run.ending is Ending.SKIPPED],
    )


def _how_to_begin() -> str:
    """What to type, for somebody who named no scenario."""
    found = sorted(find_paths(Path(), "*/*.yaml"), key=lambda path: (path.stem != "roles", path))
    scenarios = [str(path) for path in found if path.parent.name == "scenarios"]
    if scenarios:
        more = f"; there are also {', '.join(scenarios[1:4])}" if scenarios[1:] else ""
        return f"which scenario? try `kvsim run {scenarios[0]}`{more}"
    return (
        "which scenario? there is none in this folder. `kvsim init --demo` writes a first project "
        "here, with a store to try; `kvsim init --program './your-store --port={port}'` describes "
        "your own store and writes its first scenario"
    )


def _require_attachable(arguments: argparse.Namespace, cases: Sequence[ScenarioCase]) -> None:
    """Raises UsageError for what a cluster that is up already cannot do."""
    if arguments.jobs > 1:
        raise UsageError(
            "--attach: only one cluster is up, so its runs cannot be made in parallel (-j)"
        )
    for scenario, _, _ in cases:
        if scenario.overrides.locations:
            names = ", ".join(f"`{name}`" for name in scenario.overrides.locations)
            raise UsageError(
                f"--attach: {scenario.label} sets {names} itself, and the cluster that is up "
                "cannot be changed"
            )


def _run_in_turn(
    arguments: argparse.Namespace, cases: Sequence[ScenarioCase], seed: int
) -> list[CompletedRun]:
    """Run all, one after another, until one is interrupted."""
    options = RunOptions(
        seed=seed,
        out=arguments.out,
        keep=arguments.keep,
        fail_fast=arguments.fail_fast,
        attach=arguments.attach,
        time_limits=arguments.time_limits,
        on_crash=_report_crash,
    )
    runs: list[CompletedRun] = []
    for scenario, cluster, chosen in cases:
        repeat = replace(options, arguments=_repeat_arguments(chosen))
        runs.append(_run_case(scenario, cluster, repeat))
        _print(arguments, runs[-1], len(cases) > 1)
        if runs[-1].proof and runs[-1].proof.ended == "interrupted":
            break
    return runs


def _run_case(scenario: Scenario, cluster: Cluster, options: RunOptions) -> CompletedRun:
    missing = reasons_to_skip(scenario, cluster)
    if missing:
        why = f"{SKIPPED}{scenario.label}: {'; '.join(missing)}"
        return CompletedRun(scenario, Ending.SKIPPED, why=why)
    with run_progress(scenario) as callbacks:
        options = replace(options, on_event=callbacks.on_event)
        done = run_scenario(scenario, cluster, options, callbacks.show)
    write_timeline(done)
    text = summary_of(done.run, done.record, done.proof)
    return CompletedRun(scenario, Ending(done.proof.verdict), done.run, done.proof, summary=text)


def _print(arguments: argparse.Namespace, run: CompletedRun, several: bool) -> None:
    """One run's result, in the form that the arguments ask for, and where it is recorded.

    Of `several` runs, one that passed takes one line.
    """
    if run.directory is None or run.proof is None:
        print(run.why, file=sys.stderr)
        return
    if arguments.json:
        print(as_json(run.directory, run.proof), flush=True)
    elif arguments.full:
        show(run.directory.proof_text.read_text(encoding="utf-8"))
    elif several and run.proof.verdict is Verdict.PASS:
        show(headline(run.proof, text_width(sys.stdout)))
    else:
        show(run.summary)
    if arguments.github:
        from kvsim.report.github import github_annotations

        print(*github_annotations(run.proof, run.scenario.path), sep="\n", file=trusted(sys.stdout))
    whole = arguments.json or arguments.full
    if whole and (run.proof.verdict is not Verdict.PASS or sys.stderr.isatty()):
        page = run.directory.timeline
        timeline = f"\ntimeline: {page}" if page.is_file() else ""
        print(f"run directory: {run.directory.path}{timeline}", file=sys.stderr)


def _report_crash(run: RunDirectory) -> None:
    """Write and name the timeline of a run that an error in kvsim ended, before that error is
    printed."""
    problem = write_reports_in_subprocess(run)
    timeline = (
        f"the timeline could not be written: {problem}" if problem else f"timeline: {run.timeline}"
    )
    print(
        f"an error in kvsim ended the run; what it recorded: {run.path}\n{timeline}",
        file=sys.stderr,
    )


def _repeat_arguments(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The arguments, beside the seed, of the command that repeats this run."""
    return (*run_arguments(arguments), *(["--attach"] if arguments.attach else []))


COMMANDS = {"run": Subcommand(__doc__, configure, run)}
