"""Grade many submissions against one plan: each in a sandbox, with limits, secret seeds and hidden
scenarios.

SUBMISSIONS holds a folder for each submission; plan.yaml states how they are built and started,
which scenarios run and how many points each is worth. Writes to --out: grades.csv, grades.json,
junit.xml and, for each submission, report.txt (for the student, in plain words), results.json
(Gradescope) and its run directories, which `kvsim verify` judges again without running anything.
Exit status: 0 when every submission was graded, with any number of points.

--check tries a plan before the first submission: its scenarios run with the reference store, which
must get all points, and with two broken ones, which must not. SUBMISSIONS may then hold your own
solutions, which are graded as submissions are and must get all points, too. Exit status: 0 when the
plan tells them apart, 1 when it does not.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shlex
import sys
import time
from pathlib import Path

from kvsim.argument_types import JOBS
from kvsim.cli.arguments import Subcommand, add_json, output_folder
from kvsim.cli.batch_options import batch_progress
from kvsim.cli.loading import load_scenarios
from kvsim.cli.output import show, table
from kvsim.config.plan import GradingPlan
from kvsim.config.plan_loader import load_plan
from kvsim.errors import Exit, UsageError
from kvsim.file_formats import format_fields
from kvsim.grading.cgroups import find_groups
from kvsim.grading.grading import Grading, grade_all
from kvsim.grading.plan_check import RUNS_FACTOR, check_plan, conclusions
from kvsim.grading.sandbox import Isolation, best_isolation
from kvsim.grading.scoring import Grade
from kvsim.grading.student_report import report_of
from kvsim.grading.tables import csv_of, gradescope_of, junit_of, rows_of
from kvsim.grading.workspace import submissions_in
from kvsim.invocation import invocation
from kvsim.run_directory import runs_folder, write_atomic
from kvsim.text import escape_surrogates
from kvsim.trials.repeat import new_folder

# The format of grades.json.
GRADES_FORMAT = 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "submissions",
        nargs="?",
        type=Path,
        metavar="SUBMISSIONS",
        help="a folder with one folder for each submission",
    )
    plan = parser.add_mutually_exclusive_group(required=True)
    plan.add_argument("--plan", type=Path, metavar="FILE", help="the plan (kvsim schema plan)")
    plan.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="try this plan with a correct store and two broken ones",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only this submission; may be repeated",
    )
    parser.add_argument(
        "-j", "--jobs", type=JOBS, default=2, metavar="J", help="runs at a time (default: 2)"
    )
    parser.add_argument(
        "--secret",
        type=Path,
        metavar="FILE",
        help="draw seeds from this file's text (default: a new secret, kept in DIR/secret.txt)",
    )
    parser.add_argument(
        "--isolated",
        action="store_true",
        help="refuse to grade where a submission could forge its record",
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="a new folder for everything (default: grades-TIME; with --check in runs/)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.check:
        return _check(arguments)
    if arguments.submissions is None:
        raise UsageError("name a folder with one folder for each submission: kvsim grade FOLDER …")
    plan = load_plan(arguments.plan, load_scenarios)
    grading = _grading(arguments, plan, arguments.out or _default_out())
    grades, complete = _grade(grading)
    if arguments.json:
        print((grading.out / "grades.json").read_text(encoding="utf-8"), end="")
    else:
        show(table(*rows_of(grades, grading.plan)))
    print(
        f"grades, and for each submission report.txt and its proofs: {grading.out}", file=sys.stderr
    )
    return int(Exit.PASS if complete and all(grade.complete for grade in grades) else Exit.UNKNOWN)


def _grade(grading: Grading) -> tuple[list[Grade], bool]:
    """Grade everything, and write all files; and whether every run was made."""
    print(f"isolation: {grading.isolation.value}\nlimits: {grading.limits}", file=sys.stderr)
    with batch_progress(grading.planned) as on_result:
        grades, complete = grade_all(grading, on_result)
    _write(grading, grades)
    return grades, complete


def _check(arguments: argparse.Namespace) -> int:
    """Try the plan with kvsim's own stores, and with the teacher's solutions if there are any."""
    plan = load_plan(arguments.check, load_scenarios)
    out = arguments.out or new_folder(runs_folder(), f"check-{plan.name}")
    # Before the first run, so that a mistake in the arguments costs no time.
    solutions = _grading(arguments, plan, out / "solutions") if arguments.submissions else None
    planned = RUNS_FACTOR * sum(item.runs_total for item in plan.items)
    with batch_progress(planned) as on_result:
        secret = _secret(arguments.secret)
        grades, complete = check_plan(plan, out, arguments.jobs, secret, on_result)
    problems = conclusions(grades, plan)
    if solutions:
        own, own_complete = _grade(solutions)
        complete = complete and own_complete
        problems += [
            f"your solution {grade.submission} gets {grade.total:g} of {plan.points}: {grade.why}"
            for grade in own
            if grade.total < plan.points
        ]
        grades += own
    _show_check(arguments, plan, grades, problems, tried=bool(solutions))
    print(f"the runs: {out}", file=sys.stderr)
    if problems:
        return int(Exit.FAIL)
    return int(Exit.PASS if complete else Exit.UNKNOWN)


def _show_check(
    arguments: argparse.Namespace,
    plan: GradingPlan,
    grades: list[Grade],
    problems: list[str],
    *,
    tried: bool,
) -> None:
    if arguments.json:
        rows = [grade.to_json() for grade in grades]
        print(escape_surrogates(json.dumps({"problems": problems, "grades": rows})))
        return
    show(table(*rows_of(grades, plan, "store")))
    print()
    for problem in problems:
        print(f"not good: {problem}")
    if not problems:
        print("good: the plan gives a correct store all points, and a broken one not")
    if not tried:
        words = [*invocation(), "grade", "solutions/", "--check", str(arguments.check)]
        print("not tried: `program` and `build` of the plan; put your own solution into a folder")
        print(f"of solutions/, and: {shlex.join(words)}")


def _default_out() -> Path:
    return Path(f"grades-{time.strftime('%Y%m%d-%H%M%S')}")


def _grading(arguments: argparse.Namespace, plan: GradingPlan, out: Path) -> Grading:
    isolation = best_isolation()
    if arguments.isolated and isolation is not Isolation.USERS:
        raise UsageError(
            f"--isolated: here a submission has {isolation.value}; grade as root, for example in a "
            "container"
        )
    return Grading(
        plan=plan,
        submissions=tuple(_chosen(arguments)),
        out=out,
        isolation=isolation,
        jobs=arguments.jobs,
        secret=_secret(arguments.secret),
        hide=(arguments.submissions.resolve(),),
        groups="there is no sandbox" if isolation is Isolation.NONE else find_groups(),
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
    plan: GradingPlan = grading.plan
    result = {
        **format_fields(GRADES_FORMAT),
        "plan": plan.name,
        "of": plan.points,
        "isolation": grading.isolation.value,
        "limits": grading.limits,
        "grades": [grade.to_json() for grade in grades],
    }
    text = escape_surrogates(json.dumps(result, indent=1, ensure_ascii=False))
    write_atomic(grading.out / "grades.json", text + "\n")
    write_atomic(grading.out / "grades.csv", csv_of(grades, plan))
    write_atomic(grading.out / "junit.xml", junit_of(grades))
    write_atomic(grading.out / "secret.txt", grading.secret + "\n")
    for grade in grades:
        folder = grading.out / grade.submission
        write_atomic(folder / "results.json", gradescope_of(grade, plan))
        write_atomic(folder / "report.txt", report_of(grade, plan.points))


COMMANDS = {"grade": Subcommand(__doc__, configure, run)}
