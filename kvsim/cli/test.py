"""Test a store as hard as can be in the time there is: one command for somebody with a program.

Its description is checked, then the doctor diagnoses it, and every shipped scenario and storm that
applies is run, with values drawn from the seed, side by side, the cheapest and most telling first.
What does not apply is skipped, with its reason. It ends with one table, by subject: what holds,
what is broken (with the command that shows it again), and what was not exercised and why.
The worst result wins; what was not reached in time is no failure; if nothing applied, the exit
status is 3.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvsim.argument_types import SEED
from kvsim.cli.arguments import (
    Subcommand,
    add_json,
    add_option,
    add_time_limits,
    chosen_seed,
    options_of,
    output_file,
    output_folder,
    write_output,
)
from kvsim.cli.batch_options import add_jobs
from kvsim.cli.loading import load_program
from kvsim.cli.output import is_terminal, show
from kvsim.cli.waiting_line import waiting_for
from kvsim.config.program import Program
from kvsim.config.program_loader import find_program
from kvsim.config.schema import Duration, Validation
from kvsim.config.yaml_nodes import Scalar, SourceLocation
from kvsim.errors import FileProblems, Problem, UsageError
from kvsim.report.junit import junit_of_cases
from kvsim.run_directory import runs_folder
from kvsim.shipped import SCENARIOS, shipped
from kvsim.suite.parts import Part, Suite
from kvsim.suite.suite_run import OnRun, SuitePlan, SuiteRun
from kvsim.suite.table import junit_cases, table_lines
from kvsim.text import plural
from kvsim.timeouts import CALIBRATED
from kvsim.trials.repeat import new_folder
from kvsim.trials.trial import Ending, TrialResult

DEFAULT_TIME = "10m"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "program", metavar="PROGRAM", help="a node.yaml, its folder, or a program in nodes/"
    )
    add_option(parser)
    parser.add_argument(
        "--for",
        dest="time",
        type=_seconds,
        default=_seconds(DEFAULT_TIME),
        metavar="TIME",
        help=f"start no run after this time, such as 90s or 10m (default: {DEFAULT_TIME})",
    )
    parser.add_argument(
        "--seed", type=SEED, help="draw everything from this seed (default: a new one, printed)"
    )
    add_jobs(parser)
    add_time_limits(parser)
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="put everything in DIR (default: a new folder in runs/)",
    )
    parser.add_argument(
        "--junit",
        type=output_file,
        metavar="FILE",
        help="write JUnit XML, a suite for each subject",
    )
    add_json(parser)


def _seconds(text: str) -> float:
    validation = Validation([])
    value = Duration().read(Scalar(SourceLocation("--for", 0, 0), text), validation)
    if validation.problems:
        raise argparse.ArgumentTypeError(validation.problems[0].message)
    return float(value)


def run(arguments: argparse.Namespace) -> int:
    reference, program = _program(arguments.program)
    out = arguments.out or new_folder(runs_folder(), f"test-{program.name}")
    seed = chosen_seed(arguments)
    suite = Suite(program, reference, out, options_of(arguments))
    parts = suite.parts(list(shipped(SCENARIOS).values()))
    print(f"testing {program.name}: seed {seed}, in {out}", file=sys.stderr)
    limits = arguments.time_limits
    plan = SuitePlan(
        parts,
        out,
        seed,
        arguments.jobs,
        arguments.time,
        doctor=["doctor", arguments.program, *_words_of(arguments.option)],
        arguments=("--time-limits", limits) if limits != CALIBRATED else (),
    )
    with _progress(sum(part.file is not None for part in parts)) as on_run:
        test = SuiteRun(plan, on_run)
        result = test.run()
    if arguments.json:
        print(json.dumps({**result.to_json(), "seed": seed, "folder": str(out)}))
    else:
        show("\n".join([*table_lines(program.name, result), "", *_summary(test)]))
    if arguments.junit:
        write_output(arguments.junit, junit_of_cases(junit_cases(result)))
    return int(result.exit)


def _words_of(options: Sequence[str]) -> list[str]:
    return [word for option in options for word in ("-o", option)]


def _summary(test: SuiteRun) -> Iterator[str]:
    late = len(test.result.not_reached)
    missed = f"; {plural(late, 'part')} not exercised, no time" if late else ""
    yield f"{plural(test.made, 'run')} in {test.took_s:.0f} s, seed {test.plan.seed}{missed}"
    yield f"VERDICT: {test.result.exit.name}"


def _program(reference: str) -> tuple[str, Program]:
    """The path and the description of a program. Raises UsageError, FileProblems."""
    path = find_program(reference, Path.cwd())
    if path is None:
        raise UsageError(
            f"no program `{reference}`: expected a node.yaml, its folder, or a name in nodes/"
        )
    problems: list[Problem] = []
    program = load_program(path, problems)
    if program is None:
        raise FileProblems(problems)
    return str(path.resolve()), program


@contextlib.contextmanager
def _progress(planned: int) -> Iterator[OnRun]:
    """A line for each run: at a terminal one that is drawn again, elsewhere one after another."""
    if not is_terminal(sys.stderr):

        def print_line(made: int, part: Part, result: TrialResult) -> None:
            text = f"{made}/{planned} {result.ending} {part.name} ({result.took_s:.1f} s)"
            print(text, file=sys.stderr, flush=True)

        yield print_line
        return
    with waiting_for("the first runs") as wait:
        bad: list[str] = []

        def update(made: int, part: Part, result: TrialResult) -> None:
            if result.ending is not Ending.PASS:
                bad.append(f"{part.name} {result.ending}")
            wait.text = f"{made} of {planned} runs, last {part.name}; {', '.join(bad[-4:])}"

        yield update


COMMANDS = {"test": Subcommand(__doc__, configure, run)}
