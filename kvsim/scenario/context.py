"""What every step of one run may use, and what it answers with. Holds no behaviour of any verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kvsim.checks.verdict import Verdict, worst
from kvsim.config.cluster import Cluster
from kvsim.config.scenario import Scenario, Step
from kvsim.config.template import render
from kvsim.faults.links.process import Links
from kvsim.faults.preload.control import Control
from kvsim.history.journal import Journal
from kvsim.launcher.launcher import Launcher
from kvsim.limits import spent
from kvsim.load.child import LoadProcess
from kvsim.rundir import RunDir
from kvsim.scenario.readback import State
from kvsim.scenario.roles import Roles, RoleSeen
from kvsim.scenario.sessions import Sessions
from kvsim.waiting import Deadline


@dataclass(frozen=True)
class StepResult:
    """How one step went. `why` is empty for a pass."""

    verdict: Verdict
    why: str = ""


PASSED = StepResult(Verdict.PASS)


def failed(why: str) -> StepResult:
    return StepResult(Verdict.FAIL, why)


def worst_result(results: list[StepResult]) -> StepResult:
    """The worst of one step's results on several nodes, with all their reasons."""
    verdict = worst(result.verdict for result in results)
    return StepResult(verdict, "; ".join(result.why for result in results if result.why))


@dataclass
class Context:
    """One run of one scenario. `seen` is who was who when the current step's target was resolved."""

    scenario: Scenario
    cluster: Cluster
    launcher: Launcher
    sessions: Sessions
    roles: Roles
    journal: Journal
    variables: Mapping[str, str]
    seed: int
    state: State
    run: RunDir
    links: Links | None = None  # where links can be broken
    control: Control | None = None  # where a library is loaded into the nodes
    loads: dict[str, LoadProcess] = field(default_factory=dict)  # those that run now
    keys_of_loads: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of all there were
    seen: dict[str, RoleSeen] = field(default_factory=dict)
    run_held: Callable[[Step], StepResult] = lambda step: (
        PASSED
    )  # runs the steps that a step holds; the runner's

    def note_limit(self, what: str, whose: str, deadline: Deadline) -> None:
        """Note how much of its time something has taken that did come about."""
        self.journal.write("limit", **spent(what, whose, deadline.used_s(), deadline.budget_s))

    def fill(self, text: object) -> str:
        """A scenario's text with its variables filled in."""
        return render(str(text), self.variables)


Verb = Callable[
    [Context, Step, list[str]], StepResult
]  # carries out a step on the nodes that its target means
