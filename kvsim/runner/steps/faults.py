"""The verbs `fault` and `storm`, and nodes as faults see them.

Its kind, declared in `kvsim.faults`, builds a fault; the held steps run while it lasts. A storm
draws its schedule, writes it as an ordinary scenario, then runs it as held steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import asdict, replace

from kvsim.client.exchange import Request
from kvsim.config.cluster import Cluster
from kvsim.config.fault_schema import FaultKind
from kvsim.config.node_states import NodeStates
from kvsim.config.scenario import Step, walk_steps
from kvsim.config.scenario_loader import read_steps
from kvsim.config.scenario_writer import self_contained, text_of
from kvsim.config.schema import Choice, Duration, Field, Int, ListOf, MapOf, Record
from kvsim.config.target import Target
from kvsim.errors import NodeFailed
from kvsim.faults.fault import FaultFailed, inject
from kvsim.faults.kill_during_request import RequestWrapper
from kvsim.faults.node_handle import NodeHandle
from kvsim.faults.registry import BuildContext, FaultDeclaration, NoTarget, fault_kinds
from kvsim.history.outcome import NODE_REFUSALS, Outcome, OutcomeKind, Reason
from kvsim.launcher.launcher import Launcher
from kvsim.run_directory import write_atomic
from kvsim.runner.connections import PROBE_KEY
from kvsim.runner.context import Context, StepResult, StepVerb, failed, failed_by, worst_result
from kvsim.runner.registry import REGISTRY
from kvsim.runner.roles import only_leader
from kvsim.runner.steps.processes import paused
from kvsim.runner.steps.requests import RequestStep
from kvsim.runner.storm import TARGETS, StepYaml, StormStep, schedule
from kvsim.runner.targets import resolve

# --- nodes as faults see them -----------------------------------------------------------------


def node_handle(
    launcher: Launcher, name: str, before_end: Callable[[], None] = lambda: None
) -> NodeHandle:
    """One node of a cluster. `before_end` is called before the node is ended."""
    node = launcher.nodes[name]

    def end(action: Callable[..., None], *arguments: str) -> None:
        before_end()
        action(name, *arguments)

    def ended() -> str | None:
        if node.process is None:
            return "was never started"
        status = node.process.poll()
        return status.describe() if status else None

    def tolerate_end(why: str) -> bool:
        if not node.up:
            before_end()
        return launcher.tolerate_end(name, why)

    return NodeHandle(
        name=name,
        host=node.address.host,
        port=node.address.port,
        data_dir=Path(node.address.data_dir),
        tree=node.tree,
        ended=ended,
        kill=lambda signal: end(launcher.kill, signal),
        expect_end=partial(launcher.expect_end, name),
        record_kill=lambda signal, why: end(launcher.record_kill, signal, why),
        stop=lambda: end(launcher.stop),
        start=lambda: launcher.start(name),
        in_network_namespace=node.in_network_namespace,
        ping=partial(_ping, launcher, name),
        logged=lambda pattern: launcher.log_has(name, pattern),
        tolerate_end=tolerate_end,
        limits=launcher.timeouts,
        survives_power=node.spec.survives_power,
    )


def step_handle(context: Context, name: str) -> NodeHandle:
    """One node of a run. Connections to it are closed before it is ended."""
    return node_handle(context.launcher, name, lambda: context.connections.drop(name))


def _ping(launcher: Launcher, name: str, timeout_s: float) -> str | None:
    """One request on a new connection; None when the node answered, be it with a refusal."""
    program = launcher.nodes[name].program
    can_ping = "ping" in program.requests
    request = Request("ping", {}) if can_ping else Request("get", {"key": PROBE_KEY})
    client = launcher.connect(name)
    try:
        outcome = client.ask(request, timeout_s).outcome
    finally:
        client.close()
    if answers(outcome, program.speak.kind):
        return None
    return outcome.detail or str(outcome.reason)


def answers(outcome: Outcome, protocol: str) -> bool:
    """Whether the outcome shows that the node itself answered.

    A reply that no rule knows is an answer too, unless a client command printed it: it may be the
    command's own message that no node answers.
    """
    if outcome.kind is OutcomeKind.REFUSED:
        return outcome.reason in NODE_REFUSALS
    replied = {Reason.UNCERTAIN} | ({Reason.UNRECOGNISED} if protocol != "command" else set())
    return outcome.kind is OutcomeKind.OK or outcome.reason in replied


# --- fault ------------------------------------------------------------------------------------


class FaultStep(Step, frozen=True, kw_only=True):
    """One fault around held steps. `evidence`: `required` or `optional`."""

    kind: FaultDeclaration[Any]
    settings: Any
    evidence: str

    def targets(self) -> Iterator[Target]:
        yield from (value for value in asdict(self.settings).values() if isinstance(value, Target))

    def fault_kinds(self, links: str) -> tuple[FaultKind, ...]:
        return (self.kind,)

    def mistakes(self, cluster: Cluster, fill: Callable[[str], str]) -> Iterator[str]:
        yield from self.kind.contradictions(self.settings)
        yield from self.kind.problems(self.settings, cluster)
        held = walk_steps(self.steps)
        if self._waits_for_request() and not any(isinstance(step, RequestStep) for step in held):
            yield "`after_request`, but no step in `do` sends a request, so that nothing is killed"

    def begin(self, states: NodeStates) -> Iterator[str]:
        line = self.location.line
        at = getattr(self.settings, "at", None)
        if at is not None:
            reach = states.reach(at)
            yield from states.down(reach.certain)
            if self.kind.exclusive:
                yield from states.enter(self.kind.exclusive, reach.certain, line)
            if self.kind.ends_nodes == "always" and self.kind.name == "restart":
                yield from paused(states, reach.certain)
            if self.kind.ends_nodes != "no":
                ended = self.kind.ends_nodes == "always" and not self._waits_for_request()
                states.suspend(self.id, reach, False if ended else None, line)
        elif self.kind.name == "partition":
            yield from states.enter("partition", [""], line)

    def end(self, states: NodeStates) -> None:
        """The nodes run again when the scope ends, also those that a step inside it ended."""
        states.leave(self.location.line)
        states.resume(self.id, self.location.line)

    def _waits_for_request(self) -> bool:
        return getattr(self.settings, "after_request", None) is not None


def fault(context: Context, step: FaultStep, nodes: list[str]) -> StepResult:
    """Begin the fault, run the held steps, recover. A node that does not recover fails the step.

    Missing evidence is judged by the check `faults_have_evidence`.
    """
    try:
        built = step.kind.build(build_context(context, step), step.settings)
    except NoTarget as error:
        return failed(str(error))
    try:
        with (
            context.fault_on(built.nodes),
            inject(
                built,
                context.journal.write,
                step=step.id,
                traits=step.kind.traits,
                required=step.evidence == "required",
            ) as injection,
        ):
            result = context.run_held_steps(step)
            # the kill of `after_request` that found no request does not wait for a later one
            context.connections.wrapper = None
    except (NodeFailed, FaultFailed) as error:
        return failed_by(error)
    unrecovered = [failed("; ".join(injection.unrecovered))] if injection.unrecovered else []
    return worst_result([result, *unrecovered])


def build_context(context: Context, step: Step) -> BuildContext:
    """What the fault of this step is built from."""
    seed = f"{context.seed}:{step.id}"

    def resolve_nodes(target: Target, purpose: str) -> tuple[str, ...]:
        resolved = resolve(target, context.roles, random.Random(f"{seed}{purpose}"))
        if resolved.problem:
            raise NoTarget(resolved.problem)
        return resolved.nodes

    def wrap_next_request(wrapper: RequestWrapper) -> None:
        context.connections.wrapper = wrapper

    return BuildContext(
        seed=seed,
        nodes=tuple(context.launcher.nodes),
        leader=only_leader(context.roles),
        resolve=resolve_nodes,
        handle=partial(step_handle, context),
        wrap_next_request=wrap_next_request,
        maybe_links=context.links,
        maybe_preload=context.preload,
    )


# The kinds are imported when the first step that needs them is read: most scenarios break nothing.


@cache
def _kind_fields() -> Mapping[str, Field]:
    return {name: Field(kind.record(), kind.description) for name, kind in fault_kinds().items()}


class FaultVerb(StepVerb[FaultStep], frozen=True):
    """The verb `fault`: one field for each kind, exactly one of which is written."""

    def record(self) -> Record:
        kinds = _kind_fields()
        verb = replace(self, fields={**kinds, **self.fields}, one_of=tuple(kinds))
        record = super(FaultVerb, verb).record()
        record.result = _fault_fields
        return record


def _fault_fields(evidence: str, needs: Set[str], **kinds: Any) -> dict[str, Any]:
    (name,) = (name for name, settings in kinds.items() if settings is not None)
    return {
        "kind": fault_kinds()[name],
        "settings": kinds[name],
        "evidence": evidence,
        "needs": needs,
    }


EVIDENCE = Field(
    Choice(
        {
            "required": "without measured evidence that it took effect, the run is invalid",
            "optional": "without evidence the fault is not counted",
        }
    ),
    "what missing evidence means",
    default="required",
    default_text="required",
)
FAULT = FaultVerb(
    name="fault",
    order=140,
    description="break something on purpose while the steps in `do` run; "
    "it ends when they are over, also after an error",
    step=FaultStep,
    run=fault,
    fields={"evidence": EVIDENCE},
    holds="do",
)

# --- storm ------------------------------------------------------------------------------------


def storm(context: Context, step: StormStep, nodes: list[str]) -> StepResult:
    """Run the faults that the seed draws.

    The run directory holds their schedule as a scenario that can be run again.
    """
    drawn = _draw(context, step)
    context.journal.write("storm", id=step.id)
    write_atomic(context.run.replay, replay(context))
    text = yaml.safe_dump(drawn, sort_keys=False)
    steps = read_steps(text, f"storm {step.id}", f"{step.id}.", REGISTRY.verbs)
    return context.run_held_steps(replace(step, steps=context.launcher.timeouts.scaled(steps)))


def replay(context: Context) -> str:
    """The scenario's text, with every storm replaced by its steps."""
    scenario = context.scenario
    storms = (step for step in walk_steps(scenario.steps) if isinstance(step, StormStep))
    schedules = iter([_draw(context, step) for step in storms])
    document: dict[str, Any] = yaml.load(text_of(self_contained(scenario)), Loader=yaml.BaseLoader)
    document["steps"] = list(_replace_storms(document["steps"], schedules))
    head = (
        f"# {scenario.label} with its storms as seed {context.seed} drew them; "
        f"run it with --seed {context.seed}\n"
    )
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _draw(context: Context, step: StormStep) -> list[StepYaml]:
    return schedule(step, context.cluster, f"{context.seed}:{step.id}:storm")


def _replace_storms(
    steps: Iterable[StepYaml], schedules: Iterator[list[StepYaml]]
) -> Iterator[StepYaml]:
    """The same steps with the schedules in place of the storms, in the order of the file."""
    for step in steps:
        if "storm" in step:
            yield from next(schedules)
        elif "steps" in step:
            yield {**step, "steps": list(_replace_storms(step["steps"], schedules))}
        elif isinstance(step.get("fault"), dict):
            held = list(_replace_storms(step["fault"]["do"], schedules))
            yield {"fault": {**step["fault"], "do": held}}
        else:
            yield step


@cache
def _drawn_kinds() -> Field:
    """The field with the kinds that a storm draws, and their weights."""
    drawn = [name for name, kind in fault_kinds().items() if kind.draw]
    return Field(
        MapOf(
            Int(0, 1000, "a weight"),
            key="|".join(drawn),
            key_expected="a kind of fault",
            length_min=1,
        ),
        "which kinds, and how often each beside the others",
        default={},
        default_text=f"{_default_kinds(breaks_links=False)}, and "
        f"{_default_kinds(breaks_links=True)} where links can be broken",
        attribute="weights",
    )


def _default_kinds(*, breaks_links: bool) -> str:
    weights = (
        f"{name}: {kind.default_weight}"
        for name, kind in fault_kinds().items()
        if kind.default_weight and kind.breaks_links is breaks_links
    )
    return f"{{{', '.join(weights)}}}"


class StormVerb(StepVerb[StormStep], frozen=True):
    """The verb `storm`."""

    def record(self) -> Record:
        fields = {**self.fields, "faults": _drawn_kinds(), "targets": STORM_TARGETS}
        return super(StormVerb, replace(self, fields=fields)).record()


STORM_TARGETS = Field(
    ListOf(
        Choice({word: target.description for word, target in TARGETS.items()}),
        length_min=1,
        single=True,
    ),
    "the targets of faults; each is drawn as often",
    default=("leader", "one follower"),
    default_text="[leader, one follower]",
    attribute="target_words",
)
STORM = StormVerb(
    name="storm",
    order=160,
    description="faults drawn from the seed, one after another; "
    "the run directory holds them as an ordinary scenario",
    step=StormStep,
    run=storm,
    fields={
        "for": Field(Duration(), "how long it lasts, about", required=True, attribute="total_s"),
        "duration": Field(
            Duration(),
            "how long one fault lasts, plus or minus half",
            default=0.3,
            default_text="300ms",
            attribute="duration_s",
        ),
        "interval": Field(
            Duration(zero=True),
            "the time without a fault between two, plus or minus half",
            default=0.3,
            default_text="300ms",
            attribute="interval_s",
        ),
    },
)
