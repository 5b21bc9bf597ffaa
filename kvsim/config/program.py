"""What a program is: frozen values only. `program_loader` reads them from node.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct, field

from kvsim.errors import Problem
from kvsim.history.outcome import Reason
from kvsim.timeouts import DefaultTimeout


class Role(StrEnum):
    LEADER = "leader"
    FOLLOWER = "follower"


# A command: templates, not yet filled in.
Argv = tuple[str, ...]


class Command(Struct, frozen=True):
    """A command run once beside the node: in `init` or `after_start`.

    `needs`: `leader` when that node must be ready first.
    """

    argv: Argv
    roles: frozenset[Role] = frozenset(Role)
    needs: str | None = None
    within_s: float = DefaultTimeout(30.0)


class ReplyRule(Struct, frozen=True):
    """One outcome rule: all given conditions must hold. The first rule that matches wins.

    `outcome` is a key of node.yaml's `replies`: ok, value, not_found, mismatch, read_only, refused,
    not_ready, unreachable, next, unknown. Patterns are regular expressions searched in the reply
    (without its line end); `protocol_schema.GROUPS` are the named groups that are used.
    """

    outcome: str
    reply: str | None = None
    status: frozenset[int] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    stderr: str | None = None


NEXT = "next"
# Outcomes that say that nothing happened.
REFUSING = {
    "read_only": Reason.READ_ONLY,
    "refused": Reason.OTHER,
    "not_ready": Reason.NOT_READY,
    "unreachable": Reason.UNREACHABLE,
    NEXT: Reason.OTHER,
}


class Speak(Struct, frozen=True):
    """Which protocol, and its settings as plain values, which the protocol checks.

    `kind`: lines | frames | resp | http | command | package.module:Class.
    """

    kind: str
    settings: Mapping[str, object] = field(default_factory=dict)


# Of one log of a node, where its node.yaml sets no other limit.
LOG_LIMIT_BYTES = 64 << 20

# Where a log probe searches when it searches no file.
OUTPUT = (None, "stdout", "stderr")


class Probe(Struct, frozen=True):
    """One condition of readiness. `kind`: log | port | ping | request | http | command."""

    kind: str
    settings: Mapping[str, object] = field(default_factory=dict)


class Ready(Struct, frozen=True):
    """All of `all_of` and, where given, one of `any_of`, within one time limit.

    `at`: how many nodes must be so: each | majority | one.
    """

    all_of: tuple[Probe, ...] = ()
    any_of: tuple[Probe, ...] = ()
    within_s: float = DefaultTimeout(5.0)
    at: str = "each"

    @property
    def probes(self) -> tuple[Probe, ...]:
        """All of them, required or alternative."""
        return (*self.all_of, *self.any_of)


class StopSequenceStep(Struct, frozen=True):
    """Send `signal`, or run `command`; then wait up to `wait_s` for the process tree to end."""

    signal: str | None = None
    command: Argv = ()
    wait_s: float = DefaultTimeout(3.0)


class Stop(Struct, frozen=True):
    """How a node is stopped. `exits` are the exit statuses that count as clean.

    `own_signal`: an end by the signal that kvsim sent counts too. `exits_by`: other statuses, by
    what stopped the node: a signal's name, or `command`. `order`: of the whole cluster: together |
    leader_first | followers_first.
    """

    steps: tuple[StopSequenceStep, ...] = (StopSequenceStep(signal="TERM"),)
    exits: frozenset[int] = frozenset({0})
    pid_file: str | None = None
    own_signal: bool = True
    exits_by: Mapping[str, frozenset[int]] = field(default_factory=dict)
    order: str = "together"


class Log(Struct, frozen=True):
    """`mode`: file | linebuf | pty. `extra`: globs under the data directory that are logs too.

    `never`: patterns of lines that no log may hold; `allow`: of lines that are no alarm. A node
    whose log is larger than `limit_bytes` is killed, and its run is invalid.
    """

    mode: str = "file"
    extra: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    limit_bytes: int = LOG_LIMIT_BYTES


class ValueLimits(Struct, frozen=True):
    """The values that the program takes: their length, whether they may be empty, and whether
    blanks and letters outside ASCII may be in them.
    """

    max_bytes: int | None = None
    empty: bool = True
    blanks: bool = True
    unicode: bool = True


class Allowed(Struct, frozen=True):
    """What the program may do although it is usually a mistake.

    `files`: globs of paths outside the data directory that it may write. `ports`: it may listen on
    others than it was given; `hosts`: beyond loopback. `children`: they may outlive the node.
    """

    files: tuple[str, ...] = ()
    ports: bool = False
    hosts: bool = False
    children: bool = False


class RoleLog(Struct, frozen=True):
    """Role → the pattern that the log of such a node must contain (check `logs_name_roles`)."""

    patterns: Mapping[Role, str] = field(default_factory=dict)


class Elections(Struct, frozen=True):
    """How a program that elects does so. Texts are templates, unfilled.

    `timeout`: its election timeout. `serves_within_s`: how long a majority that is up and connected
    may be without a leader; None: five election timeouts. `logs`: kind of line (ELECTION_LINES) →
    its patterns, with the groups `term`, `candidate` and `index`. `on_disk`: what is on disk before
    a line or STATUS says it: term, vote, commit.
    """

    timeout: str
    serves_within_s: float | None = None
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    on_disk: frozenset[str] = frozenset()


class Query(Struct, frozen=True):
    """How to ask a node for its role (or its leader): the request, and the fields of the reply.

    `fields` maps role, leader, keys, digest, term, index, … to a JSON path (`$.role`) or a regular
    expression with one group; `words` maps a program's role words to kvsim's.
    """

    request: str = "status"
    fields: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Role] = field(default_factory=dict)


KILL, POWER = "kill", "power"


class Survives(Struct, frozen=True):
    """What an acknowledged write survives: a kill of its process, a power cut.

    With an `option`, `by_value` says so for its values; `words` is for the others.
    `loses_at_most_s`: of the last writes before a power cut, those of so many seconds may be lost;
    `loses_option` and `loses_by_value` as above.
    """

    words: frozenset[str] = frozenset({KILL})
    option: str = ""
    by_value: Mapping[str, frozenset[str]] = field(default_factory=dict)
    loses_at_most_s: float | None = None
    loses_option: str = ""
    loses_by_value: Mapping[str, float] = field(default_factory=dict)

    def power(self, options: Mapping[str, str]) -> bool:
        """Whether it survives a power cut with these options."""
        return POWER in self.by_value.get(options.get(self.option, ""), self.words)

    def loses_s(self, options: Mapping[str, str]) -> float:
        """What a power cut may take with these options, in seconds."""
        own = self.loses_by_value.get(options.get(self.loses_option, ""), self.loses_at_most_s)
        return own or 0.0


class Program(Struct, frozen=True):
    """Everything kvsim knows of a program. Templates are unfilled; see `names` for their names.

    `folder` is that of node.yaml, `{program_dir}`. `start` and `env` are the whole command and
    all variables of each role.
    `role_words`: what `{role}` becomes. `ports` are the names of extra ports. `order`:
    leader_first | followers_first | together. `requests` maps a verb to its template (for http and
    command a mapping), `replies` a verb, or `any`, to its rules. `options` are names that templates
    may use, with their default values; `option_values` those that an option may have, where they
    are listed. `keeps`: what a restart leaves, `data` or `nothing`; None: it does not say.
    `missing`: what this machine lacks to start it.
    """

    name: str
    folder: Path
    start: Mapping[Role, Argv]
    role_words: Mapping[Role, str] = field(default_factory=dict)
    cwd: str | None = None
    env: Mapping[Role, Mapping[str, str]] = field(
        default_factory=lambda: {role: {} for role in Role}
    )
    env_inherit: bool = False
    user: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    init: tuple[Command, ...] = ()
    after_start: tuple[Command, ...] = ()
    order: str = "leader_first"
    ready: Ready = Ready()
    cluster_ready: Ready = Ready(within_s=DefaultTimeout(20.0))
    log: Log = Log()
    role_log: RoleLog = RoleLog()
    elections: Elections | None = None
    stdin_open: bool = False
    stop: Stop = Stop()
    speak: Speak = Speak("lines")
    requests: Mapping[str, object] = field(default_factory=dict)
    replies: Mapping[str, tuple[ReplyRule, ...]] = field(default_factory=dict)
    status: Query | None = None
    values: ValueLimits = ValueLimits()
    allow: Allowed = Allowed()
    capabilities: frozenset[str] = frozenset()
    guarantees: Mapping[str, str] = field(default_factory=dict)
    survives: Survives = Survives()
    keeps: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    option_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[Problem, ...] = ()

    @property
    def logs_to_files(self) -> bool:
        """Whether files in the data directory are logs, too."""
        probes = [probe for ready in (self.ready, self.cluster_ready) for probe in ready.probes]
        return bool(self.log.extra) or any(
            probe.kind == "log" and probe.settings.get("in") not in OUTPUT for probe in probes
        )
