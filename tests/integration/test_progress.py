"""The progress of a run: its state after journaled events, and the lines printed of it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rich")

from kvsim.cli.progress import RunProgress, plain_line, rich_text, run_progress
from kvsim.config.scenario import Step, Timing
from kvsim.config.yaml_nodes import SourceLocation
from kvsim.runner.context import PASSED, failed
from kvsim.waiting import Deadline, wait_until


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock) -> RunProgress:
    return RunProgress("roles", 3, clock)


AT = SourceLocation("roles.yaml", 7, 5)
STEP = Step(id="1.2", verb="put", location=AT, text="put: {at: leader}")


class Storm(Step):
    """A step that lasts four seconds."""

    def lasts_s(self) -> float:
        return 4.0


def test_steps_nodes_and_faults_are_shown(progress, clock):
    progress.on_event("spawn", {"node": "n1"})
    progress.on_event("role", {"node": "n1", "role": "leader", "how": "reports"})
    progress.on_event("role", {"node": "n2", "role": None, "how": "reports no role"})
    progress.on_event("exit", {"node": "n3"})
    progress.on_event("fault_plan", {"id": "1.1", "fault": "pause", "nodes": ["n2"]})
    progress.show(STEP, "n1", None)
    clock.now_s = 101.5
    text = str(rich_text(progress))
    assert "roles  0/3 steps  1.5 s  1.2 put at n1" in text
    assert "n1 leader  n2 reports no role  n3 down" in text
    assert "fault: pause n2" in text
    progress.on_event("fault_end", {"id": "1.1"})
    progress.show(STEP, "n1", PASSED)
    progress.show(STEP, "n1", failed("no"))
    assert "2/3 steps  1 failed" in str(rich_text(progress))
    assert "fault" not in str(rich_text(progress))


def test_elapsed_time_and_limit_are_shown(progress, clock):
    progress.on_event("spawn", {"node": "n1", "ready_within_s": 5.0})
    clock.now_s += 0.4
    assert "starting the nodes 0.4 of 5 s" in plain_line(progress)
    timing = Timing(eventually_s=2.0)
    slow = Step(id="1.1", verb="get", location=AT, text="get: {}", timing=timing)
    progress.show(slow, "n2", None)
    clock.now_s += 1.25
    assert "1.1 get at n2 1.2 of 2 s" in plain_line(progress)
    assert "starting the nodes" not in plain_line(progress)
    progress.show(slow, "n2", PASSED)
    progress.show(STEP, "n1", None)
    assert "1.2 put at n1\n" in str(rich_text(progress))


def test_a_storm_shows_its_current_step_and_counts_as_a_single_step(progress, clock):
    storm = Storm(id="2.1", verb="storm", location=AT, text="storm: {for: 4s}")
    inner = Step(id="2.1.1", verb="fault", location=AT, text="fault: {pause: n2}")
    progress.show(storm, "", None)
    clock.now_s += 1.0
    progress.show(inner, "n2", None)
    assert "2.1 storm 1.0 of 4 s > 2.1.1 fault at n2" in plain_line(progress)
    progress.show(inner, "n2", PASSED)
    assert "0/3 steps" in plain_line(progress)
    assert ">" not in plain_line(progress)
    progress.show(storm, "", PASSED)
    assert "1/3 steps" in plain_line(progress)


def test_the_request_rate_counts_the_last_second(progress, clock):
    for _ in range(5):
        progress.on_event("operation", {})
    assert progress.requests_per_s() == 5
    clock.now_s += 0.9
    progress.on_event("operation", {})
    assert progress.requests_per_s() == 6
    clock.now_s += 0.5
    assert progress.requests_per_s() == 1


def test_a_load_shows_its_rate(progress, clock):
    progress.on_event("load_start", {"name": "w"})
    clock.now_s += 0.5
    progress.on_event("load_made", {"name": "w", "made": 600})
    assert "load w 1,200/s, 600 so far" in plain_line(progress)
    clock.now_s += 0.5
    progress.on_event("load_made", {"name": "w", "made": 700})
    assert "load w 200/s, 700 so far" in plain_line(progress)
    progress.on_event("load_stop", {"name": "w"})
    progress.on_event("load_made", {"name": "w", "made": 900})
    assert "load" not in plain_line(progress)


def test_unknown_events_are_ignored(progress):
    progress.on_event("something new", {"x": 1})


def step(id: str) -> Step:
    return Step(id=id, verb="put", location=AT, text="put: {at: leader}")


def test_a_group_that_is_over_takes_one_line(clock):
    lines: list[str] = []
    groups = {"Leaders accept": ("1.1", "1.2"), "Followers refuse": ("2.1", "2.2")}
    progress = RunProgress("roles", 4, clock, groups=groups, on_group_end=lines.append)
    for id in ("1.1", "1.2"):
        progress.show(step(id), "n1", None)
        progress.show(step(id), "n1", PASSED)
    progress.show(step("2.1"), "n2", None)
    progress.show(step("2.1"), "n2", failed("n2: got ok"))
    assert lines == [
        "  ok      Leaders accept",
        "  FAIL    Followers refuse: step 2.1, n2: got ok",
    ]


ANY = SimpleNamespace(label="mine", steps=(), groups=())


def test_plain_lines_are_printed_where_stderr_is_piped(monkeypatch):
    piped = io.StringIO()
    monkeypatch.setattr("sys.stderr", piped)
    with run_progress(ANY, after_s=0.01, every_s=0.01) as callbacks:
        callbacks.on_event("role", {"node": "n1", "role": "leader", "how": "reports"})
        wait_until(
            lambda: "n1 leader" in piped.getvalue(), Deadline.after(180), "a line of progress"
        )
    line = piped.getvalue().splitlines()[-1]
    assert re.fullmatch(
        r"mine  0/0 steps  [0-9.]+ s  starting the nodes; n1 leader  0 requests/s", line
    )
    assert "\x1b" not in piped.getvalue()


def test_a_short_run_prints_no_progress(capsys):
    with run_progress(ANY, after_s=60) as callbacks:
        callbacks.show(STEP, "n1", None)
        callbacks.show(STEP, "n1", PASSED)
    assert capsys.readouterr().err == ""


def test_a_load_journals_its_count_while_it_runs(project):
    steps = (
        "- load: {start: w, clients: 2}\n"
        "- sleep: {for: 1500ms, why: the load reports its count once a second}\n"
        "- load: {stop: w}"
    )
    run = project.run("run", project.scenario(steps))
    assert run.returncode == 0, run.stdout + run.stderr
    journal = Path(project.latest / "history.jsonl").read_text().splitlines()
    made = [
        int(found[1])
        for line in journal
        if (found := re.search(r'"load_made","name":"w","made":(\d+)', line))
    ]
    assert len(made) >= 2
    assert made == sorted(made)
    assert made[-1] > 0
