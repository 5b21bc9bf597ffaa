"""Time limits: calibrated by default, fixed on request, and the proof reports their use."""

from __future__ import annotations

import json

import pytest

STEPS = "- put: {at: leader, key: k, value: v}\n- get: {at: leader, key: k, eventually: 2s}"
NODES = {"n1", "n2", "n3"}


def run_with(project, *options: str) -> tuple[str, dict]:
    """A run's output, and the time limits in its proof.json."""
    run = project.run("run", project.scenario(STEPS), "--seed", "1", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    proof = (project.latest / "proof.txt").read_text()
    return proof, json.loads((project.latest / "proof.json").read_text())["time_limits"]


def allowed(limits: dict, what: str) -> set[float]:
    return {use["allowed_s"] for use in limits["used"] if use["what"] == what}


def test_a_run_calibrates_default_limits_and_reports_how_much_of_them_was_used(project):
    text, limits = run_with(project)
    assert limits["how"] == "calibrated"
    assert set(limits["measured"]) == {"spawn_ms", "loop_ms"}
    assert 1.0 <= limits["default_factor"] <= 10.0
    assert allowed(limits, "ready") == {round(5.0 * limits["default_factor"], 3)}
    assert allowed(limits, "eventually") == {2.0}, "a limit that a user wrote is a guarantee"
    nodes = {use["of"] for use in limits["used"] if use["what"] in {"ready", "stop"}}
    assert nodes == NODES
    assert f"time limits: calibrated, kvsim's own x{limits['default_factor']:g}" in text
    assert project.run("verify", "runs/latest").returncode == 0


@pytest.mark.parametrize(
    ("option", "ready_s", "eventually_s"), [("as-written", 5.0, 2.0), ("x3", 15.0, 6.0)]
)
def test_limits_are_fixed_on_request_and_the_command_that_repeats_the_run_has_the_option(
    project, option, ready_s, eventually_s
):
    text, limits = run_with(project, "--time-limits", option)
    assert (limits["how"], limits["measured"]) == (option, {})
    assert allowed(limits, "ready") == {ready_s}
    assert allowed(limits, "eventually") == {eventually_s}
    assert f"--seed 1 --time-limits {option}\n" in text


def test_another_word_is_a_mistake_of_the_user(project):
    run = project.run("run", "scenarios/roles.yaml", "--time-limits", "calibrate")
    assert run.returncode == 4
    assert "expected calibrated, as-written, or a factor such as x3" in run.stderr
    assert not (project.folder / "runs").exists()


def test_repeat_reports_the_factors_and_the_use_that_came_closest_to_a_limit(project):
    run = project.run("repeat", "scenarios/roles.yaml", "-n", "2", "--time-limits", "x2", "--json")
    limits = json.loads(run.stdout)["time_limits"]
    assert limits["default_factor"] == [2.0, 2.0]
    assert {"what", "of", "used_s", "allowed_s", "share", "seed"} <= set(limits["closest"])


def test_up_takes_the_same_option(project):
    assert project.run("up", "--time-limits", "x9e9").returncode == 4
    assert project.run("up", "--time-limits", "x2").returncode == 0
