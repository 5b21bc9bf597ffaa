"""What the scenario and the cluster file of a run ask for, compared with what the run recorded.

Both files are read again; nothing is started.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kvsim.config.cluster_loader import resize, with_roles
from kvsim.config.program import Role
from kvsim.config.scenario import Expectation, Scenario, Step, walk_steps
from kvsim.config.scenario_loader import read_recorded
from kvsim.config.template import TemplateError
from kvsim.config.variables import draw
from kvsim.config.yaml_nodes import Fields, Scalar, read_file
from kvsim.errors import FileProblems, Problem, UsageError
from kvsim.faults.registry import fault_kinds
from kvsim.history.journal import Event
from kvsim.history.run_record import RunRecord
from kvsim.run_directory import RunDirectory
from kvsim.runner.job import checks_of
from kvsim.runner.recorded_loads import edited_loads
from kvsim.runner.registry import REGISTRY
from kvsim.runner.runner import describe_step
from kvsim.runner.steps.faults import FaultStep
from kvsim.runner.steps.requests import fill_expectation
from kvsim.runner.storm import StormStep
from kvsim.structs import to_dict

# Of a run that a test in Python made, scenario.yaml is that test.
PYTHON = ".py"


def edited_scenario_or_cluster(run: RunDirectory) -> list[str]:
    """One line for each thing that one of the two files asks for and the run did not record, or the
    other way round.

    Raises UsageError when the run cannot be read.
    """
    record = RunRecord.load(run)
    try:
        if Path(record.meta["scenario_file"]).suffix == PYTHON:
            return list(_cluster_problems(run, record, None))
        scenario = read_recorded(run.scenario, run.cluster, REGISTRY, record.meta["cell"])
        return [
            *_scenario_problems(run, record, scenario),
            *_cluster_problems(run, record, scenario.overrides.nodes),
        ]
    except FileProblems as error:
        return [f"{problem}, so this is not what was run" for problem in error.problems]
    except TemplateError as error:
        return [f"{run.scenario}: {error}, so this is not what was run"]


def _scenario_problems(run: RunDirectory, record: RunRecord, scenario: Scenario) -> Iterator[str]:
    meta = record.meta
    asked = {
        "scenario": scenario.label,
        "title": scenario.title,
        "vars": dict(scenario.variables),
        "checks": checks_of(
            scenario, attached=meta["attached"], program_replaced=meta["program_replaced"]
        ),
    }
    for name, value in asked.items():
        if meta[name] != value:
            yield f"{run.scenario}: `{name}` is not what {run.meta} states"
    yield from _step_problems(run, record, scenario)


def _step_problems(run: RunDirectory, record: RunRecord, scenario: Scenario) -> Iterator[str]:
    """A step that was recorded otherwise, that no scenario asked for, or that was left out."""
    asked = dict(_described(scenario))
    steps = {name: step for name, (step, _) in asked.items()}
    yield from edited_loads(run, record, steps)
    yield from _edited_faults(run, record, steps)
    variables = draw(scenario.variables, record.meta["seed"])
    drawn = tuple(
        f"{step.id}." for step in walk_steps(scenario.steps) if isinstance(step, StormStep)
    )
    recorded = {event["id"]: event for event in record.of_kind("step")}
    for step_id, event in recorded.items():
        if step_id not in asked:
            if not step_id.startswith(drawn):
                yield f"{run.scenario}: has no step {step_id}, which {run.journal} records"
            continue
        step, described = asked[step_id]
        if not _is_recorded(event, step, described, variables):
            yield (
                f"{run.scenario}:{step.location.line}: step {step_id} is not the one that "
                f"{run.journal} records"
            )
    if _ran_to_its_end(record):
        for step_id, (step, _) in asked.items():
            if step_id not in recorded:
                yield (
                    f"{run.scenario}:{step.location.line}: step {step_id} is asked for, and "
                    f"{run.journal} does not record it"
                )


def _edited_faults(
    run: RunDirectory, record: RunRecord, steps: Mapping[str, Step]
) -> Iterator[str]:
    """A fault whose kind or importance is not that of its step; storms draw theirs."""
    for line, event in enumerate(record.events, 1):
        if event.kind != "fault_plan":
            continue
        kind, step = fault_kinds().get(event["fault"]), steps.get(event["id"])
        wrong = kind is not None and event["traits"] != to_dict(kind.traits)
        if isinstance(step, FaultStep):
            wrong |= event["required"] != (step.evidence == "required")
            wrong |= event["fault"] != step.kind.name
        if wrong:
            yield f"{run.journal}:{line}: is not the fault of step {event['id']}"


def _described(scenario: Scenario) -> Iterator[tuple[str, tuple[Step, Mapping[str, object]]]]:
    """Step id → step, and the fields of its event."""
    for group in scenario.groups:
        for step in walk_steps(group.steps):
            yield step.id, (step, describe_step(group.title, step))


def _is_recorded(
    event: Event, step: Step, described: Mapping[str, object], variables: Mapping[str, str]
) -> bool:
    if any(event.get(name) != value for name, value in described.items()):
        return False
    # A step that was skipped has none.
    return "expectation" not in event.fields or event["expectation"] == _filled(
        step.expect, variables
    )


def _filled(expect: Expectation | None, variables: Mapping[str, str]) -> Mapping[str, Any] | None:
    return fill_expectation(expect, variables).to_json() if expect else None


def _ran_to_its_end(record: RunRecord) -> bool:
    """Whether nothing explains that a step was not run."""
    finished = record.end is not None and record.end["how"] == "finished"
    return finished and all(step.result == "pass" for step in record.steps)


def _cluster_problems(run: RunDirectory, record: RunRecord, count: int | None) -> Iterator[str]:
    problems: list[Problem] = []
    tree = read_file(run.cluster, problems)
    if tree is None:
        raise FileProblems(problems)
    name = tree.get("cluster")
    if not isinstance(name, Scalar) or name.text != record.meta["cluster"]:
        yield f"{run.cluster}: `cluster` is not what {run.meta} states"
    if count is not None:
        tree = resize(tree, count)
    if record.meta["program_replaced"]:
        tree = with_roles(tree)
    asked = _roles(tree)
    recorded = {name: plan["role"] for name, plan in record.nodes.items()}
    if list(asked) != list(recorded):
        yield (
            f"{run.cluster}: has the nodes {', '.join(asked)}; {run.meta} states "
            f"{', '.join(recorded)}"
        )
    for node in asked.keys() & recorded.keys():
        if asked[node] != recorded[node]:
            yield f"{run.cluster}: node {node} is not the {recorded[node]} that {run.meta} states"


def _roles(cluster: Fields) -> Mapping[str, str]:
    nodes = cluster.get("nodes")
    if not isinstance(nodes, Fields):
        raise UsageError(f"{cluster.location.file}: has no nodes, so this is not what was run")
    return {key.text: _role(node) for key, node in nodes.entries}


def _role(node: object) -> str:
    role = node.get("role") if isinstance(node, Fields) else None
    return role.text if isinstance(role, Scalar) else Role.FOLLOWER.value
