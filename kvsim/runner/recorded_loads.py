"""What a run recorded of its loads, compared with their steps and their histories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kvsim.config.program import Program, Role
from kvsim.config.scenario import Step
from kvsim.errors import UsageError
from kvsim.history.build import histories_of
from kvsim.history.journal import Event
from kvsim.history.run_record import RunRecord
from kvsim.proof.replies import read_descriptions
from kvsim.run_directory import RunDirectory
from kvsim.runner.steps.workload import LoadStep, describe_load
from kvsim.timeouts import Timeouts


def edited_loads(run: RunDirectory, record: RunRecord, steps: Mapping[str, Step]) -> Iterator[str]:
    """One line for each event of a load that is not what its step or its history gives."""
    from kvsim.workload.drive import counts_of

    programs = _programs(run, record)
    histories = record.built(histories_of)
    for line, event in enumerate(record.events, 1):
        where = f"{run.journal}:{line}"
        if event.kind == "load_start":
            step = steps.get(event["id"])
            if not isinstance(step, LoadStep):
                yield f"{where}: load {event['name']} was not started by step {event['id']}"
                continue
            for name in _wrong_fields(record, event, step, programs):
                yield f"{where}: `{name}` is not what step {step.id} gives load {event['name']}"
        elif event.kind == "load_stop" and event["name"] in histories:
            history = histories[event["name"]]
            counted = counts_of(history.operations, len(history.samples))
            for name in counted.keys() | event["counts"].keys():
                if event["counts"].get(name) != counted.get(name):
                    yield f"{where}: the history of load {event['name']} has other `{name}`"


def _programs(run: RunDirectory, record: RunRecord) -> list[Program]:
    """The programs of the nodes; none where the run did not keep them."""
    if not run.programs.exists():
        return []
    try:
        nodes = read_descriptions(run)
    except UsageError:
        # It is named where replies are classified again.
        return []
    return [nodes[name].program for name in record.nodes if name in nodes]


def _wrong_fields(
    record: RunRecord, event: Event, step: LoadStep, programs: Sequence[Program]
) -> Iterator[str]:
    limits = record.meta["time_limits"]
    timeouts = Timeouts(limits["how"], limits["default_factor"], limits["user_factor"])
    if programs:
        described = describe_load(timeouts.scaled(step), programs, record.meta["seed"])
        yield from (name for name, value in described.items() if event.get(name) != value)
    if tuple(event["writes_at"]) not in _nodes_at(record, event, step.at):
        yield "writes_at"
    reads_at = tuple(event["reads_at"])
    if step.reads is None:
        if event["reads_at"] != event["writes_at"]:
            yield "reads_at"
    elif reads_at not in _nodes_at(record, event, step.reads):
        yield "reads_at"


def _nodes_at(record: RunRecord, event: Event, at: str) -> set[tuple[str, ...]]:
    """The nodes that clients may begin at, by the roles that were reported last.

    A node that had ended, which was not noted yet, may be among them or not.
    """
    every_node = tuple(record.nodes)
    if at == "leader":
        leaders = _with_role(record, event, Role.LEADER)
        return {leaders or every_node, every_node}
    if at == "each follower":
        ended = _with_role(record, event, Role.FOLLOWER, ended=True)
        return {_with_role(record, event, Role.FOLLOWER), ended}
    return {every_node}


def _with_role(
    record: RunRecord, event: Event, role: Role, *, ended: bool = False
) -> tuple[str, ...]:
    """The nodes that reported a role last; with `ended`, those that have ended since, too."""
    if not ended:
        return tuple(node for node in record.nodes if record.role_at(node, event.at_s) == role)
    reported = {node: plan["role"] for node, plan in record.nodes.items()}
    for other in record.of_kind("role"):
        if other.at_s <= event.at_s:
            reported[other["node"]] = other["role"]
    return tuple(node for node in record.nodes if reported[node] == role)
