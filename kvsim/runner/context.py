"""What the steps of one run share, what a step results in, and what carries a verb out.

Holds no behaviour of any verb.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct, field

from kvsim.checks.verdict import Verdict, worst
from kvsim.config.cluster import Cluster
from kvsim.config.scenario import Scenario, Step
from kvsim.config.scenario_schema import Verb
from kvsim.config.template import render
from kvsim.errors import Exit, KvsimError
from kvsim.history.journal import Journal
from kvsim.launcher.launcher import Launcher
from kvsim.run_directory import RunDirectory
from kvsim.runner.connections import Connections, ObservedState
from kvsim.runner.roles import RoleObservation, RoleObserver, no_role_is_known, unreadable_status
from kvsim.runner.targets import ResolvedTarget, resolve
from kvsim.timeouts import timeout_usage
from kvsim.waiting import Deadline

if TYPE_CHECKING:
    # Most scenarios have no load and break neither links nor disks.
    from kvsim.faults.preload.control import PreloadControl
    from kvsim.network.links import Links
    from kvsim.workload.worker_handle import LoadProcess


class StepResult(Struct, frozen=True):
    """The result of one step. `why` is empty for a pass."""

    verdict: Verdict
    why: str = ""


PASSED = StepResult(Verdict.PASS)


def failed(why: str) -> StepResult:
    return StepResult(Verdict.FAIL, why)


def invalid(why: str) -> StepResult:
    """For a mistake of the scenario, which is no failure of the store."""
    return StepResult(Verdict.INVALID, why)


def failed_by(error: KvsimError) -> StepResult:
    """The result of a step that ended by this error."""
    verdict = Verdict.INVALID if error.exit is Exit.INVALID else Verdict.FAIL
    return StepResult(verdict, str(error))


def worst_result(results: Iterable[StepResult]) -> StepResult:
    """The worst of one step's results on several nodes, with all their reasons."""
    found = list(results)
    verdict = worst(result.verdict for result in found)
    return StepResult(verdict, "; ".join(result.why for result in found if result.why))


# Progress: a step, the nodes of its target, and its result once it is over.
OnProgress = Callable[[Step, str, StepResult | None], None]


def _run_no_steps(step: Step) -> StepResult:
    return PASSED


class Context(Struct):
    """One run of one scenario.

    `roles` are the roles of all nodes as observed when the target of the current step was resolved.
    `links` is None where links cannot be broken, `preload` where no library is loaded into the
    nodes. `loads` are those that run now; `load_keys` are the keys of all that were started.
    `run_held_steps` runs the steps that a step holds. `given_up` are nodes that did not show
    an accepted write within the cluster's lag.
    """

    scenario: Scenario
    cluster: Cluster
    launcher: Launcher
    connections: Connections
    role_observer: RoleObserver
    journal: Journal
    variables: Mapping[str, str]
    seed: int
    observed_state: ObservedState
    run: RunDirectory
    links: Links | None = None
    preload: PreloadControl | None = None
    loads: dict[str, LoadProcess] = field(default_factory=dict)
    load_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    roles: dict[str, RoleObservation] = field(default_factory=dict)
    run_held_steps: Callable[[Step], StepResult] = _run_no_steps
    given_up: set[str] = field(default_factory=set)

    @contextlib.contextmanager
    def fault_on(self, nodes: Iterable[str]) -> Iterator[None]:
        """While inside, a fault on these nodes lasts."""
        silence = self.connections.silence
        before = silence.nodes_with_faults
        silence.nodes_with_faults, silence.disturbed = [*before, *nodes], True
        try:
            yield
        finally:
            silence.nodes_with_faults = before

    def observe_roles(self, step_id: str) -> dict[str, RoleObservation]:
        """Ask every node for its role now, and keep the answers in `roles`."""
        self.roles = self.role_observer.observe(step_id)
        return self.roles

    def resolve(self, step: Step, *, prefer_up: bool = True) -> ResolvedTarget:
        """The nodes that the step is for, by the roles that were observed last."""
        target = step.target()
        if target is None:
            return ResolvedTarget(())
        if target.role is not None and prefer_up and no_role_is_known(self.roles):
            self.roles = self.role_observer.find_by_write(step.id, self.roles)
        rng = random.Random(f"{self.seed}:{step.id}")
        return resolve(target, self.roles, rng, prefer_up=prefer_up)

    def no_target(self, problem: str) -> StepResult:
        """The result of a step whose target matches no node.

        It fails, unless the description of the program is to blame.
        """
        mistake = unreadable_status(self.roles)
        return StepResult(Verdict.INVALID, f"{problem}; {mistake}") if mistake else failed(problem)

    def note_timeout_use(self, what: str, whose: str, deadline: Deadline) -> None:
        """Note how much of its time limit something has used that happened in time."""
        usage = timeout_usage(what, whose, deadline.needed_s(), deadline.timeout_s)
        self.journal.write("limit", **usage)

    def fill(self, text: str) -> str:
        """A scenario's text with its variables filled in."""
        return render(text, self.variables)


StepT = TypeVar("StepT", bound=Step)


class StepVerb(Verb, Generic[StepT], frozen=True, kw_only=True):
    """A verb with the function that carries out its steps on the nodes of their target.

    `waits_for_target`: a step of this verb waits until its target matches a node.
    """

    step: type[StepT]
    run: Callable[[Context, StepT, list[str]], StepResult]
    waits_for_target: bool = False

    def waits(self, step: Step) -> bool:
        """Whether the step resolves its target again, until its time is over."""
        return self.waits_for_target or step.timing.eventually_s is not None
