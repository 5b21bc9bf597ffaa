"""`kvsim campaign` with real workers: a worker lost, kvsim killed, Ctrl-C, another scheduler."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kvsim.waiting import Deadline, wait_until

from .conftest import workers_of

pytest.importorskip("distributed")


@pytest.mark.slow
def test_two_workers_make_every_run_once_and_failures_can_be_unpacked(project):
    words = (
        "scenarios/roles.yaml",
        "scenarios/reads.yaml",
        "--seeds",
        2,
        "-j",
        2,
        "--program",
        project.broken,
    )
    done = project.run(*words, "-o", "bug=follower_refuses_reads", "--json")
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["made"], summary["complete"]) == (4, True)
    assert sum(summary["workers"].values()) == 4
    assert all(
        "reads" in group["symptom"] or "get" in group["failed_at"] for group in summary["groups"]
    )
    folder = project.run("--unpack", summary["groups"][0]["number"]).stdout.strip()
    verify = [sys.executable, "-m", "kvsim", "verify", folder]
    # The proof is valid, and its verdict is fail.
    assert subprocess.run(verify, cwd=project.folder, capture_output=True).returncode == 1
    again = project.run(*words, "-o", "bug=follower_refuses_reads")
    assert "made 0 runs, 4 were there before" in again.stderr


@pytest.mark.parametrize(
    "words", [(), ("nowhere.yaml",), ("scenarios/roles.yaml", "--seeds", "0"), ("--report",)]
)
def test_mistakes_are_reported_before_a_worker_is_started(project, words):
    done = project.run(*words)
    assert done.returncode == 4, done.stderr
    assert not (project.folder / "runs/campaign").exists()


@pytest.mark.slow
def test_a_changed_scenario_is_not_mixed_with_old_results(project):
    project.run("scenarios/roles.yaml", "--seeds", 1, "-j", 1)
    path = project.folder / "scenarios/roles.yaml"
    path.write_text(path.read_text() + "# changed\n")
    done = project.run("scenarios/roles.yaml", "--seeds", 1, "-j", 1)
    assert done.returncode == 4
    assert "use another --out" in done.stderr


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing(project):
    process = project.start("scenarios/roles.yaml", "--seeds", 14, "-j", 2)
    busy = wait_until(
        lambda: (
            len(project.rows()) >= 2
            and [each for each in workers_of(process.pid) if each.children()]
        ),
        Deadline.after(180),
        "two results and a worker that has a run",
    )
    below = busy[0].children(recursive=True)
    busy[0].kill()
    psutil.wait_procs(below, timeout=180)
    assert not [each for each in below if each.is_running()], "its run outlived it"
    _, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert sorted(project.rows("seed")) == sorted(set(project.rows("seed")))
    assert len(project.rows()) == 14


@pytest.mark.slow
def test_a_killed_campaign_continues(project):
    words = ("scenarios/roles.yaml", "--seeds", 10, "-j", 2)
    process = project.start(*words)
    wait_until(lambda: len(project.rows()) >= 2, Deadline.after(180), "two results")
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    psutil.wait_procs(below, timeout=180)
    assert not [each for each in below if each.is_running()]
    before = project.rows("key, at, worker, seed")
    done = project.run(*words)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} were there before" in done.stderr
    assert project.rows("key, at, worker, seed")[: len(before)] == before
    assert len(project.rows()) == 10
    assert not (project.folder / "runs/campaign/.workers").exists()


@pytest.mark.slow
def test_ctrl_c_as_a_terminal_sends_it_leaves_a_usable_result(project):
    process = subprocess.Popen(
        project.words("scenarios/roles.yaml", "--seeds", 300, "-j", 2, "--json"),
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: len(project.rows()) >= 2, Deadline.after(180), "two results")
    # The whole process group, workers included.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 2, err
    summary = json.loads(out)
    assert 2 <= summary["made"] < 300 and not summary["complete"]
    assert summary["endings"] == {"pass": summary["made"]}
    assert "Traceback" not in err
    assert "not complete" in (project.folder / "runs/campaign/campaign.html").read_text()


@pytest.mark.slow
def test_workers_of_another_scheduler_one_of_them_killed(project, tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path))
    log = tmp_path / "scheduler.log"
    with log.open("w") as file:
        scheduler = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "distributed.cli.dask_scheduler",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--no-dashboard",
            ],
            stdout=file,
            stderr=file,
        )
    started = [scheduler]
    try:
        address = wait_until(lambda: _address(log), Deadline.after(180), "the scheduler")
        started += [_worker(address, tmp_path / f"w{number}") for number in (1, 2)]
        process = project.start("scenarios/roles.yaml", "--seeds", 12, "--scheduler", address)
        wait_until(
            lambda: len({row[0] for row in project.rows("worker")}) == 2,
            Deadline.after(180),
            "both have made one",
        )
        started[1].kill()
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        assert len(project.rows()) == 12 == len(set(project.rows("seed")))
    finally:
        for each in reversed(started):
            each.kill()
            each.wait()


def _address(log: Path) -> str:
    found = re.search(r"tcp://127\.0\.0\.1:\d+", log.read_text())
    return found[0] if found else ""


def _worker(address: str, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    words = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
    ]
    return subprocess.Popen(
        [*words, "--host", "127.0.0.1", "--local-directory", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
