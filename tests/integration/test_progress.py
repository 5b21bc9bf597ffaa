"""What the live view of a run knows, from events as they are journaled; and what is printed of it when it is piped."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rich")

from kvsim.cli.progress import drawn, progress
from kvsim.cli.seen import Seen, plain
from kvsim.config.scenario import Step, Timing
from kvsim.scenario.context import PASSED, failed
from kvsim.waiting import Deadline, wait_until


@pytest.fixture
def seen() -> Seen:
    clock = SimpleNamespace(now_s=100.0)
    made = Seen("roles", 3, clock=lambda: clock.now_s)
    made.hand = clock
    return made


STEP = Step("1.2", "put", {}, 7, 5, "put: {at: leader}")


def test_steps_nodes_and_faults_are_told(seen):
    seen.listen("spawn", {"node": "n1"})
    seen.listen("role", {"node": "n1", "role": "leader", "how": "says"})
    seen.listen("role", {"node": "n2", "role": None, "how": "does not say"})
    seen.listen("exit", {"node": "n3"})
    seen.listen("fault_plan", {"id": "1.1", "fault": "pause", "nodes": ["n2"]})
    seen.show(STEP, "n1", None)
    seen.hand.now_s = 101.5
    text = str(drawn(seen))
    assert "roles  0/3 steps  1.5 s  1.2 put at n1" in text
    assert "n1 leader  n2 does not say  n3 down" in text
    assert "fault: pause n2" in text
    seen.listen("fault_end", {"id": "1.1"})
    seen.show(STEP, "n1", PASSED)
    seen.show(STEP, "n1", failed("no"))
    assert "2/3 steps  1 failed" in str(drawn(seen))
    assert "fault" not in str(drawn(seen))


def test_how_long_something_takes_stands_beside_how_long_it_may(seen):
    seen.listen("spawn", {"node": "n1", "ready_within_s": 5.0})
    seen.hand.now_s += 0.4
    assert "starting the nodes 0.4 of 5 s" in plain(seen)
    patient = Step("1.1", "get", {}, 7, 5, "get: {}", timing=Timing(eventually_s=2.0))
    seen.show(patient, "n2", None)
    seen.hand.now_s += 1.25
    assert "1.1 get at n2 1.2 of 2 s" in plain(seen)
    assert "starting the nodes" not in plain(seen)
    seen.show(patient, "n2", PASSED)
    seen.show(STEP, "n1", None)
    assert "1.2 put at n1\n" in str(drawn(seen))


def test_a_storm_is_shown_with_what_it_does_just_now_and_counts_as_one_step(seen):
    storm = Step("2.1", "storm", {"for": 4.0}, 9, 5, "storm: {for: 4s}")
    inner = Step("2.1.1", "fault", {"for": None}, 1, 1, "fault: {pause: n2}")
    seen.show(storm, "", None)
    seen.hand.now_s += 1.0
    seen.show(inner, "n2", None)
    assert "2.1 storm 1.0 of 4 s > 2.1.1 fault at n2" in plain(seen)
    seen.show(inner, "n2", PASSED)
    assert "0/3 steps" in plain(seen)
    assert ">" not in plain(seen)
    seen.show(storm, "", PASSED)
    assert "1/3 steps" in plain(seen)


def test_requests_a_second_are_those_of_the_last_second(seen):
    for _ in range(5):
        seen.listen("operation", {})
    assert seen.per_second() == 5
    seen.hand.now_s += 0.9
    seen.listen("operation", {})
    assert seen.per_second() == 6
    seen.hand.now_s += 0.5
    assert seen.per_second() == 1


def test_a_load_shows_how_many_operations_it_makes_a_second(seen):
    seen.listen("load_start", {"name": "w"})
    seen.hand.now_s += 0.5
    seen.listen("load_made", {"name": "w", "made": 600})
    assert "load w 1,200/s, 600 so far" in plain(seen)
    seen.hand.now_s += 0.5
    seen.listen("load_made", {"name": "w", "made": 700})
    assert "load w 200/s, 700 so far" in plain(seen)
    seen.listen("load_stop", {"name": "w"})
    seen.listen("load_made", {"name": "w", "made": 900})
    assert "load" not in plain(seen)


def test_what_it_does_not_know_is_passed_over(seen):
    seen.listen("something new", {"x": 1})


ANY = SimpleNamespace(label="mine", steps=())


def test_piped_a_plain_line_is_printed_now_and_then(monkeypatch):
    piped = io.StringIO()
    monkeypatch.setattr("sys.stderr", piped)
    with progress(ANY, every_s=0.01) as view:
        view.listen("role", {"node": "n1", "role": "leader", "how": "says"})
        wait_until(lambda: "n1 leader" in piped.getvalue(), Deadline.after(20), "a line of progress")
    line = piped.getvalue().splitlines()[-1]
    assert re.fullmatch(r"mine  0/0 steps  [0-9.]+ s  starting the nodes; n1 leader  0 requests/s", line)
    assert "\x1b" not in piped.getvalue()


def test_a_run_that_is_soon_over_prints_nothing(capsys):
    with progress(ANY) as view:
        view.show(STEP, "n1", None)
        view.show(STEP, "n1", PASSED)
    assert capsys.readouterr().err == ""


def test_a_load_says_how_far_it_is_while_it_runs(project):
    steps = "- load: {start: w, clients: 2}\n- sleep: {for: 1500ms, why: the load has to speak}\n- load: {stop: w}"
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
