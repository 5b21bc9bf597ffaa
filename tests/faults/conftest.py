"""Scenarios with faults and loads played as a user plays them: kvsim in a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CLUSTER = """cluster: three
program: {root}/nodes/kvstore/node.yaml
{more}nodes:
  n1: {{role: leader,   port: 9001}}
  n2: {{role: follower, port: 9002}}
  n3: {{role: follower, port: 9003}}
"""
TIMEOUT_S = 90


@dataclass(frozen=True)
class Played:
    """One run: exit status, proof.json, the journal's events, what was printed."""

    status: int
    proof: dict[str, Any]
    events: list[dict[str, Any]]
    text: str
    run: Path

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def check(self, name: str) -> dict[str, Any]:
        return next(one for one in self.proof["checks"] if one["name"] == name)


@pytest.fixture
def kvsim_in(tmp_path: Path, root: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a scenario of these steps; `more` are lines of the cluster file."""

    def start(steps: str, *words: str, more: str = "") -> subprocess.Popen[str]:
        (tmp_path / "cluster.yaml").write_text(CLUSTER.format(root=root, more=more))
        write(steps)
        return run(tmp_path / "mine.yaml", *words)

    def write(steps: str) -> None:
        body = "\n".join("  " + line for line in steps.strip("\n").splitlines())
        head = "scenario: mine\ntitle: of a test\ncluster: cluster.yaml\nrequest_timeout: 300ms\n"
        (tmp_path / "mine.yaml").write_text(f"{head}steps:\n{body}\n")

    def run(file: Path, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kvsim", "run", str(file), "--seed", "7", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    start.file = run
    return start


@pytest.fixture
def play(kvsim_in, tmp_path: Path) -> Callable[..., Played]:
    """Run a scenario of these steps to its end."""

    def run(steps: str, *words: str, more: str = "") -> Played:
        return to_its_end(kvsim_in(steps, *words, more=more))

    def to_its_end(process: subprocess.Popen[str]) -> Played:
        with process:
            out, err = process.communicate(timeout=TIMEOUT_S)
        return played(process.returncode, tmp_path, out + err)

    run.file = lambda file: to_its_end(kvsim_in.file(file))
    return run


def played(status: int, folder: Path, text: str) -> Played:
    """What a run left behind."""
    run = (folder / "runs/latest").resolve()
    assert (run / "proof.json").exists(), text
    events = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return Played(status, json.loads((run / "proof.json").read_text()), events, text, run)
