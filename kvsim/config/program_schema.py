"""The language of node.yaml as tables: every key, what it may hold, and what it is for.

It describes processes: how a node is started, when it is ready, where its log is, how it is
stopped.
`protocol_schema` is about requests and replies. Reader, JSON Schema and reference page come out of
these tables; the first functions make the frozen values out of what was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kvsim.config.guarantee_levels import GUARANTEE_LEVELS
from kvsim.config.program import (
    KILL,
    LOG_LIMIT_BYTES,
    POWER,
    Allowed,
    Argv,
    Command,
    Elections,
    Log,
    Probe,
    Program,
    Query,
    Ready,
    ReplyRule,
    Role,
    RoleLog,
    Speak,
    Stop,
    StopSequenceStep,
    Survives,
    ValueLimits,
)
from kvsim.config.protocol_schema import REPLIES, ROLE, STATUS, LanguageOf, SpeakSchema
from kvsim.config.request_forms import RequestForms
from kvsim.config.schema import (
    SIGNALS,
    WORD,
    WRONG,
    ByNodeKind,
    Choice,
    Duration,
    Field,
    Flag,
    Int,
    ListOf,
    MapOf,
    Named,
    Pattern,
    PlainData,
    Record,
    Schema,
    Signal,
    Size,
    Text,
    TimeLimit,
    Validation,
    compile_pattern,
)
from kvsim.config.template import (
    ARGUMENT_SCOPE,
    NODE_SCOPE,
    REQUEST_SCOPE,
    ROLE_SCOPE,
    render,
)
from kvsim.config.yaml_nodes import Scalar
from kvsim.errors import Problem
from kvsim.text import closest
from kvsim.timeouts import DefaultTimeout

ENV = MapOf(
    Text("a text", template=NODE_SCOPE),
    key=r"[A-Za-z_][A-Za-z0-9_]*",
    key_expected="the name of a variable",
)
# Options of a program: name → value.
TEXTS = MapOf(Text(), key=WORD, key_expected="a word")


class SafePath(Text):
    """A relative path that stays below its folder."""

    def parse(self, node: Scalar, validation: Validation) -> Any:
        if node.text.startswith("/") or ".." in node.text.split("/"):
            return validation.report_expected(
                node, "a path below the data directory (relative, without ..)"
            )
        return super().parse(node, validation)


NO_FIELDS: Mapping[str, Field] = {}

# --- the frozen values -----------------------------------------------------------------------

NODE_READY = Ready(all_of=(Probe("port", {"state": "owned"}),))
CLUSTER_READY = Ready(within_s=DefaultTimeout(20.0))
GUARANTEE_DESCRIPTIONS = {
    "writes": "what an acknowledged write survives",
    "leader_reads": "what a read from the leader shows",
    "follower_reads": "what a read from a follower shows",
}
STATUS_FIELDS = (
    "role",
    "leader",
    "keys",
    "digest",
    "term",
    "index",
    "commit",
    "applied",
    "last_index",
    "last_term",
    "log_digest",
    "members",
    "pid",
)


def by_role(**values: Any) -> dict[Role, Any]:
    """Role → value, for the roles that have one."""
    return {Role(role): value for role, value in values.items() if value}


def given(**values: str | None) -> dict[str, str]:
    """Name → value, of what is written."""
    return {name: value for name, value in values.items() if value is not None}


def make_guarantees(
    survives: Any = None, power_loses_at_most: Any = None, **levels: str | None
) -> tuple[dict[str, str], Survives]:
    """The level of each guarantee that is written, and what writes survive."""
    words: dict[str, Any] = {}
    if isinstance(survives, Mapping):
        ((words["option"], words["by_value"]),) = survives.items()
    elif survives is not None:
        words["words"] = survives
    if isinstance(power_loses_at_most, Mapping):
        ((words["loses_option"], words["loses_by_value"]),) = power_loses_at_most.items()
    elif power_loses_at_most is not None:
        words["loses_at_most_s"] = power_loses_at_most
    return given(**levels), Survives(**words)


def role_log(**patterns: str | None) -> RoleLog:
    return RoleLog(by_role(**patterns))


def make_elections(
    timeout: str,
    serves_within_s: float | None,
    on_disk: frozenset[str],
    logs: Mapping[str, tuple[str, ...]] | None,
) -> Elections:
    return Elections(timeout, serves_within_s, logs or {}, on_disk)


def election_logs(**patterns: tuple[str, ...] | None) -> dict[str, tuple[str, ...]]:
    """Kind of line → its patterns, of those that are written."""
    return {kind: several for kind, several in patterns.items() if several}


def election_timeout_s(timeout: str, options: Mapping[str, object]) -> float | None:
    """The election timeout with these options, in seconds; None: that is no time above 0."""
    return Duration.seconds(render(timeout, options)) or None


def make_command(argv: Iterable[str]) -> Command:
    return Command(tuple(argv))


def make_probes(order: Sequence[str], **kinds: Any) -> tuple[Probe, ...]:
    """A probe for each kind that is written, in this order."""
    return tuple(Probe(kind, _settings(kinds[kind])) for kind in order if kinds.get(kind))


def _settings(value: Any) -> dict[str, object]:
    """`ping: true` has no settings."""
    given = {} if value is True else value
    return {name: setting for name, setting in given.items() if setting is not None}


def make_ready(
    order: Sequence[str],
    default: tuple[Probe, ...],
    *,
    any_of: tuple[tuple[Probe, ...], ...] | None,
    within_s: float,
    at: str = "each",
    **kinds: Any,
) -> Ready:
    """The probes that are written; those of `default` when there is none."""
    alternatives = tuple(probe for probes in any_of or () for probe in probes)
    all_of = make_probes(order, **kinds) or (() if alternatives else default)
    return Ready(all_of, alternatives, within_s, at)


def make_stop(
    *,
    signal: str | None,
    command: Argv | None,
    grace_s: float,
    steps: tuple[StopSequenceStep, ...] | None,
    exits: frozenset[int] | Mapping[str, frozenset[int]] | None,
    pid_file: str | None,
    order: str,
) -> Stop:
    """Without `exits`, an end by the signal that was sent is as clean as status 0."""
    if command:
        only = StopSequenceStep(command=command, wait_s=grace_s)
    else:
        only = StopSequenceStep(signal=signal or "TERM", wait_s=grace_s)
    stop = Stop(steps or (only,), pid_file=pid_file, order=order)
    if exits is None:
        return stop
    if isinstance(exits, Mapping):
        by = {kind.removeprefix("SIG"): statuses for kind, statuses in exits.items()}
        return replace(stop, exits_by=by)
    return replace(stop, exits=exits, own_signal=False)


def make_program(
    *,
    program: str,
    folder: Path,
    missing: Sequence[Problem],
    start: Argv | Mapping[Role, Argv],
    start_leader: Argv,
    start_follower: Argv,
    env: Mapping[str, str],
    env_leader: Mapping[str, str],
    env_follower: Mapping[str, str],
    role_words: Mapping[Role, str],
    replies: Mapping[str, tuple[ReplyRule, ...]],
    requests: Mapping[str, object],
    options: Mapping[str, tuple[str, ...]],
    status: Query | None,
    stdin: str,
    guarantees: tuple[Mapping[str, str], Survives] | None,
    title: str | None,
    like: str | None,
    **others: Any,
) -> Program:
    """The program in `folder`; `others` are attributes that need no change."""
    more = {Role.LEADER: start_leader, Role.FOLLOWER: start_follower}
    commands = {
        role: (*(start[role] if isinstance(start, Mapping) else start), *more[role])
        for role in Role
    }
    own_env = {Role.LEADER: env_leader, Role.FOLLOWER: env_follower}
    if status is None and "status" in requests:
        status = Query("status")
    return Program(
        name=program,
        folder=folder.resolve(),
        missing=tuple(missing),
        start=commands,
        env={role: {**env, **own_env[role]} for role in Role},
        role_words=role_words,
        replies=replies,
        requests=requests,
        stdin_open=stdin == "open",
        guarantees=guarantees[0] if guarantees else {},
        survives=guarantees[1] if guarantees else Survives(),
        options={name: values[0] for name, values in options.items()},
        option_values={name: values for name, values in options.items() if len(values) > 1},
        status=status and _complete(status, role_words),
        **others,
    )


def _complete(status: Query, role_words: Mapping[Role, str]) -> Query:
    """The query with STATUS_FIELDS where it names no fields, and with the program's role words."""
    words = {role.value: role for role in Role} | {
        word.lower(): role for role, word in role_words.items()
    }
    fields = status.fields or {name: f"$.{name}" for name in STATUS_FIELDS}
    return Query(status.request, fields, {**words, **status.words})


# --- the tables ------------------------------------------------------------------------------

ARGV = ListOf(Text("one argument", template=ARGUMENT_SCOPE), length_min=1)
MORE_ARGV = ListOf(Text("one argument", template=ARGUMENT_SCOPE))
EXITS = ListOf(Int(0, 255, "an exit status"), single=True, result=frozenset)
COMMAND = ByNodeKind(
    "a command (a list of arguments) or a mapping (run, roles, needs, within)",
    items=ListOf(Text("one argument", template=ARGUMENT_SCOPE), length_min=1, result=make_command),
    mapping=Record(
        "command",
        {
            "run": Field(
                ARGV, "the command, as a list of arguments", required=True, attribute="argv"
            ),
            "roles": Field(
                ListOf(ROLE, single=True, length_min=1, result=frozenset),
                "only for nodes of these roles",
                default=frozenset(Role),
                default_text="both",
            ),
            "needs": Field(Choice(("leader",)), "wait until this node is ready first"),
            "within": Field(
                TimeLimit(),
                "time limit",
                default=DefaultTimeout(30.0),
                default_text="30s",
                attribute="within_s",
            ),
        },
        result=Command,
    ),
)
START = ByNodeKind(
    "a list of arguments, or one list for each role",
    items=ARGV,
    mapping=Record(
        "start for each role",
        {
            "leader": Field(ARGV, "the command that starts a leader", required=True),
            "follower": Field(ARGV, "the command that starts a follower", required=True),
        },
        result=by_role,
    ),
)


AT = Field(
    Choice(
        {
            "each": "every node",
            "majority": "more than half of the nodes",
            "one": "one of them, whichever it is",
        }
    ),
    "which nodes must be so",
    default="each",
    default_text="each",
)


def ready_record(
    name: str, default: Ready, probes: Mapping[str, Field], more: Mapping[str, Field] = NO_FIELDS
) -> Record:
    """The schema of `ready` and `cluster_ready`: probes that must all hold, and a time limit."""
    kinds = tuple(probes)
    probe = Record("probe", probes, one_of=kinds, result=partial(make_probes, kinds))
    return Record(
        name,
        {
            **probes,
            "any": Field(
                ListOf(probe, length_min=1),
                "one of these must hold too",
                attribute="any_of",
            ),
            "within": Field(
                TimeLimit(),
                "time limit for all of it together",
                default=default.within_s,
                default_text=f"{default.within_s:g}s",
                attribute="within_s",
            ),
            **more,
        },
        result=partial(make_ready, kinds, default.all_of),
    )


LOG = Record(
    "log",
    {
        "mode": Field(
            Choice(
                {
                    "file": "stdout and stderr go to a file",
                    "linebuf": "the same through stdbuf -oL, for programs that buffer",
                    "pty": "a terminal, for programs that buffer even then",
                }
            ),
            "how output is captured",
            default="file",
            default_text="file",
        ),
        "extra": Field(
            ListOf(SafePath("a glob below the data directory"), single=True),
            "more log files",
            default=(),
        ),
        "never": Field(
            ListOf(Pattern(), single=True),
            "patterns of lines that no log may hold, besides the alarms that kvsim knows",
            default=(),
        ),
        "allow": Field(
            ListOf(Pattern(), single=True), "patterns of lines that are no alarm", default=()
        ),
        "limit": Field(
            Size(),
            "the largest log: kvsim kills a node that writes more, and the run is invalid",
            default=LOG_LIMIT_BYTES,
            default_text="64MB",
            attribute="limit_bytes",
        ),
    },
    bare="mode",
    result=Log,
)
STOP_STEP = Record(
    "stop step",
    {
        "signal": Field(Signal(), "send this signal to the process group"),
        "command": Field(ARGV, "run this command", default=()),
        "wait": Field(
            TimeLimit(),
            "how long the whole process tree may take to end",
            default=DefaultTimeout(3.0),
            default_text="3s",
            attribute="wait_s",
        ),
    },
    one_of=("signal", "command"),
    result=StopSequenceStep,
)
STOP = Record(
    "stop",
    {
        "signal": Field(Signal(), "send this signal to the process group", default_text="TERM"),
        "command": Field(ARGV, "or run this command"),
        "grace": Field(
            TimeLimit(),
            "how long the node may take to end before it is killed",
            default=DefaultTimeout(3.0),
            default_text="3s",
            attribute="grace_s",
        ),
        "steps": Field(ListOf(STOP_STEP, length_min=1), "or several steps, each with its own wait"),
        "order": Field(
            Choice(
                {
                    "together": "all at once",
                    "leader_first": "the followers when the leader has ended",
                    "followers_first": "the leader when the followers have ended",
                }
            ),
            "in which order the nodes of a cluster are stopped",
            default="together",
            default_text="together",
        ),
        "exit": Field(
            ByNodeKind(
                "exit statuses from 0 to 255, or a mapping from a signal or `command` to them",
                text=EXITS,
                items=EXITS,
                mapping=MapOf(
                    EXITS,
                    key=r"(?:SIG)?(?:" + "|".join(SIGNALS) + ")|command",
                    key_expected="a signal, or command",
                ),
            ),
            "exit statuses that count as a clean stop, also by what stopped it "
            "(`{TERM: 0, INT: 130, command: [0, 1]}`); 128 plus the number of a signal for a "
            "program that ends by it",
            default_text="0, or the signal that kvsim sent",
            attribute="exits",
        ),
        "pid_file": Field(
            SafePath("a path below the data directory", template=NODE_SCOPE),
            "where a daemon writes its process id",
        ),
    },
    result=make_stop,
)


CAPABILITIES = {
    "roles": "roles are fixed at start and a follower refuses writes",
    "redirect": "a refused write names the leader",
    "restart": "data survive a restart",
    "replicates": "followers receive the leader's writes",
    "leader_reads_only": "a follower refuses reads too",
    "forwards": "a follower passes writes on to the leader",
    "elects": "the nodes elect their leader",
    "pre_vote": "a node that cannot win an election does not raise its term",
    "atomic_status": "the fields of one STATUS are of one moment",
    "members": "the option `members` names the nodes that vote at first, and the requests "
    "`member_add` and `member_remove` change that",
    "promote": "the request `promote` makes a follower the leader, and the others follow it",
    "status": "a request reports a node's role and state",
    "digest": "the status holds a digest of all keys and values",
    "cas": "a key can be set on condition that it holds an expected value (compare-and-set)",
    "reports_lag": "STATUS of the leader holds the `lag` of each follower, as JSON",
    "logs_snapshots": "a node logs `snapshot at index` when it makes or takes a snapshot",
    "logs_full_disk": "a node whose disk is full logs `file too large` and ends",
    "append_only_file": "INFO tells whether an append-only file is being written, as in Redis",
}


# Kind of line in the log of a node that elects → what the line says, and the groups of its pattern.
ELECTION_LINES = {
    "term": ("the node has entered a term", ("term",)),
    "vote": ("the node has voted, for itself too", ("term", "candidate")),
    "candidate": ("the node asks for votes in a term", ("term",)),
    "leader": ("the node leads a term", ("term",)),
    "truncated": ("the node has removed the entries behind an index", ("index",)),
}


class LinePattern(Pattern):
    """A pattern of lines with named groups."""

    def __init__(self, groups: tuple[str, ...]) -> None:
        super().__init__(template=NODE_SCOPE)
        self.groups = groups

    def parse(self, node: Scalar, validation: Validation) -> Any:
        compiled = compile_pattern(node, validation)
        if compiled is None:
            return WRONG
        missing = [name for name in self.groups if name not in compiled.groupindex]
        if missing:
            validation.report(node, f"the pattern has no group `(?P<{missing[0]}>…)`")
            return WRONG
        return super().parse(node, validation)


ELECTIONS = Record(
    "elections",
    {
        "timeout": Field(
            Text("a time such as 500ms, or an option of the program", template=NODE_SCOPE),
            "its election timeout: the shortest time without a leader after which a node asks for "
            "votes; options may be in it (`{election_ms}ms`)",
            required=True,
        ),
        "serves_within": Field(
            Duration(),
            "how long a majority that is up and connected may be without a leader",
            default_text="five times `timeout`",
            attribute="serves_within_s",
        ),
        "logs": Field(
            Record(
                "lines about elections",
                {
                    kind: Field(
                        ListOf(LinePattern(groups), single=True),
                        f"{means}; groups: {', '.join(groups)}",
                    )
                    for kind, (means, groups) in ELECTION_LINES.items()
                },
                result=election_logs,
            ),
            "the lines of its log that tell of elections",
        ),
        "on_disk": Field(
            ListOf(
                Choice(
                    {
                        "term": "the term",
                        "vote": "the vote",
                        "commit": "the commit index",
                    }
                ),
                single=True,
                result=frozenset,
            ),
            "what is on disk before a line or STATUS says it: then a restart must not forget it",
            default=frozenset(),
        ),
    },
    result=make_elections,
)


class Capability(Text):
    """A capability: a known word, or one of the author's own that is not close to a known one."""

    def __init__(self) -> None:
        super().__init__("a word", pattern=WORD)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        meant = None if node.text in CAPABILITIES else closest(node.text, CAPABILITIES)
        if meant:
            message = f"there is no capability `{node.text}`; did you mean `{meant}`?"
            validation.report(node, message)
            return WRONG
        return super().parse(node, validation)


VALUES = Record(
    "values",
    {
        "max_bytes": Field(
            Int(1, 10**9, "a number of bytes"),
            "the longest value that it takes; longer ones are not sent",
            default_text="no limit",
        ),
        "empty": Field(
            Flag(),
            "a value may be empty, and its answer tells that from no value",
            default=True,
            default_text="true",
        ),
        "blanks": Field(
            Flag(), "a value may hold blanks and tabs", default=True, default_text="true"
        ),
        "unicode": Field(
            Flag(), "a value may hold letters outside ASCII", default=True, default_text="true"
        ),
    },
    result=ValueLimits,
)
ALLOW = Record(
    "allow",
    {
        "files": Field(
            ListOf(Text("a glob of paths", empty=False, template=NODE_SCOPE), single=True),
            "it may write these files outside its data directory",
            default=(),
        ),
        "ports": Field(
            Flag(),
            "it may listen on ports that it was not given",
            default=False,
            default_text="false",
        ),
        "hosts": Field(
            Flag(), "it may listen beyond loopback", default=False, default_text="false"
        ),
        "children": Field(
            Flag(),
            "its children may outlive it; kvsim kills them, and says nothing",
            default=False,
            default_text="false",
        ),
    },
    result=Allowed,
)
SURVIVED = ListOf(
    Choice({KILL: "a kill of its process", POWER: "a power cut"}),
    single=True,
    length_min=1,
    result=frozenset,
)


def _by_option(schema: Schema, expected: str) -> ByNodeKind:
    """A value, or one for each value of one option."""
    by_value = MapOf(schema, key_expected="a value of the option", length_min=1)
    by_option = MapOf(by_value, key=WORD, key_expected="an option", length_min=1, length_max=1)
    return ByNodeKind(
        f"{expected}, or that for each value of an option",
        text=schema,
        items=schema if isinstance(schema, ListOf) else None,
        mapping=by_option,
    )


GUARANTEES = Record(
    "guarantees",
    {
        **{
            guarantee: Field(Choice(levels), GUARANTEE_DESCRIPTIONS[guarantee])
            for guarantee, levels in GUARANTEE_LEVELS.items()
        },
        "survives": Field(
            _by_option(SURVIVED, "what it survives"),
            "what an acknowledged write survives; `{fsync: {always: [kill, power]}}`: with that "
            "value of the option; power cuts are judged only with `power`",
            default_text="[kill]",
        ),
        "power_loses_at_most": Field(
            _by_option(Duration(), "a time"),
            "of what it acknowledged last before a power cut, so much may be lost; as `survives`, "
            "for the values of an option, too",
            default_text="nothing",
        ),
    },
    result=make_guarantees,
)
# Option → the values it may have; the first is the default. One value: any other is possible.
OPTIONS = MapOf(ListOf(Text(), single=True, length_min=1), key=WORD, key_expected="a word")
FIELDS: dict[str, Field] = {
    "program": Field(
        Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.+-]*"),
        "the program's name, shown in reports",
        required=True,
    ),
    "title": Field(Text(), "one line about it"),
    "like": Field(
        Text("a program", empty=False),
        "take every key that is not written here from that program (a name in nodes/ or a path)",
    ),
    "start": Field(
        START, "the command that starts a node; an argument may hold spaces", required=True
    ),
    "start_leader": Field(MORE_ARGV, "appended to `start` for a leader", default=()),
    "start_follower": Field(MORE_ARGV, "appended to `start` for a follower", default=()),
    "role_words": Field(
        Record(
            "role words",
            {
                role.value: Field(
                    Text("a word", template=ROLE_SCOPE), f"what {{role}} becomes for a {role}"
                )
                for role in Role
            },
            result=by_role,
        ),
        "the program's own words for the roles",
        default={},
        default_text="leader, follower",
    ),
    "cwd": Field(
        Text("a folder", template=NODE_SCOPE, empty=False),
        "working directory",
        default_text="the node's run folder",
    ),
    "env": Field(ENV, "environment variables to set", default={}, default_text="none"),
    "env_leader": Field(ENV, "set besides `env` for a leader", default={}, default_text="none"),
    "env_follower": Field(ENV, "set besides `env` for a follower", default={}, default_text="none"),
    "env_inherit": Field(
        Flag(), "pass kvsim's whole environment to the node", default=False, default_text="false"
    ),
    "user": Field(
        Text("a user name", empty=False),
        "run as this user where kvsim is root (for servers that refuse to be root)",
    ),
    "files": Field(
        MapOf(
            Text("a template", template=NODE_SCOPE),
            key=r"(?!/)(?!.*(?:^|/)\.\.(?:/|$)).+",
            key_expected="a file name below the data directory",
            key_template=NODE_SCOPE,
        ),
        "files written before each start, after `init`: name → template",
        default={},
        default_text="none",
    ),
    "ports": Field(
        ListOf(Text("a name", pattern=WORD), single=True),
        "names of extra ports, each given to every node as {ports.NAME}",
        default=(),
    ),
    "init": Field(
        ListOf(COMMAND),
        "commands run once on an empty data directory, before the first start",
        default=(),
    ),
    "after_start": Field(
        ListOf(COMMAND), "commands run after the first start, when the node is ready", default=()
    ),
    "order": Field(
        Choice(
            {
                "leader_first": "followers start when the leader is ready",
                "followers_first": "the leader starts when the followers are ready",
                "together": "all at once, then wait (stores that elect)",
            }
        ),
        "in which order the nodes start",
        default="leader_first",
        default_text="leader_first",
    ),
    "log": Field(LOG, "where the node's log is", default=Log(), default_text="file"),
    "role_log": Field(
        Record(
            "role log",
            {
                role.value: Field(Pattern(template=NODE_SCOPE), f"what a {role} must log")
                for role in Role
            },
            result=role_log,
        ),
        "lines that show a node's role in its own log",
        default=RoleLog(),
    ),
    "elections": Field(
        ELECTIONS,
        "how it elects its leader, for the checks of elections",
        default_text="not described",
    ),
    "stdin": Field(
        Choice({"empty": "it is at its end", "open": "it stays open, and nothing arrives"}),
        "the node's standard input",
        default="empty",
        default_text="empty",
        attribute="stdin",
    ),
    "stop": Field(STOP, "how a node is stopped", default=Stop(), default_text="TERM, then 3s"),
    "requests": Field(
        MapOf(PlainData(template=REQUEST_SCOPE), key=WORD, key_expected="a verb"),
        "verb → what is sent: a text (lines, frames), a list (resp, command) or a mapping "
        "(http, command)",
        default={},
    ),
    "replies": Field(
        REPLIES,
        "outcome → pattern, for all verbs or under a verb; the first match in the order written "
        "wins; a reply without a match is never a refusal",
        default={},
    ),
    "status": Field(
        STATUS,
        "how to ask a node for its role and state",
        default_text="$.role, $.leader, … of the `status` request",
    ),
    "capabilities": Field(
        ListOf(Capability(), single=True, result=frozenset),
        "what a scenario's `needs` may ask for; a word of your own, for your own scenarios, too",
        default=frozenset(),
    ),
    "values": Field(
        VALUES,
        "the values that it takes, if not all; scenarios about others are skipped",
        default=ValueLimits(),
        default_text="all",
    ),
    "allow": Field(
        ALLOW,
        "what it may do although it is usually a mistake, so that neither a run nor the doctor "
        "reports it",
        default=Allowed(),
        default_text="nothing",
    ),
    "guarantees": Field(
        GUARANTEES,
        "what the program guarantees; the checks judge it by that",
        default_text="none",
    ),
    "keeps": Field(
        Choice(
            {
                "data": "what it acknowledged",
                "nothing": "its data are in memory: a node that starts again may be empty",
            }
        ),
        "what a restart of a node leaves; `doctor` reports data that a kill loses, unless it "
        "says `nothing`",
    ),
    "options": Field(
        OPTIONS,
        "names that templates may use: name → its default value, or a list of the values that it "
        "may have, the default first",
        default={},
    ),
}


def _same(schema: Schema) -> Schema:
    return schema


class ProgramRecord(Record):
    """The keys of node.yaml. What a request holds depends on `speak`: the JSON Schema says so."""

    def __init__(self, fields: Mapping[str, Field], speak: SpeakSchema) -> None:
        super().__init__("program", fields, waived_by="like", result=make_program)
        self.speak = speak

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        rules = [
            {
                "if": {"properties": {"speak": self.speak.is_kind(kind)}, "required": ["speak"]},
                "then": {"properties": {"requests": {"additionalProperties": schema}}},
            }
            for kind in self.speak.name.protocols
            if (language := self.speak.language_of(kind))
            for forms in [RequestForms(language.request, self.speak)]
            for schema in [Named(f"{kind} request", partial(_same, forms)).json_schema(defs)]
        ]
        return {**super().json_schema(defs), "allOf": rules}


def program_record(
    probes: Mapping[str, Field], protocols: Sequence[str], language_of: LanguageOf
) -> Record:
    """The keys of node.yaml, with these kinds of probes and these protocols."""
    speak = SpeakSchema(protocols, language_of)
    fields = {
        **FIELDS,
        "ready": Field(
            ready_record("ready", NODE_READY, probes),
            "when a node counts as ready: all that is written here",
            default=NODE_READY,
            default_text="port: owned",
        ),
        "cluster_ready": Field(
            ready_record("cluster ready", CLUSTER_READY, probes, {"at": AT}),
            "when the cluster counts as ready, once every node is",
            default=CLUSTER_READY,
        ),
        "speak": Field(
            speak,
            "the protocol, alone or with its settings",
            default=Speak("lines"),
            default_text="lines",
        ),
    }
    return ProgramRecord(fields, speak)
