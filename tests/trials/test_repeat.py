"""`kvsim repeat` as a user calls it: rates, groups, until it fails, store or machine, Ctrl-C."""

from __future__ import annotations

import json
import re
import signal

import pytest

from kvsim.trials.attribution import attribute
from kvsim.trials.repeat_summary import RepeatSummary, text_of
from kvsim.trials.trial import Ending, Trial, TrialResult
from kvsim.waiting import Deadline, wait_until


def test_passed_runs_leave_a_rate_and_no_run_directories(project):
    done = project.run("repeat", "scenarios/roles.yaml", "-n", 3, "-j", 2, "--seed", 7, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["endings"] == {
        "pass": {
            "count": 3,
            "of": 3,
            "rate": 1.0,
            "low": pytest.approx(0.438, abs=1e-3),
            "high": 1.0,
        }
    }
    assert report["attribution"] is None
    lines = [
        json.loads(line)
        for line in (project.folder / report["folder"] / "results.jsonl").read_text().splitlines()
    ]
    assert sorted(line["trial"]["seed"] for line in lines) == [7, 8, 9]
    assert all(len(line["result"]["digest"]) == 64 for line in lines)
    assert {line["format"] for line in [*lines, report]} == {1}
    assert {path.name for path in (project.folder / report["folder"]).iterdir()} == {
        "results.jsonl",
        "summary.json",
    }


@pytest.mark.slow
def test_a_store_that_fails_sometimes_is_compared_with_the_reference(project):
    project.fails("oxx")
    words = ("repeat", "scenarios/roles.yaml", "-n", 3, "-j", 1, "--program", "node.yaml")
    done = project.run(*words, "--reference", "node.yaml")
    assert done.returncode == 1, done.stderr
    assert re.search(r"^  fail +2 ", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"[12]x fail +(the run: stopped early|check nodes_start)", done.stdout), (
        done.stdout
    )
    assert re.search(r"again: \S.*kvsim run scenarios/roles.yaml --seed", done.stdout)
    assert "YOUR STORE OR THIS MACHINE?" in done.stdout
    # In the second series, the list of failures is empty.
    assert "node.yaml failed 0 of 3 runs" in done.stdout


def test_until_fail_ends_at_the_first_failure(project):
    project.fails("oxoooo")
    done = project.run(
        "repeat",
        "scenarios/roles.yaml",
        "--until-fail",
        "-j",
        1,
        "--program",
        "node.yaml",
        "--json",
        "--no-reference",
    )
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert (report["made"], report["endings"]["fail"]["count"]) == (2, 1)


def test_a_run_beyond_its_time_limit_is_ended_and_is_no_pass(project):
    project.fails("h")
    (project.folder / "node.yaml").write_text(
        (project.folder / "node.yaml").read_text().replace("within: 3s", "within: 50s")
    )
    done = project.run(
        "repeat", "scenarios/roles.yaml", "-n", 1, "--limit", 1, "--program", "node.yaml", "--json"
    )
    report = json.loads(done.stdout)
    assert done.returncode == 2
    assert report["endings"]["overtime"]["count"] == 1
    assert report["groups"][0]["symptom"] == "did not end within 1 s"


def test_ctrl_c_leaves_a_summary_of_the_runs_made(project):
    process = project.start(
        "repeat", "scenarios/roles.yaml", "-n", 500, "-j", 2, "--out", "many", "--json"
    )
    results = project.folder / "many/results.jsonl"
    wait_until(
        lambda: results.exists() and len(results.read_text().splitlines()) >= 2,
        Deadline.after(180),
        "two results",
        check_alive=lambda: process.poll() is None or pytest.fail("it ended"),
    )
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    report = json.loads(out)
    assert process.returncode == 0, err
    assert 2 <= report["made"] < 500
    assert json.loads((project.folder / "many/summary.json").read_text()) == report


@pytest.mark.parametrize("words", [("-n", 0), ("-j", 0), ("--limit", 0), ("--program", "nowhere")])
def test_mistakes_are_reported_before_anything_runs(project, words):
    done = project.run("repeat", "scenarios/roles.yaml", *words)
    assert done.returncode == 4
    assert not (project.folder / "runs").exists()


def summary(passed: int, failed: int, ending: Ending = Ending.FAIL) -> RepeatSummary:
    pairs = [(Trial("s", n), TrialResult(Ending.PASS, 1.0)) for n in range(passed)]
    pairs += [(Trial("s", n), TrialResult(ending, 1.0)) for n in range(failed)]
    return RepeatSummary("s", pairs, passed + failed, 1, 10.0, 1.0)


@pytest.mark.parametrize(
    ("mine", "reference", "cause"),
    [
        (summary(50, 50), summary(100, 0), "store"),
        # One failure in a hundred may be chance.
        (summary(99, 1), summary(100, 0), "unclear"),
        (summary(50, 50), summary(55, 45), "machine"),
        # The machine fails some, the store many more.
        (summary(5, 95), summary(95, 5), "unclear"),
        (summary(50, 50), summary(0, 1, Ending.SKIPPED), "unclear"),
    ],
)
def test_a_cause_is_named_only_where_the_bounds_do_not_overlap(mine, reference, cause):
    assert attribute(mine, reference, "kvstore").cause == cause


def limited(how: str, own: float, share: float) -> RepeatSummary:
    closest = {"what": "ready", "of": "n1", "used_s": 5 * share, "allowed_s": 5.0, "share": share}
    limits = {"how": how, "default_factor": own, "closest": closest}
    pairs = [
        (Trial("s", 1), TrialResult(Ending.PASS, 1.0, time_limits=limits)),
        (
            Trial("s", 2),
            TrialResult(
                Ending.FAIL, 1.0, time_limits={**limits, "default_factor": 1.0, "closest": None}
            ),
        ),
        (Trial("s", 3), TrialResult(Ending.OVERTIME, 1.0)),
    ]
    return RepeatSummary("s", pairs, 3, 1, 10.0, 1.0)


def test_the_slowdown_of_the_machine_is_reported_with_the_cause():
    slow, quick = limited("calibrated", 4.5, 0.9), summary(5, 0)
    assert "up to 4.5 times slower than when quiet" in attribute(slow, quick, "kvstore").sentence
    assert "up to 4.5 times slower than when quiet" in attribute(quick, slow, "kvstore").sentence
    assert "slower" not in attribute(limited("x3", 3.0, 0.9), quick, "kvstore").sentence


def test_time_limits_of_all_runs_are_reported_with_range_and_closest():
    text = text_of(limited("calibrated", 4.5, 0.9))
    assert (
        "  time limits: kvsim's own x1 to x4.5; closest: ready of n1 4.5 of 5 s (seed 1)\n" in text
    )
    assert "time limits" not in text_of(summary(3, 0))


def test_a_matrix_is_repeated_cell_by_cell(project):
    file = project.folder / "scenarios/roles.yaml"
    file.write_text(
        file.read_text().replace("\nsteps:", '\nmatrix: {size: [2, 3]}\nnodes: "{size}"\nsteps:')
    )
    done = project.run("repeat", "scenarios/roles.yaml", "-n", 2, "-j", 2, "--out", "all")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^pass +roles\[size=2\] +100.0%", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^pass +roles\[size=3\] +100.0%", done.stdout, re.MULTILINE), done.stdout
    for cell in ("roles-size=2", "roles-size=3"):
        report = json.loads((project.folder / "all" / cell / "summary.json").read_text())
        assert report["made"] == 2
