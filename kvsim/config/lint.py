"""Hold a scenario against the cluster it would run on: do its targets, its needs and its expectations make sense there?

Pure: from values to problems. What only a running cluster can tell (who is leader now) is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kvsim.config.cluster import Cluster
from kvsim.config.fault_words import FAULTS, LINKS, NOT_CARRIED
from kvsim.config.names import REQUEST_FIELDS
from kvsim.config.program import Role
from kvsim.config.program_words import CAPABILITIES
from kvsim.config.scenario import Expectation, Scenario, Step
from kvsim.config.spelling import did_you_mean
from kvsim.config.target import NAMED, THE, Target
from kvsim.config.yaml_tree import shown
from kvsim.errors import Problem


def lint(scenario: Scenario, cluster: Cluster) -> list[Problem]:
    """Everything in the scenario that cannot be on this cluster, sorted by place."""
    file = shown(scenario.path)
    found = [
        Problem(file, step.line, step.column, f"{step.verb}: {message}")
        for step in every_step(scenario.steps)
        for message in _mistakes(step, cluster)
    ]
    found += [Problem(file, 0, 0, message) for message in _needs(scenario, cluster)]
    if not missing_capabilities(scenario, cluster):  # else it is skipped
        found += [
            Problem(file, step.line, step.column, f"{step.verb}: {message}")
            for step in every_step(scenario.steps)
            for message in _requests(step, cluster)
        ]
    return sorted(found)


def every_step(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps, those inside other steps too, in order."""
    for step in steps:
        yield step
        yield from every_step(step.steps)


def missing_capabilities(scenario: Scenario, cluster: Cluster) -> list[str]:
    """What the scenario needs and a program of the cluster lacks, one line each: the reason for a skip."""
    programs = {node.program.name: node.program for node in cluster.nodes}
    return [
        f"program {program.name} has no capability `{need}`"
        for need in sorted(scenario.needs)
        for program in programs.values()
        if need not in program.capabilities
    ]


def _mistakes(step: Step, cluster: Cluster) -> Iterator[str]:
    for target in targets_of(step.fields.values()):
        yield from _target(target, cluster)
    for kind in fault_kinds(step):
        yield from _link(kind, cluster)
    if step.verb == "fault":
        yield from _settings(step)
    if step.expect and _names_leader(step.expect) and not _can_lead(cluster):
        yield "`names: leader`, but no node of this cluster is or becomes a leader"


def _settings(step: Step) -> Iterator[str]:
    """Settings of a fault that say nothing beside its others."""
    name = next(name for name in FAULTS if step.fields.get(name) is not None)
    written = step.fields[name]
    for setting, (other, values) in FAULTS[name].only_with.items():
        if written[setting] is not None and written[other] not in values:
            yield f"{name}: `{setting}` is for `{other}: {' or '.join(values)}`, and this is `{other}: {written[other]}`"


def _requests(step: Step, cluster: Cluster) -> Iterator[str]:
    """Requests that a step makes and that its programs do not describe: of a step none does, of a load not all do."""
    programs = {node.program.name: node.program for node in cluster.nodes}
    mix = (
        [verb for verb, weight in (step.fields.get("mix") or {}).items() if weight]
        if step.verb == "load"
        else []
    )
    for verb in mix or ([step.verb] if step.verb in REQUEST_FIELDS else []):
        without = [name for name, program in programs.items() if verb not in program.requests]
        if without and (mix or len(without) == len(programs)):
            need = (
                f" or say `needs: [{verb}]`, which skips programs that have none"
                if verb in CAPABILITIES
                else ""
            )
            yield f"program {without[0]} has no request `{verb}`: describe it in its node.yaml{need}"
    if "cas" in mix and "put" not in mix:
        yield "`cas` replaces values that the load itself wrote, so its mix needs `put` too"
    if "cas" not in mix and ((step.fields.get("minima") or {}).get("cas")):
        yield "`minima` wants compare-and-sets, but `mix` has no `cas`"


def fault_kinds(step: Step) -> list[str]:
    """The kinds of fault that a step makes, or may draw as a storm; those that go without saying are not among them."""
    words = {"fault": step.fields, "storm": step.fields.get("faults") or {}}.get(step.verb, {})
    return [kind for kind in FAULTS if words.get(kind)]


def _link(kind: str, cluster: Cluster) -> Iterator[str]:
    """A fault of links, on a cluster whose links cannot be broken, or not so."""
    if kind not in LINKS:
        return
    where = shown(cluster.path)
    if cluster.links not in NOT_CARRIED:
        yield f"`{kind}` needs links that can be broken: say `links: proxied` or `links: netns` in {where}"
    elif kind in NOT_CARRIED[cluster.links]:
        why = NOT_CARRIED[cluster.links][kind]
        yield f"`{kind}` cannot be had with `links: {cluster.links}` ({why}): say `links: proxied` in {where}"


def targets_of(values: Iterable[object]) -> Iterator[Target]:
    """Every target among a step's fields, those inside the settings of a fault too."""
    for value in values:
        if isinstance(value, Target):
            yield value
        elif isinstance(value, Mapping):
            yield from targets_of(value.values())


def _target(target: Target, cluster: Cluster) -> Iterator[str]:
    names = [node.name for node in cluster.nodes]
    if target.which == NAMED:
        for name in target.names:
            if name not in names:
                yield f"there is no node `{name}` in cluster {cluster.name}{did_you_mean(name, names)}"
    elif target.role is Role.LEADER and not _can_lead(cluster):
        yield f"target `{target}` matches nobody: cluster {cluster.name} has no leader"
    elif target.role is Role.FOLLOWER:
        yield from _followers(target, cluster)


def _followers(target: Target, cluster: Cluster) -> Iterator[str]:
    count = sum(node.role is Role.FOLLOWER for node in cluster.nodes)
    if _elects(cluster):
        count = len(cluster.nodes) - 1
    if not count:
        yield f"target `{target}` matches nobody: cluster {cluster.name} has no follower"
    elif target.which == THE and count > 1:
        yield f"target `follower` is one of {count}: say `any follower` or `each follower`"


def _elects(cluster: Cluster) -> bool:
    return any("elects" in node.program.capabilities for node in cluster.nodes)


def _can_lead(cluster: Cluster) -> bool:
    return _elects(cluster) or any(node.role is Role.LEADER for node in cluster.nodes)


def _names_leader(expect: Expectation) -> bool:
    return bool(expect.names) or any(map(_names_leader, expect.options))


def _needs(scenario: Scenario, cluster: Cluster) -> Iterator[str]:
    """A need that no program has and no table knows is a slip of the pen, not a reason to skip."""
    known = set(CAPABILITIES).union(*(node.program.capabilities for node in cluster.nodes))
    for need in sorted(scenario.needs - known):
        yield f"needs: nobody knows the capability `{need}`{did_you_mean(need, known)}"
