"""The language of node.yaml as tables: every key, what it may hold, and one line that says what it is for.

Reader (`program_file.py`), JSON Schema and reference page all come from here. Nothing is read or built in this file.
"""

from __future__ import annotations

import re
from typing import Any

from kvsim.config.shape import (
    WRONG,
    ByKind,
    Duration,
    Field,
    Flag,
    Int,
    Kept,
    ListOf,
    MapOf,
    Named,
    OfScalar,
    Pattern,
    Plain,
    Reading,
    Record,
    Shape,
    Text,
    Word,
)
from kvsim.config.spelling import did_you_mean
from kvsim.config.yaml_tree import Scalar

WORD = r"[a-z][a-z0-9_]*"
RUN = "run"  # scope of templates: names of one node
REQUEST = "request"  # the same, and {key} {value}
CLASS = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
SIGNALS = ("TERM", "INT", "QUIT", "HUP", "KILL", "ABRT", "USR1", "USR2", "STOP", "CONT", "SEGV")

OUTCOMES = {
    "ok": "done as asked (for get: a group named `value` is the value)",
    "value": "a value was read; the group named `value` is it",
    "not_found": "answered: there is no such key",
    "read_only": "refused because this node may not write; groups leader_port, leader_addr, leader_id or leader_url name the leader",
    "refused": "refused for another reason",
    "not_ready": "refused because the node cannot serve yet (no leader, still loading)",
    "unknown": "the node itself says that it may have happened",
}
PROTOCOLS = {
    "lines": "text, one line a request",
    "frames": "length-prefixed messages",
    "resp": "the protocol of Redis",
    "http": "HTTP requests",
    "command": "the store's own command-line client",
}
CAPABILITIES = {
    "roles": "roles are fixed at start and a follower refuses writes",
    "redirect": "a refused write names the leader",
    "restart": "data survive a restart",
    "replicates": "followers receive the leader's writes",
    "leader_reads_only": "a follower refuses reads too",
    "forwards": "a follower passes writes on to the leader",
    "elects": "the nodes choose their leader themselves",
    "promote": "a follower can be made leader by a request",
    "status": "a request tells a node's role and state",
    "digest": "the status holds a digest of all keys and values",
}


class Signal(OfScalar):
    """A signal's name, with or without SIG; read without."""

    means = "a signal: " + ", ".join(SIGNALS)

    def take(self, node: Scalar, reading: Reading) -> Any:
        name = node.text.upper().removeprefix("SIG")
        return name if name in SIGNALS else reading.expected(node, self.means)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": [*SIGNALS, *("SIG" + name for name in SIGNALS)]}


class ProtocolName(OfScalar):
    """A protocol kvsim speaks, or a Python class of the user's own."""

    means = "a protocol (" + ", ".join(PROTOCOLS) + ") or package.module:Class"

    def take(self, node: Scalar, reading: Reading) -> Any:
        if node.text in PROTOCOLS or re.fullmatch(CLASS, node.text):
            return node.text
        reading.say(node, f"expected {self.means}, found {node.said()}{did_you_mean(node.text, PROTOCOLS)}")
        return WRONG

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(PROTOCOLS)}, {"type": "string", "pattern": f"^{CLASS}$"}]}


class SafePath(Text):
    """A relative path that stays below its folder."""

    def take(self, node: Scalar, reading: Reading) -> Any:
        if node.text.startswith("/") or ".." in node.text.split("/"):
            return reading.expected(node, "a path below the data directory (relative, without ..)")
        return super().take(node, reading)


ARGV = ListOf(Text("one argument", template=RUN), least=1)
MORE_ARGV = ListOf(Text("one argument", template=RUN))
ROLE = Word({"leader": "takes writes", "follower": "follows the leader"})
ENV = MapOf(Text("a text", template=RUN), key=r"[A-Za-z_][A-Za-z0-9_]*", key_means="the name of a variable")
STATUSES = ListOf(Int(0, 599, "a status"), one=True, least=1)
EXITS = ListOf(Int(0, 255, "an exit status"), one=True)
WITHIN = "time limit"

COMMAND = ByKind(
    "a command (a list of arguments) or a mapping (run, roles, needs, within)",
    items=ARGV,
    mapping=Record(
        "command",
        {
            "run": Field(ARGV, "the command, as a list of arguments", required=True),
            "roles": Field(ListOf(ROLE, one=True, least=1), "only for nodes of these roles", shows="both"),
            "needs": Field(Word(("leader",)), "wait until this node is ready first"),
            "within": Field(Duration(), WITHIN, default=30.0, shows="30s"),
        },
    ),
)
START = ByKind(
    "a list of arguments, or one list for each role",
    items=ARGV,
    mapping=Record(
        "start for each role",
        {
            "leader": Field(ARGV, "the command that starts a leader", required=True),
            "follower": Field(ARGV, "the command that starts a follower", required=True),
        },
    ),
)

PROBES = {
    "log": Field(
        Record(
            "log probe",
            {
                "pattern": Field(Pattern(template=RUN), "what the line holds", required=True),
                "in": Field(
                    Text("stdout, stderr or a file in the data directory", template=RUN),
                    "where to look",
                    shows="stdout and stderr",
                ),
            },
            bare="pattern",
        ),
        "a line that the node logs once it serves; only lines of this start count",
    ),
    "port": Field(
        Record(
            "port probe",
            {
                "state": Field(
                    Word({"owned": "the listener is our own process", "open": "somebody listens"}),
                    "what is asked",
                    default="owned",
                ),
                "name": Field(
                    Text("a name in `ports`", pattern=WORD), "an extra port", shows="the client port"
                ),
            },
            bare="state",
        ),
        "its port is open, and owned by the process that was started",
    ),
    "ping": Field(Flag(), "the `ping` request is answered with ok"),
    "request": Field(
        Record(
            "request probe",
            {
                "send": Field(Text("a verb in `requests`", pattern=WORD), "which request", required=True),
                "reply": Field(
                    Pattern(template=RUN), "what the reply must hold", shows="any reply that is `ok`"
                ),
            },
            bare="send",
        ),
        "a request gets the expected reply",
    ),
    "http": Field(
        Record(
            "HTTP probe",
            {
                "url": Field(
                    Text("a path or URL", template=RUN),
                    "a path on the client port, or a whole URL",
                    required=True,
                ),
                "status": Field(STATUSES, "statuses that mean ready", default=(200,), shows="200"),
                "body": Field(Pattern(template=RUN), "what the body must hold"),
            },
            bare="url",
        ),
        "an HTTP request gets the expected status or body",
    ),
    "command": Field(
        ByKind(
            "a list of arguments or a mapping (run, exit, output)",
            items=ARGV,
            mapping=Record(
                "command probe",
                {
                    "run": Field(ARGV, "the command", required=True),
                    "exit": Field(EXITS, "exit statuses that mean ready", default=(0,), shows="0"),
                    "output": Field(Pattern(template=RUN), "what its output must hold"),
                },
            ),
        ),
        "a command ends with the expected status or output",
    ),
}


def _ready(name: str, within_s: float) -> Record:
    return Record(
        name,
        {
            **PROBES,
            "any": Field(
                ListOf(Record("probe", PROBES, one_of=tuple(PROBES)), least=1),
                "one of these is enough, beside the others",
            ),
            "within": Field(
                Duration(), "time limit for all of it together", default=within_s, shows=f"{within_s:g}s"
            ),
        },
    )


LOG = Record(
    "log",
    {
        "mode": Field(
            Word(
                {
                    "file": "stdout and stderr go to a file",
                    "linebuf": "the same through stdbuf -oL, for programs that buffer",
                    "pty": "a terminal, for programs that buffer all the same",
                }
            ),
            "how output is caught",
            default="file",
            shows="file",
        ),
        "extra": Field(
            ListOf(SafePath("a glob below the data directory"), one=True),
            "more log files",
            default=(),
        ),
    },
    bare="mode",
)

STOP_STEP = Record(
    "stop step",
    {
        "signal": Field(Signal(), "send this signal to the process group"),
        "command": Field(ARGV, "run this command"),
        "wait": Field(Duration(), "how long everything may take to be gone", default=3.0, shows="3s"),
    },
    one_of=("signal", "command"),
)
STOP = Record(
    "stop",
    {
        "signal": Field(Signal(), "send this signal to the process group", shows="TERM"),
        "command": Field(ARGV, "or run this command"),
        "grace": Field(
            Duration(), "how long the node may take to be gone before it is killed", default=3.0, shows="3s"
        ),
        "steps": Field(ListOf(STOP_STEP, least=1), "or several steps, each with its own wait"),
        "exit": Field(
            EXITS,
            "exit statuses that count as a clean stop; 128 and the number of a signal for one that ends by it",
            default=(0,),
            shows="0",
        ),
        "pid_file": Field(
            SafePath("a path below the data directory", template=RUN), "where a daemon writes its process id"
        ),
    },
)

SPEAK = Record(
    "speak",
    {
        "kind": Field(
            ProtocolName(),
            "which protocol: " + "; ".join(f"{k}: {v}" for k, v in PROTOCOLS.items()),
            required=True,
        )
    },
    bare="kind",
    others=Field(Plain(), "a setting of that protocol"),
)

RULE = Record(
    "outcome rule",
    {
        "reply": Field(Pattern(), "searched in the reply"),
        "status": Field(STATUSES, "exit status or HTTP status"),
        "headers": Field(MapOf(Pattern()), "header name → pattern searched in its value"),
        "stderr": Field(Pattern(), "searched in what the client command wrote to stderr"),
    },
    bare="reply",
)
RULES = ListOf(RULE, one=True, least=1)
OUTCOME_RULES = {name: Field(RULES, says) for name, says in OUTCOMES.items()}
REPLIES = Record(
    "replies",
    OUTCOME_RULES,
    others=Field(
        Record("outcomes", OUTCOME_RULES),
        "the outcomes of one verb, or of `any`; looked at before those of all verbs",
    ),
)


class FieldPath(OfScalar):
    """Where a value stands in a reply: `$.a.b` (JSON) or a regular expression with one group."""

    means = "a JSON path such as $.role or $.peers.0.id, or a regular expression with one ( ) group"
    PATH = r"\$(?:\.[A-Za-z0-9_-]+)+"
    pattern = Pattern(group=True)

    def take(self, node: Scalar, reading: Reading) -> Any:
        if not node.text.startswith("$."):
            return self.pattern.take(node, reading)
        return node.text if re.fullmatch(self.PATH, node.text) else reading.expected(node, self.means)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string"}


STATUS = Record(
    "status",
    {
        "request": Field(
            Text("a verb in `requests`", pattern=WORD),
            "which request to ask with",
            default="status",
            shows="status",
        ),
        "words": Field(MapOf(ROLE), "the program's word for a role → leader or follower"),
        "role": Field(FieldPath(), "where the node's own role stands"),
        "leader": Field(FieldPath(), "where the leader's address, port or id stands"),
        "self": Field(
            FieldPath(),
            "where the node's own id stands: without `role`, the leader is the node that `leader` names",
        ),
        "keys": Field(FieldPath(), "the number of keys"),
        "digest": Field(FieldPath(), "a digest of all keys and values"),
        "epoch": Field(FieldPath(), "the term or epoch"),
        "index": Field(FieldPath(), "how far the log is applied"),
    },
    others=Field(FieldPath(), "any other field worth recording"),
)

TEXTS = MapOf(Text(), key=WORD, key_means="a word")
FIELDS: dict[str, Field] = {
    "program": Field(
        Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.+-]*"),
        "the program's name, shown in reports",
        required=True,
    ),
    "title": Field(Text(), "one line about it"),
    "like": Field(
        Text("a program"),
        "take every key that is not written here from that program (a name in nodes/ or a path)",
    ),
    "start": Field(START, "the command that starts a node; an argument may hold spaces", required=True),
    "start_leader": Field(MORE_ARGV, "appended to `start` for a leader", default=()),
    "start_follower": Field(MORE_ARGV, "appended to `start` for a follower", default=()),
    "role_words": Field(
        Record(
            "role words",
            {
                role: Field(Text("a word"), f"what {{role}} says for a {role}")
                for role in ("leader", "follower")
            },
        ),
        "the program's own words for the roles",
        shows="leader, follower",
    ),
    "cwd": Field(Text("a folder", template=RUN), "working directory", shows="the node's run folder"),
    "env": Field(ENV, "environment variables to set", shows="none"),
    "env_inherit": Field(Flag(), "hand down kvsim's whole environment", default=False, shows="false"),
    "user": Field(
        Text("a user name"), "run as this user where kvsim is root (for servers that refuse to be root)"
    ),
    "files": Field(
        MapOf(
            Text("a template", template=RUN),
            key=r"(?!/)(?!.*(?:^|/)\.\.(?:/|$)).+",
            key_means="a file name below the data directory",
            key_template=RUN,
        ),
        "files written before each start, after `init`: name → template",
        shows="none",
    ),
    "ports": Field(
        ListOf(Text("a name", pattern=WORD), one=True),
        "names of extra ports, each given to every node as {ports.NAME}",
        default=(),
    ),
    "init": Field(
        ListOf(COMMAND), "commands run once on an empty data directory, before the first start", default=()
    ),
    "after_start": Field(
        ListOf(COMMAND), "commands run after the first start, when the node is ready", default=()
    ),
    "order": Field(
        Word(
            {
                "leader_first": "followers start when the leader is ready",
                "followers_first": "the other way round",
                "together": "all at once, then wait (stores that elect)",
            }
        ),
        "in what order the nodes start",
        default="leader_first",
        shows="leader_first",
    ),
    "ready": Field(
        _ready("ready", 5.0), "when a node counts as ready: all that is written here", shows="port: owned"
    ),
    "cluster_ready": Field(
        _ready("cluster ready", 20.0), "when the cluster counts as ready, once every node is"
    ),
    "log": Field(LOG, "where the node's log is", shows="file"),
    "role_log": Field(
        Record(
            "role log",
            {
                role: Field(Pattern(template=RUN), f"what a {role} must log")
                for role in ("leader", "follower")
            },
        ),
        "lines that show a node's role in its own log",
    ),
    "stop": Field(STOP, "how a node is stopped", shows="TERM, then 3s"),
    "speak": Field(SPEAK, "the protocol", shows="lines"),
    "requests": Field(
        MapOf(Plain(template=REQUEST), key=WORD, key_means="a verb"),
        "verb → what is sent: a text (lines, frames), a list (resp, command) or a mapping (http, command)",
        default={},
    ),
    "replies": Field(
        REPLIES,
        "outcome → pattern, for all verbs or under a verb; first match in the order written wins; no match is never a refusal",
        default={},
    ),
    "status": Field(
        STATUS,
        "how to ask a node for its role and state",
        shows="$.role, $.leader, … of the `status` request",
    ),
    "capabilities": Field(
        ListOf(Text("a word", pattern=WORD), one=True), "what a scenario's `needs` may ask for", default=()
    ),
    "promises": Field(TEXTS, "what the program promises; the checks judge it by that", default={}),
    "options": Field(
        MapOf(Text(), key=WORD, key_means="a word"),
        "names that templates may use, with their default values",
        default={},
    ),
}


PROGRAM = Record("program", FIELDS, waived_by="like")


def program_shape() -> Shape:
    """For a program written inside another file."""
    return Kept(Named("program", lambda: PROGRAM))
