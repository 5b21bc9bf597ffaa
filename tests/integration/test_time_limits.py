"""Time limits as a user meets them: calibrated without being asked, pinned on request, shown as used and allowed."""

from __future__ import annotations

import json

import pytest

STEPS = "- put: {at: leader, key: k, value: v}\n- get: {at: leader, key: k, eventually: 2s}"


def run_with(project, *words: str) -> tuple[str, dict]:
    run = project.run("run", project.scenario(STEPS), "--seed", "1", *words)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout, json.loads((project.latest / "proof.json").read_text())["time_limits"]


def allowed(limits: dict, what: str) -> set[float]:
    return {one["allowed_s"] for one in limits["used"] if one["what"] == what}


def test_a_run_calibrates_kvsims_own_limits_and_says_what_was_used_of_them(project):
    text, limits = run_with(project)
    assert limits["how"] == "calibrated"
    assert set(limits["measured"]) == {"spawn_ms", "loop_ms"}
    assert 1.0 <= limits["own"] <= 10.0
    assert allowed(limits, "ready") == {round(5.0 * limits["own"], 3)}
    assert allowed(limits, "eventually") == {2.0}, "what a user wrote is a promise"
    assert {one["of"] for one in limits["used"] if one["what"] in {"ready", "stop"}} == {"n1", "n2", "n3"}
    assert f"time limits: calibrated, kvsim's own x{limits['own']:g}" in text
    assert project.run("verify", "runs/latest").returncode == 0


@pytest.mark.parametrize(("word", "ready_s", "eventually_s"), [("as-written", 5.0, 2.0), ("x3", 15.0, 6.0)])
def test_limits_are_pinned_on_request_and_the_command_that_repeats_the_run_says_so(
    project, word, ready_s, eventually_s
):
    text, limits = run_with(project, "--time-limits", word)
    assert (limits["how"], limits["measured"]) == (word, {})
    assert allowed(limits, "ready") == {ready_s}
    assert allowed(limits, "eventually") == {eventually_s}
    assert f"--seed 1 --time-limits {word}\n" in text


@pytest.mark.parametrize("word", ["x0", "calibrate", "3"])
def test_another_word_is_a_mistake_of_the_user(project, word):
    run = project.run("run", "scenarios/roles.yaml", "--time-limits", word)
    assert run.returncode == 4
    assert "expected calibrated, as-written, or a factor such as x3" in run.stderr
    assert not (project.folder / "runs").exists()


def test_repeat_shows_how_far_limits_were_stretched_and_which_came_closest(project):
    run = project.run("repeat", "scenarios/roles.yaml", "-n", "2", "--time-limits", "x2", "--json")
    limits = json.loads(run.stdout)["time_limits"]
    assert limits["own"] == [2.0, 2.0]
    assert {"what", "of", "used_s", "allowed_s", "share", "seed"} <= set(limits["closest"])


def test_up_takes_the_same_words(project):
    assert project.run("up", "--time-limits", "x9e9").returncode == 4
    assert project.run("up", "--time-limits", "x2").returncode == 0
