"""What the live view of a run knows, from events as they are journaled; and that nothing is drawn when nobody looks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rich")

from kvsim.cli.progress import Seen, drawn, progress
from kvsim.config.scenario import Step
from kvsim.scenario.context import PASSED, failed


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


def test_requests_a_second_are_those_of_the_last_second(seen):
    for _ in range(5):
        seen.listen("operation", {})
    assert seen.per_second() == 5
    seen.hand.now_s += 0.9
    seen.listen("operation", {})
    assert seen.per_second() == 6
    seen.hand.now_s += 0.5
    assert seen.per_second() == 1


def test_what_it_does_not_know_is_passed_over(seen):
    seen.listen("something new", {"x": 1})


def test_piped_there_is_no_view_and_nobody_listens(capsys):
    with progress(SimpleNamespace(name="x", steps=())) as view:
        assert view.listen is None
    assert capsys.readouterr().err == ""
