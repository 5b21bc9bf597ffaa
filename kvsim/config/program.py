"""What a program is, read from its node.yaml: frozen values only. How they are read stands in `program_file.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from kvsim.history.outcome import Reason
from kvsim.limits import Own


class Role(StrEnum):
    LEADER = "leader"
    FOLLOWER = "follower"


Argv = tuple[str, ...]  # templates, not yet filled in


@dataclass(frozen=True)
class Command:
    """A command run once beside the node: init and after-start steps."""

    argv: Argv
    roles: frozenset[Role] = frozenset(Role)
    needs: str | None = None  # a target whose node must be ready first: `leader`
    within_s: float = Own(30.0)


@dataclass(frozen=True)
class Rule:
    """One outcome rule; all the conditions that are given must hold. First rule that matches wins.

    `outcome` is a key of node.yaml's `replies`: ok, value, not_found, mismatch, read_only, refused, not_ready, unknown. Patterns are
    regular expressions searched in the reply (trailing line end removed); named groups `value`, `leader_port`,
    `leader_addr`, `leader_id` and `leader_url` are read from it.
    """

    outcome: str
    reply: str | None = None
    status: frozenset[int] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    stderr: str | None = None


REFUSING = {"read_only": Reason.READ_ONLY, "refused": Reason.OTHER, "not_ready": Reason.NOT_READY}


@dataclass(frozen=True)
class Speak:
    """Which protocol, and its settings as plain values (each protocol file in kvsim/client/ says which it reads)."""

    kind: str  # lines | frames | resp | http | command | package.module:Class
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """One thing that must be seen. `kind`: log | port | ping | request | http | command; `settings` are that kind's own."""

    kind: str
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """All of `all_of` and, where given, one of `any_of`, within one time limit."""

    all_of: tuple[Probe, ...] = ()
    any_of: tuple[Probe, ...] = ()
    within_s: float = Own(5.0)


@dataclass(frozen=True)
class StopStep:
    """Send `signal`, or run `command`, then wait up to `wait_s` for the whole tree to be gone."""

    signal: str | None = None
    command: Argv = ()
    wait_s: float = Own(3.0)


@dataclass(frozen=True)
class Stop:
    steps: tuple[StopStep, ...] = (StopStep(signal="TERM"),)
    exits: frozenset[int] = frozenset({0})  # exit statuses that count as clean
    pid_file: str | None = None


@dataclass(frozen=True)
class Log:
    """`mode`: file | linebuf | pty. `extra`: globs under the data directory that are logs too."""

    mode: str = "file"
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoleLog:
    """Patterns a node's own log must hold, per role: what `logs_name_roles` looks for."""

    patterns: Mapping[Role, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """How to ask a node for its role (or its leader): the request, and where the answer stands.

    `fields` maps role, leader, keys, digest, epoch, index, … to a JSON path (`$.role`) or a regular expression with one
    group; `words` maps a program's role words to ours.
    """

    request: str = "status"
    fields: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """Everything kvsim knows of a program. Templates are unfilled text; see `template.py` for the names they may use."""

    name: str
    folder: Path  # where node.yaml stands; `{program_dir}`
    start: Mapping[Role, Argv]  # start plus start_leader / start_follower, already joined
    role_words: Mapping[Role, str] = field(default_factory=dict)  # what `{role}` renders as
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    env_inherit: bool = False
    user: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()  # names of extra ports
    init: tuple[Command, ...] = ()
    after_start: tuple[Command, ...] = ()
    order: str = "leader_first"  # leader_first | followers_first | together
    ready: Ready = Ready()
    cluster_ready: Ready = Ready(within_s=Own(20.0))
    log: Log = Log()
    role_log: RoleLog = RoleLog()
    stop: Stop = Stop()
    speak: Speak = Speak("lines")
    requests: Mapping[str, object] = field(
        default_factory=dict
    )  # verb → template (a mapping for http and command)
    replies: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)  # verb → rules; `any` for all verbs
    status: Query | None = None
    capabilities: frozenset[str] = frozenset()
    promises: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)  # names and default values templates may use
