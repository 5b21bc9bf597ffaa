"""Give a program its physical: does it start, stop, keep to its port and folder, and survive what clients and machines do?

Each line is one examination, with what was seen; what is not well says what that means and what to do about it. Nothing a
program does can hang it. Exit status 1 when something is ill.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kvsim.cli.arguments import add_json, options_of
from kvsim.cli.files import load_program
from kvsim.config.program import Program
from kvsim.config.program_file import find_program
from kvsim.doctor.finding import Finding, Health
from kvsim.doctor.patient import Patient
from kvsim.doctor.table import about, examine
from kvsim.errors import Exit, FileProblems, Problem, UsageError
from kvsim.limits import CALIBRATED, settled
from kvsim.process.pace import measured

MARKS = {Health.WELL: "ok", Health.ODD: "odd", Health.ILL: "ILL", Health.NOT_LOOKED: "-"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="PROGRAM", help="a node.yaml, its folder, or a program in nodes/")
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option that node.yaml names",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    program = settled(CALIBRATED, measured).stretched(_program(arguments.program))
    patient = Patient(program, options_of(arguments))
    found = []
    if not arguments.json:
        print(f"{program.name}: its physical")
    for name, finding in examine(patient):
        found.append((name, finding))
        if not arguments.json:
            print("\n".join(_lines(name, finding)), flush=True)
    if arguments.json:
        print(
            json.dumps(
                [{"examination": name, "question": about(name), **vars(finding)} for name, finding in found]
            )
        )
    else:
        print(_summary([finding for _, finding in found]))
    return int(Exit.FAIL if any(finding.health is Health.ILL for _, finding in found) else Exit.PASS)


def _program(reference: str) -> Program:
    path = find_program(reference, Path.cwd())
    if path is None:
        raise UsageError(f"no program `{reference}`: expected a node.yaml, its folder, or a name in nodes/")
    problems: list[Problem] = []
    program = load_program(path, problems)
    if program is None:
        raise FileProblems(problems)
    return program


def _lines(name: str, finding: Finding) -> list[str]:
    lines = [f"  {MARKS[finding.health]:<4} {name:<22} {finding.seen}"]
    if finding.meaning:
        lines += [f"       {'':<22} means: {finding.meaning}", f"       {'':<22} cure:  {finding.cure}"]
    return lines


def _summary(found: list[Finding]) -> str:
    count = {health: sum(one.health is health for one in found) for health in Health}
    return ", ".join(
        f"{number} {health}" for health, number in count.items() if number or health is Health.ILL
    )
