"""Check a scenario against a cluster: can its targets, faults and requests exist there?

Pure: from values to problems. What depends on a running cluster (who leads now) is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from kvsim.config.cluster import Cluster
from kvsim.config.cluster_loader import option_mistake
from kvsim.config.fault_schema import FaultKind
from kvsim.config.needs import NEEDS, unmet_needs
from kvsim.config.node_states import NodeStates
from kvsim.config.program import Program, Role
from kvsim.config.program_schema import CAPABILITIES
from kvsim.config.scenario import Scenario, Step, walk_steps
from kvsim.config.target import CANDIDATE, NAMED, OLD_LEADER, THE, Target
from kvsim.config.template import render
from kvsim.config.yaml_nodes import SourceLocation, display_path, scalars_in
from kvsim.errors import Problem
from kvsim.text import did_you_mean


def lint(
    scenario: Scenario,
    cluster: Cluster,
    *,
    partial: bool = False,
    attached: bool = False,
    elsewhere: bool = False,
) -> list[Problem]:
    """Everything in the scenario that cannot exist on this cluster, sorted by location.

    `partial`: files have mistakes, so that not all steps or programs could be read. `attached`: on
    a cluster that is up already. `elsewhere`: the program is not on this machine, or not yet.
    """
    file = display_path(scenario.path)
    steps = list(walk_steps(scenario.steps))
    fill = _fill_with(scenario.variables)
    # What does not apply is skipped.
    applies = not reasons_to_skip(scenario, cluster)
    found = [_problem(file, step, message) for step in steps for message in _check(step, cluster)]
    found += _check_needs(scenario, cluster)
    if applies:
        found += [
            _problem(file, step, message)
            for step in steps
            for message in step.mistakes(cluster, fill)
        ]
    if applies and not partial:
        found += [
            _problem(file, step, message)
            for step, message in _simulate(scenario, cluster, attached)
        ]
        found += [
            _problem(file, step, message)
            for step in _applicable(scenario.steps, cluster)
            for message in _check_requests(step, cluster)
        ]
        if not elsewhere:
            found += [problem for program in _programs(cluster) for problem in program.missing]
    return sorted(set(found))


def _fill_with(variables: Mapping[str, str]) -> Callable[[str], str]:
    """Fill in variables as the first seed draws them."""
    if not variables:
        return lambda text: render(text, {})
    # Few scenarios draw nothing, and a command that reads none imports no generator.
    from kvsim.config.variables import draw

    values = draw(variables, 0)
    return lambda text: render(text, values)


def _programs(cluster: Cluster) -> list[Program]:
    return list({node.program.name: node.program for node in cluster.nodes}.values())


def _simulate(scenario: Scenario, cluster: Cluster, attached: bool) -> Iterator[tuple[Step, str]]:
    """Steps that need a node, a fault or a load in another state than it has by then."""
    promotes = any(step.verb == "promote" for step in walk_steps(scenario.steps))
    moves = promotes or _elects(cluster)
    states = NodeStates.at_start(cluster, roles_move=moves, attached=attached)
    yield from _walk(scenario.steps, states, _programs(cluster))


def _walk(
    steps: Iterable[Step], states: NodeStates, programs: Sequence[Program]
) -> Iterator[tuple[Step, str]]:
    for step in steps:
        if unmet_needs(step.needs, programs):
            continue
        for message in step.begin(states):
            yield step, message
        yield from _walk(step.steps, states, programs)
        step.end(states)


def _problem(file: str, step: Step, message: str) -> Problem:
    return Problem(file, step.location.line, step.location.column, f"{step.verb}: {message}")


def reasons_to_skip(scenario: Scenario, cluster: Cluster) -> list[str]:
    """Why the scenario does not apply to this cluster, one line each; it is then skipped.

    A program lacks a capability that the scenario needs. Of a program that was given instead of
    the files' own: it has no option that the scenario sets, or no request that a step makes.
    """
    reasons = unmet_needs(scenario.needs, _programs(cluster))
    if cluster.program_replaced and not reasons:
        reasons += [
            f"{message}, and the scenario sets it"
            for option, value in scenario.overrides.options.items()
            if (message := option_mistake(option, value, _programs(cluster)))
        ]
        reasons += [
            message
            for step in _applicable(scenario.steps, cluster)
            for message in _lacks(step, cluster)
        ]
    return list(dict.fromkeys(reasons))


def _applicable(steps: Iterable[Step], cluster: Cluster) -> Iterator[Step]:
    """The steps, and those inside them, that are not left out on this cluster."""
    programs = _programs(cluster)
    for step in steps:
        if not unmet_needs(step.needs, programs):
            yield step
            yield from _applicable(step.steps, cluster)


def _check(step: Step, cluster: Cluster) -> Iterator[str]:
    for target in step.targets():
        yield from _check_target(target, cluster)
    for kind in step.fault_kinds(cluster.links):
        yield from _check_link(kind, cluster)
    if step.expect and step.expect.names_leader() and not _can_lead(cluster):
        yield "`names: leader`, but no node of this cluster is or becomes a leader"


def _check_requests(step: Step, cluster: Cluster) -> Iterator[str]:
    for verb, lack in _lacking(step, cluster):
        advice = "describe it in its node.yaml"
        if verb in CAPABILITIES:
            advice += f" or write `needs: [{verb}]`, which skips programs that have none"
        yield f"{lack}: {advice}"


def _lacks(step: Step, cluster: Cluster) -> Iterator[str]:
    for _, lack in _lacking(step, cluster):
        yield f"{lack}, which the scenario makes"


def _lacking(step: Step, cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Requests that programs do not describe: no program, or for a load not every program."""
    programs = {node.program.name: node.program for node in cluster.nodes}
    for verb in step.request_verbs():
        without = [name for name, program in programs.items() if verb not in program.requests]
        if without and (step.asks_every_program or len(without) == len(programs)):
            yield verb, f"program {without[0]} has no request `{verb}`"


def _check_link(kind: FaultKind, cluster: Cluster) -> Iterator[str]:
    """A fault of links on a cluster whose links cannot be broken, or not by this kind of fault."""
    if not kind.breaks_links:
        return
    file = display_path(cluster.path)
    if cluster.links == "direct":
        advice = f"write `links: proxied` or `links: netns` in {file}"
        yield f"`{kind.name}` needs links that can be broken: {advice}"
    elif cluster.links in kind.unsupported:
        why = kind.unsupported[cluster.links]
        advice = f"write `links: proxied` in {file}"
        yield f"`{kind.name}` is not possible with `links: {cluster.links}` ({why}): {advice}"


def _check_target(target: Target, cluster: Cluster) -> Iterator[str]:
    names = [node.name for node in cluster.nodes]
    if target.which == NAMED:
        for name in target.names:
            if name not in names:
                known = did_you_mean(name, names)
                yield f"there is no node `{name}` in cluster {cluster.name}{known}"
    elif target.which == CANDIDATE and not _elects(cluster):
        yield "target `candidate` matches no node: no program here elects (capability `elects`)"
    elif (target.role is Role.LEADER or target.which == OLD_LEADER) and not _can_lead(cluster):
        yield f"target `{target}` matches no node: cluster {cluster.name} has no leader"
    elif target.role is Role.FOLLOWER:
        yield from _check_followers(target, cluster)


def _check_followers(target: Target, cluster: Cluster) -> Iterator[str]:
    count = sum(node.role is Role.FOLLOWER for node in cluster.nodes)
    if _elects(cluster):
        count = len(cluster.nodes) - 1
    if not count:
        yield f"target `{target}` matches no node: cluster {cluster.name} has no follower"
    elif target.which == THE and count > 1:
        yield f"target `follower` is one of {count}: write `any follower` or `each follower`"


def _elects(cluster: Cluster) -> bool:
    """Whether roles are elected, or may be: a program that could not be read has no `start`."""
    return any(
        "elects" in node.program.capabilities or not node.program.start for node in cluster.nodes
    )


def _can_lead(cluster: Cluster) -> bool:
    return _elects(cluster) or any(node.role is Role.LEADER for node in cluster.nodes)


def _check_needs(scenario: Scenario, cluster: Cluster) -> Iterator[Problem]:
    """A capability that no program has and no table knows is a mistake, not a reason to skip."""
    known = set(NEEDS).union(*(node.program.capabilities for node in cluster.nodes))
    written = scenario.tree.get("needs") if scenario.tree else None
    places = {item.text: item.location for item in scalars_in(written)} if written else {}
    for step in walk_steps(scenario.steps):
        places.update(dict.fromkeys(step.needs - places.keys(), step.location))
    needs = scenario.needs.union(*(step.needs for step in walk_steps(scenario.steps)))
    for need in sorted(needs - known):
        hint = did_you_mean(need, known)
        if not all(node.program.start for node in cluster.nodes) and "did you mean" not in hint:
            # A program that could not be read may have it.
            continue
        message = f"needs: there is no capability `{need}`{hint}"
        location = places.get(need) or SourceLocation(display_path(scenario.path), 0, 0)
        yield location.problem(message)
