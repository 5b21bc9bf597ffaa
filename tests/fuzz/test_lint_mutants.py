"""Mutants of the shipped files: `lint` names what is wrong, and what it accepts can be run.

A mutant that lint accepts may pass, fail or be invalid; it never ends in an error of kvsim (70) or
in a mistake of the user that lint did not name (4).

The default is a share of them; KVSIM_FUZZ_MUTANTS=5000 KVSIM_FUZZ_RUNS=200 make more.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kvsim.cli.lint import LINTERS
from kvsim.cli.loading import file_kind
from kvsim.errors import FileProblems, Problem
from tests.fuzz.mutations import TEXTS, changed_tree, dump, fuzz_seed, parse, texts_in

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    path
    for pattern in ("scenarios/**/*.yaml", "clusters/*.yaml", "nodes/*/*.yaml", "cluster.yaml")
    for path in ROOT.glob(pattern)
    if path.stat().st_size < 6_000
)
# Short scenarios: what is in a run of theirs is in every run.
RUNNABLE = ("roles", "requests", "survives", "refusals", "redirect", "values", "third")
MUTANTS = int(os.environ.get("KVSIM_FUZZ_MUTANTS", "1500"))
RUNS = int(os.environ.get("KVSIM_FUZZ_RUNS", "40"))
JOBS = 6
RUN_LIMIT_S = 900


def absolute(tree: Any, folder: Path) -> Any:
    """The tree with the paths of its file made absolute, so that its mutant can be elsewhere."""
    for name in ("cluster", "program", "like"):
        value = tree.get(name)
        if isinstance(value, str) and (folder / value).exists():
            tree[name] = str((folder / value).resolve())
    return tree


def mutants(seed: int, paths: list[Path], count: int) -> Iterator[tuple[Path, Any]]:
    """(the file, the tree of its mutant), each with one or two changes."""
    rng = random.Random(seed)
    trees = [(path, absolute(parse(path.read_text()), path.parent)) for path in paths]
    words = [text for _, tree in trees for text in texts_in(tree) if len(text) < 40]
    for _ in range(count):
        path, tree = rng.choice(trees)
        texts = TEXTS if rng.random() < 0.5 else words
        for _ in range(rng.choice([1, 1, 2])):
            if tree:
                tree = changed_tree(tree, rng, texts)
        yield path, tree


def lint_one(path: Path) -> bool:
    """Whether lint accepts the file. Any other exception than its own fails the test."""
    problems: list[Problem] = []
    try:
        LINTERS[file_kind(path)](path, problems)
    except FileProblems as error:
        problems += error.problems
    for problem in problems:
        assert problem.message and "\n" not in str(problem)
    return not problems


def lint_many(seed: int, paths: list[Path], count: int, folder: Path) -> list[Path]:
    """Write and lint mutants; those that are accepted."""
    folder.mkdir(exist_ok=True)
    accepted = []
    for number, (path, tree) in enumerate(mutants(seed, paths, count)):
        file = folder / f"{number:05}-{path.stem}.yaml"
        file.write_text(dump(tree))
        try:
            fine = lint_one(file)
        except Exception as error:
            error.add_note(f"seed {seed}, mutant {number} of {path}:\n{file.read_text()}")
            raise
        if fine and tree != absolute(parse(path.read_text()), path.parent):
            accepted.append(file)
        else:
            file.unlink()
    return accepted


def test_lint_names_the_mistakes_of_any_mutant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seed = fuzz_seed()
    print(f"KVSIM_FUZZ_SEED={seed}")
    lint_many(seed, SHIPPED, 40, tmp_path / "mutants")


@pytest.mark.slow
def test_a_mutant_that_lint_accepts_can_be_run(tmp_path: Path) -> None:
    seed = fuzz_seed()
    print(f"KVSIM_FUZZ_SEED={seed}")
    small = [path for path in SHIPPED if path.stem in RUNNABLE and path.parent.name == "scenarios"]
    assert small
    parts = 4
    with ProcessPoolExecutor(2) as pool:
        work = [
            pool.submit(
                lint_many,
                seed + part,
                small if part % 2 else SHIPPED,
                MUTANTS // parts,
                tmp_path / str(part),
            )
            for part in range(parts)
        ]
        accepted = [file for done in work for file in done.result()]
    scenarios = [file for file in accepted if file.name.partition("-")[2][:-5] in RUNNABLE]
    drawn = random.Random(seed).sample(scenarios, min(RUNS, len(scenarios)))
    assert len(drawn) >= min(RUNS, 100), (
        f"seed {seed}: lint accepts {len(scenarios)} scenarios only"
    )
    done = subprocess.run(
        [sys.executable, "-m", "kvsim", "run", *map(str, drawn), "-j", str(JOBS), "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_S,
        check=False,
    )
    assert done.returncode in {0, 1, 2, 3}, f"seed {seed}: {done.returncode}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr, f"seed {seed}: {done.stderr[-3000:]}"
    verdicts = [json.loads(line)["verdict"] for line in done.stdout.splitlines() if line[:1] == "{"]
    skipped = done.stderr.count("skipped ")
    assert len(verdicts) + skipped == len(drawn), f"seed {seed}: {done.stderr[-3000:]}"
