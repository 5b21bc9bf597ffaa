"""The time modifier `eventually`: the target is part of what is waited for. No process."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kvsim.checks.verdict import Verdict
from kvsim.config.program import Role
from kvsim.config.scenario import Expectation, Timing
from kvsim.config.target import parse_target
from kvsim.config.yaml_nodes import SourceLocation
from kvsim.runner.context import PASSED, Context, failed
from kvsim.runner.roles import RoleObservation
from kvsim.runner.steps.requests import GetStep
from kvsim.runner.steps.timing import run_timed


class Observed:
    """As much of a Context as a time modifier uses. Each observation shows the next leader."""

    resolve = Context.resolve
    no_target = Context.no_target

    def __init__(self, *leaders: str | None) -> None:
        self.leaders = list(leaders)
        self.seed = 1
        self.observations = 0
        self.events: list[dict] = []
        self.journal = SimpleNamespace(write=lambda kind, **fields: self.events.append(fields))
        self.roles = self._roles()

    def observe_roles(self, step_id: str) -> None:
        self.observations += 1
        if len(self.leaders) > 1:
            self.leaders.pop(0)
        self.roles = self._roles()

    def note_timeout_use(self, *_: object) -> None:
        pass

    def _roles(self) -> dict[str, RoleObservation]:
        return {
            name: RoleObservation(
                name, True, Role.LEADER if name == self.leaders[0] else Role.FOLLOWER, "reports"
            )
            for name in ("n1", "n2", "n3")
        }


def step(at: str, expect: Expectation | None = None, eventually_s: float = 0.5) -> GetStep:
    return GetStep(
        id="1.1",
        verb="get",
        location=SourceLocation("s.yaml", 1, 1),
        text="get",
        at=parse_target(at),
        key="k",
        expect=expect,
        timing=Timing(eventually_s=eventually_s),
    )


def nodes_of(context: Observed, request: GetStep) -> list[str]:
    return list(context.resolve(request).nodes)


def test_a_step_waits_until_its_target_matches_a_node():
    context, request = Observed(None, None, "n3"), step("leader")
    attempts: list[list[str]] = []

    def attempt(nodes):
        attempts.append(nodes)
        return PASSED

    assert run_timed(context, request, nodes_of(context, request), attempt) is PASSED
    assert attempts == [["n3"]]
    assert [event["targets"] for event in context.events] == [["n3"]]


def test_a_leader_that_steps_down_between_two_tries_is_no_longer_asked():
    context, request = Observed("n1", "n2"), step("leader")
    attempts: list[str] = []

    def attempt(nodes):
        attempts.extend(nodes)
        return PASSED if nodes == ["n2"] else failed("refused")

    assert run_timed(context, request, nodes_of(context, request), attempt) is PASSED
    assert attempts == ["n1", "n2"]


def test_a_target_that_never_matches_fails_with_the_roles_that_were_observed():
    context, request = Observed(None), step("leader", eventually_s=0.05)
    result = run_timed(context, request, [], lambda nodes: PASSED)
    assert result.verdict is Verdict.FAIL
    assert "n1 reports follower" in result.why


@pytest.mark.parametrize(
    ("at", "expect", "observes"),
    [
        ("n2", None, False),
        ("each", None, False),
        ("each follower", None, True),
        ("n2", Expectation("refused", names="leader"), True),
    ],
)
def test_roles_are_asked_again_only_where_they_decide(at, expect, observes):
    context, request = Observed("n1"), step(at, expect)
    tries = iter([failed("not yet"), PASSED])
    run_timed(context, request, nodes_of(context, request), lambda nodes: next(tries))
    assert bool(context.observations) is observes
