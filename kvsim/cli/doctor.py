"""Diagnose a program: how does it start, stop, use its port and folder, and survive bad clients?

Each line is one diagnostic with its observation; a warning and an error come with their meaning
and a fix. No program can make the command hang. Exit status 1 when there is an error.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path

from kvsim.cli.arguments import Subcommand, add_json, add_option, options_of
from kvsim.cli.loading import file_kind, load_cluster, load_program
from kvsim.cli.waiting_line import waiting_for
from kvsim.config.program_loader import find_program
from kvsim.doctor.program_under_test import ProgramUnderTest
from kvsim.doctor.registry import Diagnosis, Diagnostic, Status, all_diagnostics, diagnose
from kvsim.errors import Exit, FileProblems, Problem, UsageError
from kvsim.process.calibration import measure_slowness
from kvsim.timeouts import CALIBRATED, timeouts_for

LABEL_WIDTH = max(map(len, Status))
NAME_WIDTH = 22
INDENT = " " * (LABEL_WIDTH + NAME_WIDTH + 4)
WIDTH = 100
REPORTED = ("status", "observation", "meaning", "fix")
COUNTED = {Status.WARNING, Status.ERROR}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "program",
        metavar="PROGRAM",
        help="a node.yaml, its folder, a program in nodes/, or a cluster file: then its nodes",
    )
    add_option(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    under_test = timeouts_for(CALIBRATED, measure_slowness).scaled(_under_test(arguments))
    rows = []
    printer = _Printer()
    if not arguments.json:
        print(f"{under_test.spec.name}: diagnostics")
    total = len(all_diagnostics())
    with waiting_for(f"diagnostic 1 of {total}") as wait:
        for diagnostic, diagnosis in diagnose(under_test):
            rows.append((diagnostic, diagnosis))
            if not arguments.json:
                printer.add(diagnostic.name, diagnosis)
            wait.text = f"diagnostic {len(rows) + 1} of {total}"
    printer.flush()
    print(_json(rows) if arguments.json else _summary([diagnosis for _, diagnosis in rows]))
    failed = any(diagnosis.status is Status.ERROR for _, diagnosis in rows)
    return int(Exit.FAIL if failed else Exit.PASS)


def _under_test(arguments: argparse.Namespace) -> ProgramUnderTest:
    path = find_program(arguments.program, Path.cwd())
    if path is None:
        raise UsageError(
            f"no program `{arguments.program}`: expected a node.yaml, its folder, a name in "
            "nodes/, or a cluster file"
        )
    options = options_of(arguments)
    if path.is_file() and file_kind(path) == "cluster":
        return ProgramUnderTest.of_cluster(load_cluster(path, options=options))
    problems: list[Problem] = []
    program = load_program(path, problems)
    if program is None:
        raise FileProblems(problems)
    return ProgramUnderTest(program, options)


class _Printer:
    """Prints each diagnosis as it comes; those skipped in a row for one reason together."""

    def __init__(self) -> None:
        self._skipped: list[str] = []
        self._reason = ""

    def add(self, name: str, diagnosis: Diagnosis) -> None:
        skipped = diagnosis.status is Status.SKIPPED
        if not skipped or diagnosis.observation != self._reason:
            self.flush()
        if skipped:
            self._skipped.append(name)
            self._reason = diagnosis.observation
        else:
            print("\n".join(_lines(name, diagnosis)), flush=True)

    def flush(self) -> None:
        """Print what was skipped and is not printed yet."""
        names, self._skipped = self._skipped, []
        if len(names) == 1:
            print("\n".join(_lines(names[0], Diagnosis(Status.SKIPPED, self._reason))), flush=True)
        elif names:
            title = f"{len(names)} diagnostics"
            lines = _lines(title, Diagnosis(Status.SKIPPED, self._reason))
            lines += textwrap.wrap(
                ", ".join(names), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT
            )
            print("\n".join(lines), flush=True)


def _lines(name: str, diagnosis: Diagnosis) -> list[str]:
    """The diagnosis, and below it its meaning and fix, where it has them."""
    lines = [f"  {diagnosis.status:<{LABEL_WIDTH}} {name:<{NAME_WIDTH}} {diagnosis.observation}"]
    if diagnosis.meaning:
        lines += [f"{INDENT}means: {diagnosis.meaning}", f"{INDENT}fix:   {diagnosis.fix}"]
    return lines


def _json(rows: list[tuple[Diagnostic, Diagnosis]]) -> str:
    return json.dumps(
        [
            {
                "diagnostic": diagnostic.name,
                "module": diagnostic.run.__module__.rpartition(".")[2],
                "question": diagnostic.question,
                **{name: getattr(diagnosis, name) for name in REPORTED},
            }
            for diagnostic, diagnosis in rows
        ]
    )


def _summary(diagnoses: list[Diagnosis]) -> str:
    """`18 ok, 1 warning, 1 error`; errors are counted even when there are none."""
    counts = {
        status: sum(diagnosis.status is status for diagnosis in diagnoses) for status in Status
    }
    return ", ".join(
        f"{count} {status}" + ("s" if count != 1 and status in COUNTED else "")
        for status, count in counts.items()
        if count or status is Status.ERROR
    )


COMMANDS = {"doctor": Subcommand(__doc__, configure, run)}
