"""An interactive session as a scenario: its commands become steps, their outcomes expectations.

Does not know terminals. An outcome that cannot be expected again (a time-out) becomes `unknown`. A
partition becomes a fault around the commands until it is healed.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct, field

from kvsim.api.cluster import LiveCluster, LiveNode, Reply
from kvsim.config.names import CLIENT, REQUEST_FIELDS
from kvsim.config.program import Role
from kvsim.config.target import parse_target
from kvsim.config.template import NAME
from kvsim.errors import NodeFailed, UsageError
from kvsim.faults.network import LinkFault, partition_lines
from kvsim.history.outcome import Reason
from kvsim.network.partitions import Side, flows_between, parse_sides
from kvsim.runner.roles import leaders
from kvsim.runner.targets import resolve
from kvsim.text import did_you_mean

TRAFFIC_WITHIN_S = 2.0
# In the scenario, nodes get this time, plus twice the time that the session needed, to send traffic
# across the partition.
TRAFFIC_MS_MIN = 500
NO_TRAFFIC = (
    "no traffic tried to cross, so the partition is not recorded; the commands inside it are"
)


def list_item(step: str, indent: str) -> str:
    """A step of one or more lines as an item of a YAML list."""
    first, *more = step.splitlines()
    return "".join([f"{indent}- {first}\n", *(f"{indent}  {line}\n" for line in more)])


class Partition(Struct):
    """A partition of two sides.

    Between `begin` and `end`, `steps` collects the steps inside it. After `end`, `as_step` makes it
    a step itself, if it stopped any traffic (`took_effect`).
    """

    cluster: LiveCluster
    sides: list[Side]
    steps: list[str] = field(default_factory=list)
    took_effect: bool = False
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _fault: LinkFault | None = None
    _traffic_ms: int = 0

    def begin(self) -> Iterator[str]:
        """Partition the nodes; yields lines with the evidence.

        Raises UsageError where links cannot be broken.
        """
        flows = flows_between(self.sides)
        self._fault = self._stack.enter_context(self.cluster.broken_flows(flows, "blackhole"))
        began_s = time.monotonic()
        evidence = self._fault.wait_for_traffic(TRAFFIC_WITHIN_S)
        self._traffic_ms = int(1000 * (time.monotonic() - began_s))
        yield from partition_lines(self.sides, evidence)

    def end(self) -> Iterator[str]:
        """Heal; yields lines. Raises NodeFailed when the links do not recover."""
        evidence = self._fault.measure() if self._fault else ()
        self._stack.close()
        self.took_effect = any(item.took_effect for item in evidence)
        yield "healed: everything passes again"
        if not self.took_effect:
            yield NO_TRAFFIC

    def as_step(self) -> str:
        """The fault with its steps inside; the first gives the nodes time to send traffic."""
        ends = [CLIENT if side == (CLIENT,) else f"[{', '.join(side)}]" for side in self.sides]
        wait = f"{TRAFFIC_MS_MIN + 2 * self._traffic_ms}ms"
        first = f"sleep: {{for: {wait}, why: nodes on both sides have to try to reach each other}}"
        steps = "".join(list_item(step, "    ") for step in [first, *self.steps])
        fault = f"fault:\n  blackhole: {{from: {ends[0]}, to: {ends[1]}}}\n  do:\n{steps}"
        return fault.rstrip("\n")


ACTIONS: dict[str, Callable[[LiveNode], None]] = {
    "kill": LiveNode.kill,
    "stop": LiveNode.stop,
    "start": LiveNode.start,
    "restart": LiveNode.restart,
}
REQUESTS: dict[str, Callable[..., Reply]] = {
    "put": LiveNode.put,
    "get": LiveNode.get,
    "delete": LiveNode.delete,
    "cas": LiveNode.cas,
    "promote": LiveNode.promote,
}
LINK_COMMANDS = ("partition", "heal")
# In the scenario, a follower's copy or a new role may take this long to appear.
SETTLE = "5s"
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
VARIABLE = re.compile(rf"\{{({NAME})\}}")


class Recording(Struct):
    """`do` executes a command; `text` is the scenario of all commands.

    `_leader_may_change`: after a promotion or a partition, the next command waits for the roles
    that the nodes had in the session.
    """

    name: str
    title: str
    cluster_file: str
    steps: list[str] = field(default_factory=list)
    partitions: list[Partition] = field(default_factory=list)
    _leader_may_change: bool = False

    def do(self, cluster: LiveCluster, line: str) -> Iterator[str]:
        """Execute a command; yields lines with its outcome. Raises UsageError for unknown words."""
        verb, target_text, arguments = _parse(line)
        if verb in LINK_COMMANDS:
            yield from self._partition(cluster, target_text) if verb == "partition" else self.heal()
            return
        nodes = _resolve(cluster, target_text, verb)
        if verb in ACTIONS:
            yield from self._act(verb, target_text, nodes)
            return
        before = _roles(cluster) if self._leader_may_change and verb == "promote" else []
        replies = [REQUESTS[verb](node, *arguments) for node in nodes]
        yield from map(str, replies)
        if self._leader_may_change:
            # The nodes have the roles they had when they answered, or were about to report them.
            self._add(before or _roles(cluster))
        self._leader_may_change = verb == "promote"
        self._add(_steps(cluster, verb, target_text, arguments, replies))

    def _act(self, verb: str, target_text: str, nodes: list[LiveNode]) -> Iterator[str]:
        for node in nodes:
            try:
                ACTIONS[verb](node)
            except NodeFailed as error:
                raise UsageError(f"not recorded: {error}") from error
            yield f"{node.name} {verb}: done"
        self._add([f"{verb}: {target_text}"])

    def heal(self) -> Iterator[str]:
        """Heal every partition, the last first; each becomes a step with its steps inside."""
        if not self.partitions:
            yield "nothing to heal: every link passes"
        while self.partitions:
            partition = self.partitions.pop()
            self._leader_may_change = True
            yield from partition.end()
            self._add([partition.as_step()] if partition.took_effect else partition.steps)

    def _partition(self, cluster: LiveCluster, text: str) -> Iterator[str]:
        sides = parse_sides(
            text.split(), list(cluster.nodes), lambda side: _side(cluster, " ".join(side))
        )
        if len(sides) > 2:
            raise UsageError(
                "a partition that is recorded has two sides; separate the third with a second one"
            )
        broken = {flow for other in self.partitions for flow in flows_between(other.sides)}
        twice = [flow for flow in flows_between(sides) if flow in broken]
        if twice:
            raise UsageError(f"{'–'.join(twice[0])} is partitioned already; heal first")
        partition = Partition(cluster, sides)
        yield from partition.begin()
        self.partitions.append(partition)

    def _add(self, steps: list[str]) -> None:
        """Add steps to the innermost partition, or to the scenario when there is none."""
        (self.partitions[-1].steps if self.partitions else self.steps).extend(steps)

    def text(self) -> str:
        """The scenario file."""
        head = [
            f"scenario: {self.name}",
            f"title: {json.dumps(self.title, ensure_ascii=False)}",
            f"cluster: {self.cluster_file}",
            "steps:",
        ]
        return "\n".join(head) + "\n" + "".join(list_item(step, "  ") for step in self.steps)


def _parse(line: str) -> tuple[str, str, list[str]]:
    """(verb, target, arguments) of a command; the last words of the line are the arguments."""
    try:
        verb, *words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line}: {error}") from None
    known = [*REQUESTS, *ACTIONS, *LINK_COMMANDS]
    if verb not in known:
        commands = f"{did_you_mean(verb, known)}; there are {', '.join(known)} and end"
        raise UsageError(f"`{verb}` is no command{commands}")
    if verb == "heal":
        if words:
            raise UsageError("heal takes no arguments: it heals every partition")
        return verb, "", []
    fields = REQUEST_FIELDS.get(verb, ())
    if len(words) <= len(fields):
        raise UsageError(f"{verb} takes TARGET{''.join(f' {name.upper()}' for name in fields)}")
    cut = len(words) - len(fields)
    return verb, " ".join(words[:cut]), words[cut:]


def _side(cluster: LiveCluster, target_text: str) -> tuple[str, ...]:
    if set(target_text.split()) <= set(cluster.nodes):
        return tuple(target_text.split())
    return tuple(node.name for node in _resolve(cluster, target_text, "partition"))


def _roles(cluster: LiveCluster) -> list[str]:
    """Steps that wait for the roles that the nodes report now."""
    roles = cluster.observe_roles().values()
    reported = [
        observed
        for observed in roles
        if observed.up and observed.role and observed.how == "reports"
    ]
    return [
        f"check: {{at: [{', '.join(names)}], role: {role}, eventually: {SETTLE}}}"
        for role in Role
        if (names := [observed.node for observed in reported if observed.role is role])
    ]


def _resolve(cluster: LiveCluster, target_text: str, verb: str) -> list[LiveNode]:
    try:
        target = parse_target(target_text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    unknown = [name for name in target.names if name not in cluster.nodes]
    if unknown:
        raise UsageError(f"no node is called `{unknown[0]}`; there are {', '.join(cluster.nodes)}")
    roles = cluster.observe_roles()
    resolved = resolve(target, roles, random.Random(cluster.seed), prefer_up=verb != "start")
    if resolved.problem:
        raise UsageError(resolved.problem)
    return [cluster[name] for name in resolved.nodes]


def _steps(
    cluster: LiveCluster,
    verb: str,
    target_text: str,
    arguments: list[str],
    replies: Sequence[Reply],
) -> list[str]:
    """One step when all nodes answered the same, else one for each node."""
    expected = [_expectation(cluster, reply) for reply in replies]
    if len(set(expected)) == 1:
        return [_step(verb, target_text, arguments, expected[0])]
    return [
        _step(verb, reply.node, arguments, expect)
        for reply, expect in zip(replies, expected, strict=True)
    ]


def _step(verb: str, target_text: str, arguments: list[str], expected: str) -> str:
    fields = "".join(
        f", {name}: {_quote(text)}"
        for name, text in zip(REQUEST_FIELDS[verb], arguments, strict=True)
    )
    # A copy needs the time that it had in the session.
    is_served = verb == "get" and expected not in {"unknown", "unreachable", "refused"}
    eventually = f", eventually: {SETTLE}" if is_served else ""
    return f"{verb}: {{at: {target_text}{fields}, expect: {expected}{eventually}}}"


def _expectation(cluster: LiveCluster, reply: Reply) -> str:
    if reply.unknown:
        return "unknown"
    if reply.ok:
        return _answer(reply)
    if reply.reason is Reason.UNREACHABLE:
        return "unreachable"
    if reply.reason is not Reason.READ_ONLY:
        return "refused"
    names_leader = leaders(cluster.observe_roles()) == [reply.leader]
    return f"{{refused: read_only{', names: leader' if names_leader else ''}}}"


def _answer(reply: Reply) -> str:
    if reply.matched is False:
        return "mismatch"
    if reply.value is not None:
        return f"{{value: {_quote(reply.value)}}}"
    return "not_found" if reply.found is False else "ok"


def _quote(text: str) -> str:
    """A plain word as it is; other texts in quotes, with the braces of `{name}` doubled."""
    if PLAIN.fullmatch(text) and text.lower() not in YAML_WORDS:
        return text
    return json.dumps(VARIABLE.sub(r"{{\1}}", text), ensure_ascii=False)
