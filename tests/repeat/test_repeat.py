"""`kvsim repeat` as a user calls it: rates, groups, until it fails, store or machine, Ctrl-C."""

from __future__ import annotations

import json
import re
import signal

import pytest

from kvsim.repeat.blame import blame
from kvsim.repeat.summary import Summary, text_of
from kvsim.trials.trial import Ending, Result, Trial
from kvsim.waiting import Deadline, wait_until


def test_a_store_that_holds_leaves_a_rate_and_no_run_directories(project):
    done = project.run("repeat", "scenarios/roles.yaml", "-n", 3, "-j", 2, "--seed", 7, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["endings"] == {
        "pass": {"count": 3, "of": 3, "rate": 1.0, "low": pytest.approx(0.438, abs=1e-3), "high": 1.0}
    }
    assert said["blame"] is None
    lines = [
        json.loads(line)
        for line in (project.folder / said["folder"] / "results.jsonl").read_text().splitlines()
    ]
    assert sorted(line["trial"]["seed"] for line in lines) == [7, 8, 9]
    assert all(len(line["result"]["digest"]) == 64 for line in lines)
    assert {path.name for path in (project.folder / said["folder"]).iterdir()} == {
        "results.jsonl",
        "summary.json",
    }


def test_a_store_that_fails_now_and_then_is_told_from_the_machine(project):
    project.fails("oxx")
    words = ("repeat", "scenarios/roles.yaml", "-n", 3, "-j", 1, "--program", "node.yaml")
    done = project.run(*words, "--reference", "node.yaml")
    assert done.returncode == 1, done.stderr
    assert re.search(r"^  fail +2 ", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"[12]x fail +(the run: stopped early|check nodes_start)", done.stdout), done.stdout
    assert "again: python -m kvsim run scenarios/roles.yaml --seed" in done.stdout
    assert "YOUR STORE OR THIS MACHINE?" in done.stdout
    assert "node.yaml failed 0 of 3 runs" in done.stdout  # the second time it is as good as any


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
    said = json.loads(done.stdout)
    assert done.returncode == 1
    assert (said["made"], said["endings"]["fail"]["count"]) == (2, 1)


def test_a_run_that_takes_too_long_is_ended_and_is_no_pass(project):
    project.fails("h")
    (project.folder / "node.yaml").write_text(
        (project.folder / "node.yaml").read_text().replace("within: 3s", "within: 50s")
    )
    done = project.run(
        "repeat", "scenarios/roles.yaml", "-n", 1, "--limit", 1, "--program", "node.yaml", "--json"
    )
    said = json.loads(done.stdout)
    assert done.returncode == 2
    assert said["endings"]["overtime"]["count"] == 1
    assert said["groups"][0]["what"] == "did not end within 1 s"


def test_ctrl_c_leaves_a_summary_of_what_was_done(project):
    process = project.start("repeat", "scenarios/roles.yaml", "-n", 500, "-j", 2, "--out", "many", "--json")
    results = project.folder / "many/results.jsonl"
    wait_until(
        lambda: results.exists() and len(results.read_text().splitlines()) >= 2,
        Deadline.after(30),
        "two results",
    )
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    said = json.loads(out)
    assert process.returncode == 0, err
    assert 2 <= said["made"] < 500
    assert json.loads((project.folder / "many/summary.json").read_text()) == said


@pytest.mark.parametrize("words", [("-n", 0), ("-j", 0), ("--limit", 0), ("--program", "nowhere")])
def test_mistakes_are_said_before_anything_runs(project, words):
    done = project.run("repeat", "scenarios/roles.yaml", *words)
    assert done.returncode == 4
    assert not (project.folder / "runs").exists()


def summary(passed: int, failed: int, ending: Ending = Ending.FAIL) -> Summary:
    pairs = [(Trial("s", n), Result(Ending.PASS, 1.0)) for n in range(passed)]
    pairs += [(Trial("s", n), Result(ending, 1.0)) for n in range(failed)]
    return Summary("s", pairs, passed + failed, 1, 10.0, 1.0)


@pytest.mark.parametrize(
    ("mine", "reference", "who"),
    [
        (summary(50, 50), summary(100, 0), "store"),
        (summary(99, 1), summary(100, 0), "unclear"),  # one failure in a hundred may be chance
        (summary(50, 50), summary(55, 45), "machine"),
        (summary(5, 95), summary(95, 5), "unclear"),  # the machine fails some, the store many more
        (summary(50, 50), summary(0, 1, Ending.SKIPPED), "unclear"),
    ],
)
def test_blame_is_given_only_where_the_numbers_allow_it(mine, reference, who):
    assert blame(mine, reference, "kvstore").who == who


def limited(how: str, own: float, share: float) -> Summary:
    closest = {"what": "ready", "of": "n1", "used_s": 5 * share, "allowed_s": 5.0, "share": share}
    limits = {"how": how, "own": own, "closest": closest}
    pairs = [
        (Trial("s", 1), Result(Ending.PASS, 1.0, limits=limits)),
        (Trial("s", 2), Result(Ending.FAIL, 1.0, limits={**limits, "own": 1.0, "closest": None})),
        (Trial("s", 3), Result(Ending.OVERTIME, 1.0)),
    ]
    return Summary("s", pairs, 3, 1, 10.0, 1.0)


def test_how_slow_the_machine_was_stands_beside_who_is_to_blame():
    slow, quick = limited("calibrated", 4.5, 0.9), summary(5, 0)
    assert "up to 4.5 times as slow as a quiet one" in blame(slow, quick, "kvstore").sentence
    assert "up to 4.5 times as slow as a quiet one" in blame(quick, slow, "kvstore").sentence
    assert "slow" not in blame(limited("x3", 3.0, 0.9), quick, "kvstore").sentence


def test_time_limits_of_all_runs_are_told_by_their_range_and_the_closest():
    text = text_of(limited("calibrated", 4.5, 0.9))
    assert "  time limits: kvsim's own x1 to x4.5; closest: ready of n1 4.5 of 5 s (seed 1)\n" in text
    assert "time limits" not in text_of(summary(3, 0))


def test_a_matrix_is_repeated_cell_by_cell(project):
    file = project.folder / "scenarios/roles.yaml"
    file.write_text(file.read_text().replace("\nsteps:", '\nmatrix: {size: [2, 3]}\nnodes: "{size}"\nsteps:'))
    done = project.run("repeat", "scenarios/roles.yaml", "-n", 2, "-j", 2, "--out", "all")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^pass +roles\[size=2\] +100.0%", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^pass +roles\[size=3\] +100.0%", done.stdout, re.MULTILINE), done.stdout
    for cell in ("roles-size=2", "roles-size=3"):
        said = json.loads((project.folder / "all" / cell / "summary.json").read_text())
        assert said["made"] == 2
