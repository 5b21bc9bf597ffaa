"""`kvsim campaign` with real workers: all at once, a worker lost, kvsim killed, Ctrl-C, a scheduler elsewhere."""

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


def test_two_workers_make_every_run_once_and_failures_can_be_looked_at(project):
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
    said = json.loads(done.stdout)
    assert (said["made"], said["complete"]) == (4, True)
    assert sum(said["workers"].values()) == 4
    assert all("reads" in group["what"] or "get" in group["place"] for group in said["groups"])
    folder = project.run("--unpack", said["groups"][0]["number"]).stdout.strip()
    verify = [sys.executable, "-m", "kvsim", "verify", folder]
    assert (
        subprocess.run(verify, cwd=project.folder, capture_output=True).returncode == 1
    )  # it stands, and says fail
    again = project.run(*words, "-o", "bug=follower_refuses_reads")
    assert "made 0 runs, 4 were there before" in again.stderr


@pytest.mark.parametrize(
    "words", [(), ("nowhere.yaml",), ("scenarios/roles.yaml", "--seeds", "0"), ("--report",)]
)
def test_mistakes_are_said_before_a_worker_is_started(project, words):
    done = project.run(*words)
    assert done.returncode == 4, done.stderr
    assert not (project.folder / "campaign").exists()


@pytest.mark.slow
def test_a_changed_scenario_does_not_go_on_with_old_results(project):
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
        lambda: len(project.rows()) >= 2 and [one for one in workers_of(process.pid) if one.children()],
        Deadline.after(60),
        "two results and a worker that has a run",
    )
    below = busy[0].children(recursive=True)
    busy[0].kill()
    psutil.wait_procs(below, timeout=10)
    assert not [one for one in below if one.is_running()], "its run outlived it"
    _, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert sorted(project.rows("seed")) == sorted(set(project.rows("seed")))
    assert len(project.rows()) == 14


@pytest.mark.slow
def test_a_campaign_that_is_killed_goes_on_where_it_was(project):
    words = ("scenarios/roles.yaml", "--seeds", 10, "-j", 2)
    process = project.start(*words)
    wait_until(lambda: len(project.rows()) >= 2, Deadline.after(60), "two results")
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    psutil.wait_procs(below, timeout=15)
    assert not [one for one in below if one.is_running()]
    before = project.rows("key, at, worker, seed")
    done = project.run(*words)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} were there before" in done.stderr
    assert project.rows("key, at, worker, seed")[: len(before)] == before
    assert len(project.rows()) == 10
    assert not (project.folder / "campaign/.workers").exists()


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
    wait_until(lambda: len(project.rows()) >= 2, Deadline.after(60), "two results")
    os.killpg(process.pid, signal.SIGINT)  # the whole group, workers too
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    said = json.loads(out)
    assert 2 <= said["made"] < 300 and not said["complete"]
    assert said["endings"] == {"pass": said["made"]}
    assert "Traceback" not in err
    assert "not complete" in (project.folder / "campaign/campaign.html").read_text()


@pytest.mark.slow
def test_workers_of_a_scheduler_elsewhere_one_of_them_killed(project, tmp_path, monkeypatch):
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
        address = wait_until(lambda: _address(log), Deadline.after(30), "the scheduler")
        started += [_worker(address, tmp_path / f"w{number}") for number in (1, 2)]
        process = project.start("scenarios/roles.yaml", "--seeds", 12, "--scheduler", address)
        wait_until(
            lambda: len({row[0] for row in project.rows("worker")}) == 2,
            Deadline.after(60),
            "both have made one",
        )
        started[1].kill()
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        assert len(project.rows()) == 12 == len(set(project.rows("seed")))
    finally:
        for one in reversed(started):
            one.kill()
            one.wait()


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
