"""A session by hand as a scenario: what was done becomes steps, what came of it becomes their expectations.

Knows the words of commands and of expectations; knows nothing of terminals. An outcome nobody can expect again (a time-out) is kept
as `unknown`.
"""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from kvsim.config.names import REQUEST_FIELDS
from kvsim.config.program import Role
from kvsim.config.spelling import did_you_mean
from kvsim.config.target import parse_target
from kvsim.errors import NodeFailed, UsageError
from kvsim.history.outcome import Reason
from kvsim.live.cluster import LiveCluster, LiveNode
from kvsim.live.parting import Parting, item
from kvsim.live.reply import Reply
from kvsim.live.sides import flows, sides
from kvsim.scenario.roles import leaders
from kvsim.scenario.targets import resolve

ACTIONS: dict[str, Callable[[LiveNode], None]] = {
    "kill": LiveNode.kill,
    "stop": LiveNode.stop,
    "start": LiveNode.start,
    "restart": LiveNode.restart,
}
LINKS = ("partition", "heal")
SETTLE = "5s"
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
NOT_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass
class Recording:
    """`do` carries out one command; `text` is the scenario of all that were."""

    name: str
    title: str
    cluster_file: str
    steps: list[str] = field(default_factory=list)
    partings: list[Parting] = field(default_factory=list)
    _changed: bool = (
        False  # who leads may have changed: what is done next waits for the roles it was done under
    )

    def do(self, cluster: LiveCluster, line: str) -> Iterator[str]:
        """Carry out one command and say what came of it. Raises UsageError for words that mean nothing."""
        verb, who, rest = _parsed(line)
        if verb in LINKS:
            yield from self._part(cluster, who) if verb == "partition" else self.heal()
            return
        nodes = _meant(cluster, who, verb)
        if verb in ACTIONS:
            yield from self._act(verb, who, nodes)
            return
        before = _roles(cluster) if self._changed and verb == "promote" else []
        replies = [getattr(node, verb)(*rest) for node in nodes]
        yield from map(str, replies)
        if self._changed:  # what they say now is what they said when they answered, or were about to say
            self._keep(before or _roles(cluster))
        self._changed = verb == "promote"
        self._keep(_steps(cluster, verb, who, rest, replies))

    def _act(self, verb: str, who: str, nodes: list[LiveNode]) -> Iterator[str]:
        for node in nodes:
            try:
                ACTIONS[verb](node)
            except NodeFailed as error:
                raise UsageError(f"not recorded: {error}") from error
            yield f"{node.name} {verb}: done"
        self._keep([f"{verb}: {who}"])

    def heal(self) -> Iterator[str]:
        """Heal all that is parted, the last first; each becomes a step that holds what was done meanwhile."""
        if not self.partings:
            yield "nothing to heal: every link passes"
        while self.partings:
            parting = self.partings.pop()
            self._changed = True
            yield from parting.end()
            self._keep([parting.as_step()] if parting.bit else parting.steps)

    def _part(self, cluster: LiveCluster, words: str) -> Iterator[str]:
        found = sides(words.split(), list(cluster.nodes), lambda side: _names(cluster, " ".join(side)))
        if len(found) > 2:
            raise UsageError("two sides can be recorded at a time; part the third from them afterwards")
        already = {flow for parting in self.partings for flow in flows(parting.sides)}
        twice = [flow for flow in flows(found) if flow in already]
        if twice:
            raise UsageError(f"{'–'.join(twice[0])} is parted already; heal first")
        parting = Parting(cluster, found)
        yield from parting.begin()
        self.partings.append(parting)

    def _keep(self, steps: list[str]) -> None:
        """Steps belong to the innermost parting that is open."""
        (self.partings[-1].steps if self.partings else self.steps).extend(steps)

    def text(self) -> str:
        """The scenario file."""
        head = f"scenario: {self.name}\ntitle: {json.dumps(self.title, ensure_ascii=False)}\ncluster: {self.cluster_file}\nsteps:\n"
        return head + "".join(item(step, "  ") for step in self.steps)


def _parsed(line: str) -> tuple[str, str, list[str]]:
    """Verb, who, and the rest. A target may be several words, so fields are counted from the end."""
    try:
        verb, *words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line}: {error}") from None
    if verb not in (known := [*REQUEST_FIELDS, *ACTIONS, *LINKS]):
        raise UsageError(
            f"`{verb}` is no command{did_you_mean(verb, known)}; there are {', '.join(known)} and end"
        )
    if verb == "heal":
        if words:
            raise UsageError("heal takes nothing more: it heals all that is parted")
        return verb, "", []
    fields = REQUEST_FIELDS.get(verb, ())
    if len(words) <= len(fields):
        raise UsageError(f"{verb} takes WHO{''.join(f' {name.upper()}' for name in fields)}")
    cut = len(words) - len(fields)
    return verb, " ".join(words[:cut]), words[cut:]


def _names(cluster: LiveCluster, who: str) -> tuple[str, ...]:
    if set(who.split()) <= set(cluster.nodes):
        return tuple(who.split())
    return tuple(node.name for node in _meant(cluster, who, "partition"))


def _roles(cluster: LiveCluster) -> list[str]:
    """Steps that wait for the roles that the nodes say they have now."""
    seen = [one for one in cluster.look().values() if one.up and one.role and one.how == "says"]
    return [
        f"check: {{at: [{', '.join(names)}], role: {role}, eventually: {SETTLE}}}"
        for role in Role
        if (names := [one.node for one in seen if one.role is role])
    ]


def _meant(cluster: LiveCluster, who: str, verb: str) -> list[LiveNode]:
    try:
        target = parse_target(who)
    except ValueError as error:
        raise UsageError(str(error)) from None
    unknown = [name for name in target.names if name not in cluster.nodes]
    if unknown:
        raise UsageError(f"no node is called `{unknown[0]}`; there are {', '.join(cluster.nodes)}")
    resolved = resolve(target, cluster.look(), random.Random(cluster.seed), up=verb != "start")
    if resolved.problem:
        raise UsageError(resolved.problem)
    return [cluster[name] for name in resolved.nodes]


def _steps(cluster: LiveCluster, verb: str, who: str, rest: list[str], replies: list[Reply]) -> list[str]:
    """One step when all nodes said the same, else one a node."""
    expected = [_expected(cluster, reply) for reply in replies]
    if len(set(expected)) == 1:
        return [_step(verb, who, rest, expected[0])]
    return [_step(verb, reply.node, rest, one) for reply, one in zip(replies, expected, strict=True)]


def _step(verb: str, who: str, rest: list[str], expected: str) -> str:
    fields = "".join(
        f", {name}: {_quoted(text)}" for name, text in zip(REQUEST_FIELDS[verb], rest, strict=True)
    )
    served = verb == "get" and expected not in {"unknown", "unreachable", "refused"}
    later = f", eventually: {SETTLE}" if served else ""  # a copy needs its time, which by hand it had
    return f"{verb}: {{at: {who}{fields}, expect: {expected}{later}}}"


def _expected(cluster: LiveCluster, reply: Reply) -> str:
    if reply.unknown:
        return "unknown"
    if reply.ok:
        return _answered(reply)
    if reply.reason is Reason.UNREACHABLE:
        return "unreachable"
    if reply.reason is not Reason.READ_ONLY:
        return "refused"
    names = ", names: leader" if leaders(cluster.look()) == [reply.leader] else ""
    return f"{{refused: read_only{names}}}"


def _answered(reply: Reply) -> str:
    if reply.matched is False:
        return "mismatch"
    if reply.value is not None:
        return f"{{value: {_quoted(reply.value)}}}"
    return "not_found" if reply.found is False else "ok"


def _quoted(text: str) -> str:
    """A word as it is; anything that YAML could take for something else in quotes; what looks like a variable with doubled braces."""
    plain = PLAIN.fullmatch(text) and text.lower() not in NOT_WORDS
    return text if plain else json.dumps(VARIABLE.sub(r"{{\1}}", text), ensure_ascii=False)
