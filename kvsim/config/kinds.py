"""Which kind of file is this: scenario, cluster, program, grading plan, table of planted bugs? Told by keys that only it has."""

from __future__ import annotations

from pathlib import Path

from kvsim.config.yaml_tree import read_file
from kvsim.errors import FileProblems, Problem

MARKS = {  # kind → keys that tell it; what comes first wins, since a scenario may also say `nodes` or `program`
    "bugs": ("bugs", "correct"),
    "plan": ("plan",),
    "scenario": ("steps", "scenario"),
    "cluster": ("nodes", "cluster"),
    "program": ("start", "program"),
}
NAMES = {
    "bugs": "a table of planted bugs",
    "plan": "a grading plan",
    "scenario": "a scenario",
    "cluster": "a cluster",
    "program": "a program",
}


def kind_of(path: Path) -> str:
    """A word of MARKS. Raises FileProblems when the file cannot be read or is none of them."""
    problems: list[Problem] = []
    tree = read_file(path, problems)
    if tree is not None:
        keys = {key.text for key, _ in tree.entries}
        for kind, marks in MARKS.items():
            if keys & set(marks):
                return kind
        marks = ", ".join(f"`{marks[0]}` ({NAMES[kind]})" for kind, marks in MARKS.items())
        problems.append(tree.mark.problem(f"nothing that kvsim reads: it has none of {marks}"))
    raise FileProblems(problems)
