"""Scenarios with faults and loads, run as a user runs them: kvsim in its own process and folder."""

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
TIMEOUT_S = 180


@dataclass(frozen=True)
class ScenarioRun:
    """One run: exit status, proof.json, the journal's events, what was printed."""

    status: int
    proof: dict[str, Any]
    events: list[dict[str, Any]]
    text: str
    run: Path

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def check(self, name: str) -> dict[str, Any]:
        return next(check for check in self.proof["checks"] if check["name"] == name)


@pytest.fixture
def start_scenario(tmp_path: Path, root: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a scenario of these steps; `more` are lines of the cluster file."""

    def start(steps: str, *arguments: str, more: str = "") -> subprocess.Popen[str]:
        (tmp_path / "cluster.yaml").write_text(CLUSTER.format(root=root, more=more))
        write(steps)
        return run(tmp_path / "mine.yaml", *arguments)

    def write(steps: str) -> None:
        body = "\n".join("  " + line for line in steps.strip("\n").splitlines())
        head = "scenario: mine\ntitle: of a test\ncluster: cluster.yaml\nrequest_timeout: 300ms\n"
        (tmp_path / "mine.yaml").write_text(f"{head}steps:\n{body}\n")

    def run(file: Path, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kvsim", "run", str(file), "--seed", "7", "--full", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    start.file = run
    return start


@pytest.fixture
def run_scenario(start_scenario, tmp_path: Path) -> Callable[..., ScenarioRun]:
    """Run a scenario of these steps to its end."""

    def run(steps: str, *arguments: str, more: str = "") -> ScenarioRun:
        return wait_for(start_scenario(steps, *arguments, more=more))

    def wait_for(process: subprocess.Popen[str]) -> ScenarioRun:
        with process:
            out, err = process.communicate(timeout=TIMEOUT_S)
        return read_run(process.returncode, tmp_path, out + err)

    run.file = lambda file: wait_for(start_scenario.file(file))
    return run


def read_run(status: int, folder: Path, text: str) -> ScenarioRun:
    """What the latest run of a folder recorded."""
    run = (folder / "runs/latest").resolve()
    assert (run / "proof.json").exists(), text
    events = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return ScenarioRun(status, json.loads((run / "proof.json").read_text()), events, text, run)
