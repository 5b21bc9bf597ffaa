"""`kvsim verify` names every file of a run that was edited since, also with redone digests; edits
of any kind are no crash of any command that reads runs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.cli.run_results import verify_all
from kvsim.errors import UsageError
from kvsim.run_directory import RunDirectory
from tests.integration.forgeries import Forgery, forgeries

SCENARIO = """scenario: short_storm
title: A short storm
cluster: {root}/cluster.yaml
vars: {{k: random_key, v: random_value}}
steps:
  - put: {{at: leader, key: "{{k}}", value: "{{v}}", expect: ok}}
  - load:
      {{start: w, clients: 1, keys: 1, rate: 50,
        minima: {{before: 0, during: 0, after: 0, reads: 0}}}}
  - storm:
      {{for: 100ms, duration: 50ms, interval: 50ms, targets: [one follower], faults: {{pause: 1}}}}
  - load: {{stop: w}}
  - group: "last: step"
    steps: [get: {{at: leader, key: "{{k}}", expect: {{value: "{{v}}"}}}}] # last: step
checks: [leader_accepts_writes]
"""


def kvsim(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "kvsim", *arguments]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A run with a storm and a load, so that it has every kind of file."""
    folder = tmp_path_factory.mktemp("verify")
    (folder / "storm.yaml").write_text(SCENARIO.format(root=root))
    finished = kvsim("run", "storm.yaml", "--out", "runs", folder=folder)
    # On a loaded machine it may be unknown what was measured.
    assert finished.returncode in (0, 2), finished.stdout + finished.stderr
    return (folder / "runs/latest").resolve()


def problems_of(run: Path) -> list[str]:
    """What verify finds; a run that cannot be read is found, too."""
    try:
        problems = verify_all(RunDirectory(run)).problems
    except UsageError as error:
        return [str(error)]
    return problems


def copy(recorded: Path, folder: Path) -> Path:
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    return shutil.copytree(recorded, run)


def test_an_unedited_run_is_valid(recorded):
    finished = kvsim("verify", str(recorded), folder=recorded.parent)
    assert finished.returncode in (0, 2), finished.stdout + finished.stderr
    assert "the proof is valid" in finished.stdout


def test_a_program_given_to_a_cluster_without_roles_is_no_edit(root: Path, tmp_path: Path):
    scenario = str(root / "scenarios/elections/first_election.yaml")
    program = ("--program", str(root / "nodes/kvstore/elect.yaml"))
    done = kvsim("run", scenario, *program, "--out", str(tmp_path / "runs"), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    finished = kvsim("verify", str(tmp_path / "runs/latest"), folder=tmp_path)
    assert "the proof is valid" in finished.stdout


# Of all forgeries, so many are tried in the fast stage.
ONE_OF = 8


def test_forgeries_are_named(recorded, tmp_path):
    expect_named(forgeries(recorded)[::ONE_OF], recorded, tmp_path)


@pytest.mark.slow
def test_every_forgery_is_named(recorded, tmp_path):
    expect_named(forgeries(recorded), recorded, tmp_path)


def expect_named(made: list[Forgery], recorded: Path, folder: Path) -> None:
    missed = [forgery.name for forgery in made if not is_named(forgery, recorded, folder)]
    assert not missed, f"{len(missed)} of {len(made)} forgeries were not named: {missed}"


def is_named(forgery: Forgery, recorded: Path, folder: Path) -> bool:
    run = copy(recorded, folder)
    forgery.forge(run)
    return any(forgery.named in problem for problem in problems_of(run))


def test_a_forgery_is_exit_3(recorded, tmp_path):
    run = copy(recorded, tmp_path)
    meta = json.loads((run / "meta.json").read_text())
    (run / "meta.json").write_text(json.dumps({**meta, "title": "better"}))
    finished = kvsim("verify", str(run), folder=tmp_path)
    assert finished.returncode == 3, finished.stdout + finished.stderr
    assert f"{run}/meta.json: was changed after the run" in finished.stdout


@pytest.mark.parametrize("command", ["verify", "check", "report", "logs --run"])
def test_another_format_is_one_line_with_its_version(recorded, tmp_path, command, capsys):
    from kvsim.cli import main

    run = copy(recorded, tmp_path)
    for path in (run / "meta.json", run / "proof.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "format": 77, "kvsim": "9.9"}))
    assert main([*command.split(), str(run)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "format 77" in line and "kvsim 9.9" in line
