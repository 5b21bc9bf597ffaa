"""Grade many submissions against one plan: each in a room of its own, with limits, secret seeds and hidden scenarios.

SUBMISSIONS holds one folder a submission; plan.yaml says how they are built and started, what is tried and what it is worth. Written
to --out: grades.csv, grades.json, junit.xml and, for each submission, results.json (Gradescope) and its run directories, which
`kvsim verify` judges again without running anything. Exit status: 0 when every submission was graded, whatever its points.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from pathlib import Path

from kvsim.cli.arguments import add_json
from kvsim.cli.files import load_scenarios
from kvsim.cli.many import at_least, progress
from kvsim.cli.terminal import show, table
from kvsim.config.plan import Plan
from kvsim.config.plan_file import load_plan
from kvsim.errors import Exit, UsageError
from kvsim.grade.grading import Grading, grade_all
from kvsim.grade.groups import find_groups
from kvsim.grade.marks import Grade
from kvsim.grade.room import Isolation, best_isolation
from kvsim.grade.staging import submissions_in
from kvsim.grade.tables import csv_of, gradescope_of, junit_of, rows_of
from kvsim.rundir import write_whole


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "submissions", type=Path, metavar="SUBMISSIONS", help="a folder with one folder a submission"
    )
    parser.add_argument(
        "--plan", type=Path, required=True, metavar="FILE", help="the plan (kvsim schema plan)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="only this submission; may be repeated"
    )
    parser.add_argument(
        "-j", "--jobs", type=int, default=2, metavar="J", help="so many runs at a time (default: 2)"
    )
    parser.add_argument(
        "--secret",
        type=Path,
        metavar="FILE",
        help="draw seeds from this file's text (default: a new secret, kept in DIR/secret.txt)",
    )
    parser.add_argument(
        "--isolated", action="store_true", help="refuse to grade where a submission could forge its record"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="a new folder for everything (default: grades-TIME)"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    grading = _grading(arguments)
    print(f"isolation: {grading.isolation.value}\nlimits: {grading.limits}", file=sys.stderr)
    with progress(grading.wanted) as tell:
        grades, whole = grade_all(grading, tell)
    _write(grading, grades)
    if arguments.json:
        print((grading.out / "grades.json").read_text(encoding="utf-8"), end="")
    else:
        show(table(*rows_of(grades, grading.plan)))
    print(f"grades, proofs and results.json for each submission: {grading.out}", file=sys.stderr)
    return int(Exit.PASS if whole and all(one.complete for one in grades) else Exit.UNKNOWN)


def _grading(arguments: argparse.Namespace) -> Grading:
    at_least(arguments, jobs=1)
    plan = load_plan(arguments.plan, load_scenarios)
    isolation = best_isolation()
    if arguments.isolated and isolation is not Isolation.USERS:
        raise UsageError(
            f"--isolated: here a submission has {isolation.value}; grade as root, for example in a container"
        )
    return Grading(
        plan=plan,
        submissions=tuple(_chosen(arguments)),
        out=arguments.out or Path(f"grades-{time.strftime('%Y%m%d-%H%M%S')}"),
        isolation=isolation,
        jobs=arguments.jobs,
        secret=_secret(arguments.secret),
        hide=(arguments.submissions.resolve(),),
        groups="there are no rooms" if isolation is Isolation.NONE else find_groups(),
    )


def _chosen(arguments: argparse.Namespace) -> list[Path]:
    found = submissions_in(arguments.submissions)
    missing = set(arguments.only) - {path.name for path in found}
    if missing:
        raise UsageError(f"--only {min(missing)}: no such folder in {arguments.submissions}")
    return [path for path in found if not arguments.only or path.name in arguments.only]


def _secret(file: Path | None) -> str:
    if file is None:
        return secrets.token_hex(16)
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--secret {file}: {error}") from error


def _write(grading: Grading, grades: list[Grade]) -> None:
    plan: Plan = grading.plan
    whole = {
        "plan": plan.name,
        "of": plan.points,
        "isolation": grading.isolation.value,
        "limits": grading.limits,
        "grades": [one.to_json() for one in grades],
    }
    write_whole(grading.out / "grades.json", json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    write_whole(grading.out / "grades.csv", csv_of(grades, plan))
    write_whole(grading.out / "junit.xml", junit_of(grades))
    write_whole(grading.out / "secret.txt", grading.secret + "\n")
    for one in grades:
        write_whole(grading.out / one.submission / "results.json", gradescope_of(one, plan))
