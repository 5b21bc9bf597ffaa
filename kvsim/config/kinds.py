"""Which kind of file is this: a scenario, a cluster or a program? Told by the key that names it."""

from __future__ import annotations

from pathlib import Path

from kvsim.config.yaml_tree import read_file
from kvsim.errors import FileProblems, Problem

MARKS = {"scenario": "steps", "cluster": "nodes", "program": "start"}  # kind → a key that only it has


def kind_of(path: Path) -> str:
    """`scenario`, `cluster` or `program`. Raises FileProblems when the file cannot be read or is none of them."""
    problems: list[Problem] = []
    tree = read_file(path, problems)
    if tree is not None:
        keys = {key.text for key, _ in tree.entries}
        for kind, mark in MARKS.items():
            if mark in keys or (kind in keys and kind != "cluster"):
                return kind
        problems.append(
            tree.mark.problem("neither a scenario (steps), a cluster (nodes) nor a program (start)")
        )
    raise FileProblems(problems)
