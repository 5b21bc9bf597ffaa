"""Grades as a table, CSV, JUnit and Gradescope's results.json. Reads values; writes text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from kvsim.config.plan import Plan
from kvsim.grade.marks import Grade, Mark


def rows_of(grades: Sequence[Grade], plan: Plan) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the teacher's table."""
    heads = ["submission", "points", *(item.name for item in plan.items), "notes"]
    return heads, [
        [one.submission, f"{one.total:g}/{plan.points}", *(_cell(mark) for mark in one.marks), _notes(one)]
        for one in grades
    ]


def csv_of(grades: Sequence[Grade], plan: Plan) -> str:
    """One line a submission: total, each scenario's points, notes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["submission", "points", "of", *(item.name for item in plan.items), "complete", "notes"])
    for one in grades:
        marks = [f"{mark.points:g}" for mark in one.marks]
        complete = "yes" if one.complete else "no"
        writer.writerow(
            [_plain(one.submission), f"{one.total:g}", plan.points, *marks, complete, _plain(_notes(one))]
        )
    return text.getvalue()


def junit_of(grades: Sequence[Grade]) -> str:
    """One suite a submission, one case a scenario; for the teacher, with all messages."""
    root = Element("testsuites", name="kvsim grade")
    for one in grades:
        suite = SubElement(root, "testsuite", name=_clean(one.submission), tests=str(len(one.marks)))
        for mark in one.marks:
            case = SubElement(suite, "testcase", classname=_clean(one.submission), name=mark.item.name)
            if one.trouble:
                SubElement(case, "error", message="not tried").text = _clean(one.trouble)
            elif mark.passed < mark.item.wanted:
                SubElement(case, "failure", message=f"{mark.points:g} of {mark.item.points}").text = _clean(
                    mark.said(to_teacher=True)
                )
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def gradescope_of(grade: Grade, plan: Plan) -> str:
    """Gradescope's results.json, which the student sees: nothing of hidden scenarios but their points, no seeds, no suspicions."""
    tests = [
        {
            "name": mark.item.title,
            "score": 0.0 if grade.zeroed else mark.points,
            "max_score": mark.item.points,
            "status": "passed" if mark.passed == mark.item.wanted else "failed",
            "output": mark.said(to_teacher=False),
            "visibility": "visible",
        }
        for mark in grade.marks
    ]
    whole = {
        "score": grade.total,
        "output": grade.trouble,
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _cell(mark: Mark) -> str:
    return f"{mark.points:g}/{mark.item.points}"


def _notes(grade: Grade) -> str:
    incomplete = "" if grade.complete else "not complete"
    return "; ".join(
        filter(None, (grade.trouble.splitlines()[0] if grade.trouble else "", incomplete, *grade.suspicions))
    )


def _plain(text: str) -> str:
    """A cell that a spreadsheet takes for text: a leading `=`, `+`, `-` or `@` would be a formula."""
    return f"'{text}" if text[:1] in tuple("=+-@\t") else text


def _clean(text: str) -> str:
    """XML 1.0 cannot hold most control characters, not even escaped."""
    return "".join(c if c in "\t\n\r" or (c >= " " and c.isprintable()) else "�" for c in text)
