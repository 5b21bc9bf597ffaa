"""Grades as a table, CSV, JUnit and Gradescope's results.json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from kvsim.config.plan import GradingPlan
from kvsim.grading.scoring import Grade, Score
from kvsim.grading.student_report import scenario_report
from kvsim.report.junit import without_control
from kvsim.text import escape


def rows_of(
    grades: Sequence[Grade], plan: GradingPlan, first: str = "submission"
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the teacher's table. `first`: the heading of the first column."""
    headings = [first, "points", *(item.name for item in plan.items), "why", "notes"]
    rows = [
        [
            grade.submission,
            f"{grade.total:g}/{plan.points}",
            *(f"{score.points:g}/{score.item.points}" for score in grade.scores),
            grade.why,
            _notes(grade),
        ]
        for grade in grades
    ]
    return headings, rows


def csv_of(grades: Sequence[Grade], plan: GradingPlan) -> str:
    """One line for each submission: total, each scenario's points, notes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [item.name for item in plan.items]
    heads = map(_without_formula, names)
    writer.writerow(["submission", "points", "of", *heads, "complete", "why", "notes"])
    for grade in grades:
        writer.writerow(
            [
                _without_formula(grade.submission),
                f"{grade.total:g}",
                plan.points,
                *(f"{score.points:g}" for score in grade.scores),
                "yes" if grade.complete else "no",
                _without_formula(grade.why),
                _without_formula(_notes(grade)),
            ]
        )
    return text.getvalue()


def junit_of(grades: Sequence[Grade]) -> str:
    """One suite for each submission, one case for each scenario; for the teacher."""
    root = Element("testsuites", name="kvsim grade")
    for grade in grades:
        name = without_control(grade.submission)
        suite = SubElement(root, "testsuite", name=name, tests=str(len(grade.scores)))
        for score in grade.scores:
            case = SubElement(suite, "testcase", classname=name, name=score.item.name)
            if grade.trouble:
                error = SubElement(case, "error", message="not tried")
                error.text = without_control(grade.trouble)
            elif score.passed < score.item.runs_total:
                message = f"{score.points:g} of {score.item.points}"
                failure = SubElement(case, "failure", message=message)
                failure.text = without_control(score.describe())
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def gradescope_of(grade: Grade, plan: GradingPlan) -> str:
    """Gradescope's results.json, which the student reads.

    Of hidden scenarios it has the points only; it has no seeds and no suspicions.
    """
    results = {
        "score": grade.total,
        "output": grade.trouble,
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [_gradescope_test(score, grade) for score in grade.scores],
    }
    return json.dumps(results, indent=1, ensure_ascii=False) + "\n"


def _gradescope_test(score: Score, grade: Grade) -> dict[str, object]:
    return {
        "name": score.item.title,
        "score": 0.0 if grade.zeroed else score.points,
        "max_score": score.item.points,
        "status": "passed" if score.passed == score.item.runs_total else "failed",
        "output": scenario_report(score),
        "visibility": "visible",
    }


def _notes(grade: Grade) -> str:
    incomplete = [] if grade.complete else ["not complete"]
    return "; ".join([*incomplete, *grade.suspicions])


# A spreadsheet takes a cell that begins with one of these for a formula, also in full width, as
# keyboards of East Asia write them; it skips white space before.
FORMULA_BEGINS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def _without_formula(text: str) -> str:
    """The text of a cell, which no spreadsheet computes or runs, and no terminal obeys."""
    text = escape(text)
    formula = text.lstrip().startswith(FORMULA_BEGINS) or text.startswith(("\t", "\r", "\n"))
    return f"'{text}" if formula else text
