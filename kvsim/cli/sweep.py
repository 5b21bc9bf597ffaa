"""Run a scenario with a disruption after each of its steps: a grid that shows where a store fails.

A variant is the scenario with, after one step, a node killed and started again, or restarted in
order. All expectations of the scenario must still be met. With --after-request the node is killed
during a write, a time after the write was sent: a row for each write, a column for each time; the
grid shows the reply that the client got, and whether the write was there after the restart. The
variants are written to --out, so that each can be run again. With --power one run is recorded, and
the leader is started on the states that a power cut may have left at each moment of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvsim.argument_types import COUNT, SEED
from kvsim.cli.arguments import (
    Subcommand,
    add_json,
    add_run_options,
    add_scenario,
    chosen_seed,
    output_folder,
)
from kvsim.cli.batch_options import add_jobs, add_limit, batch_progress, run_arguments
from kvsim.cli.loading import ScenarioCase, load_cases
from kvsim.cli.output import show
from kvsim.config.scenario import Scenario
from kvsim.config.scenario_writer import self_contained, text_of
from kvsim.config.schema import Duration, Validation
from kvsim.config.yaml_nodes import Fields, Scalar, SourceLocation
from kvsim.errors import Exit, UsageError
from kvsim.history.run_record import WRITE_VERBS, RunRecord
from kvsim.run_directory import RunDirectory, runs_folder
from kvsim.trials.failure_groups import describe_group, group_failures
from kvsim.trials.kill_sweep import KilledWrite, kill_grid, kill_variants, killed_write_of
from kvsim.trials.pool import run_all
from kvsim.trials.repeat import discard_passed, new_folder
from kvsim.trials.sweep import DISRUPTIONS, Variant, grid, to_json, variants_of
from kvsim.trials.trial import Trial, TrialResult, worst_exit

Pair = tuple[Trial, TrialResult]
# By the name of the variant.
KilledWrites = dict[str, list[KilledWrite]]

DELAYS = ("0ms", "1ms", "2ms", "5ms")
POWER_STATES = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    add_scenario(parser)
    parser.add_argument(
        "--how",
        action="append",
        choices=list(DISRUPTIONS),
        metavar="HOW",
        help=f"only this disruption; may be repeated: {', '.join(DISRUPTIONS)}",
    )
    parser.add_argument(
        "--after-request",
        nargs="?",
        const=list(DELAYS),
        type=_delays,
        metavar="TIMES",
        help="instead: kill a node these times after each write was sent, while it works on the "
        f"write (default times: {','.join(DELAYS)})",
    )
    parser.add_argument(
        "--at",
        default="leader",
        metavar="TARGET",
        help="with --after-request: the nodes to kill, a target as in scenarios (default: leader)",
    )
    parser.add_argument(
        "--power",
        nargs="?",
        const=POWER_STATES,
        type=COUNT,
        metavar="STATES",
        help="instead: record one run, and start the leader on about so many of the states that a "
        "power cut may leave before and after each sync and each change of names (default: "
        f"{POWER_STATES})",
    )
    parser.add_argument(
        "-n",
        "--runs",
        type=COUNT,
        default=1,
        metavar="N",
        help="number of runs of each variant (default: 1)",
    )
    parser.add_argument(
        "--seed", type=SEED, help="the seed of the first run of each (default: a new one, printed)"
    )
    add_run_options(parser)
    add_jobs(parser)
    add_limit(parser)
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="put everything in DIR (default: a new folder in runs/)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.after_request and arguments.how:
        raise UsageError("--after-request and --how are two sweeps: call it twice")
    if arguments.power and (arguments.how or arguments.after_request):
        raise UsageError("--power is a sweep of its own: call it without --how and --after-request")
    cases = load_cases([arguments.scenario], arguments)
    first, _, arguments = cases[0]
    _require_durable(cases)
    if arguments.power:
        # Late: it needs the runner, which other sweeps start as processes.
        from kvsim.cli.power_sweep import sweep_cases

        return sweep_cases(arguments, cases)
    out = arguments.out or new_folder(runs_folder(), f"sweep-{first.name}")
    seed = chosen_seed(arguments)
    print(f"seed {seed}, in {out}", file=sys.stderr)
    exits = [
        _sweep(arguments, scenario, out / scenario.folder if len(cases) > 1 else out, seed)
        for scenario, _, _ in cases
    ]
    return int(worst_exit(exits))


def _require_durable(cases: Sequence[ScenarioCase]) -> None:
    """Raises UsageError for a program whose data do not survive a restart."""
    for _, cluster, _ in cases:
        for node in cluster.nodes:
            if "restart" not in node.program.capabilities:
                raise UsageError(
                    f"program {node.program.name} has no capability `restart`: its data do not "
                    "survive, so a failure after a restart shows nothing"
                )


def _sweep(arguments: argparse.Namespace, scenario: Scenario, folder: Path, seed: int) -> Exit:
    """One scenario, or one cell of a matrix: run all variants and print the grid.

    The worst exit status.
    """
    tree = self_contained(scenario)
    trials = _trials(arguments, _variants(arguments, tree), folder, seed)
    pairs, writes = _run_all(arguments, trials, folder)
    result = {**to_json(pairs), "scenario": scenario.label, "seed": seed, "folder": str(folder)}
    if arguments.after_request:
        result["writes"] = {
            name: [write.to_json() for write in killed] for name, killed in writes.items()
        }
    if arguments.json:
        print(json.dumps(result))
    else:
        title = [f"{scenario.label}:"] if scenario.cell else []
        show("\n\n".join([*title, *_report(arguments, tree, pairs, writes)]))
    missing = [Exit.UNKNOWN] if len(pairs) < len(trials) else []
    return worst_exit([Exit(result["exit"]), *missing])


def _report(
    arguments: argparse.Namespace, tree: Fields, pairs: Sequence[Pair], writes: KilledWrites
) -> Iterator[str]:
    """The grid, and the failures by their kind."""
    if arguments.after_request:
        yield kill_grid(tree, arguments.after_request, writes)
    else:
        results: dict[str, list[TrialResult]] = {}
        for trial, result in pairs:
            results.setdefault(trial.labels["variant"], []).append(result)
        yield grid(tree, arguments.how or list(DISRUPTIONS), results)
    groups = [describe_group(group) for group in group_failures(pairs)]
    if groups:
        yield "WHERE RUNS FIRST WENT WRONG\n" + "\n".join(groups)


def _variants(arguments: argparse.Namespace, tree: Fields) -> list[Variant]:
    if not arguments.after_request:
        return variants_of(tree, arguments.how or list(DISRUPTIONS))
    variants = kill_variants(tree, arguments.after_request, arguments.at)
    if not variants:
        raise UsageError(
            f"{arguments.scenario}: no step of it is a write ({', '.join(sorted(WRITE_VERBS))})"
        )
    return variants


def _trials(
    arguments: argparse.Namespace, variants: Sequence[Variant], folder: Path, seed: int
) -> list[Trial]:
    """The runs of all variants, whose files are written. Raises FileProblems for a wrong --at."""
    files = folder / "variants"
    try:
        files.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"cannot make {files}: {error.strerror}") from error
    without_cell = argparse.Namespace(**{**vars(arguments), "cell": []})
    trials = []
    for variant in variants:
        file = files / f"{variant.name}.yaml"
        file.write_text(text_of(variant.scenario), encoding="utf-8")
        load_cases([file], without_cell)
        labels = {"variant": variant.name}
        trials += [
            Trial(str(file), seed + number, run_arguments(arguments), labels)
            for number in range(arguments.runs)
        ]
    return trials


def _run_all(
    arguments: argparse.Namespace, trials: list[Trial], folder: Path
) -> tuple[list[Pair], KilledWrites]:
    pairs: list[Pair] = []
    writes: KilledWrites = {}
    with batch_progress(len(trials)) as on_progress:

        def on_result(trial: Trial, result: TrialResult) -> bool:
            if arguments.after_request:
                record = RunRecord.load(RunDirectory(Path(result.run))) if result.run else None
                killed = killed_write_of(result, record)
                writes.setdefault(trial.labels["variant"], []).append(killed)
            kept = discard_passed(result)
            pairs.append((trial, kept))
            on_progress(len(pairs), kept)
            return False

        run_all(trials, arguments.jobs, on_result, out=folder, limit_s=arguments.limit)
    (folder / "latest").unlink(missing_ok=True)
    return pairs, writes


def _delays(text: str) -> list[str]:
    """`0ms,1ms` as a list; each is a time with its unit, once."""
    delays = list(dict.fromkeys(filter(None, (word.strip() for word in text.split(",")))))
    validation = Validation([])
    for delay in delays:
        Duration(zero=True).read(Scalar(SourceLocation("--after-request", 0, 0), delay), validation)
    if not delays:
        raise argparse.ArgumentTypeError("expected times, such as 0ms,1ms")
    if validation.problems:
        raise argparse.ArgumentTypeError(validation.problems[0].message)
    return delays


COMMANDS = {"sweep": Subcommand(__doc__, configure, run)}
