"""The language of node.yaml as tables: every key, what it may hold, and one line that says what it is for.

Keys of processes are described in `process_words.py`, those of talking in `protocol_words.py`. Reader (`program_file.py`), JSON Schema and
reference page all come from here. Nothing is read or built in this file.
"""

from __future__ import annotations

from kvsim.config.common_words import ENV, REQUEST, RUN, TEXTS, WORD
from kvsim.config.process_words import COMMAND, LOG, MORE_ARGV, START, STOP, ready_record
from kvsim.config.protocol_words import REPLIES, SPEAK, STATUS
from kvsim.config.shape import (
    Field,
    Flag,
    Kept,
    ListOf,
    MapOf,
    Named,
    Pattern,
    Plain,
    Record,
    Shape,
    Text,
    Word,
)

CAPABILITIES = {
    "roles": "roles are fixed at start and a follower refuses writes",
    "redirect": "a refused write names the leader",
    "restart": "data survive a restart",
    "replicates": "followers receive the leader's writes",
    "leader_reads_only": "a follower refuses reads too",
    "forwards": "a follower passes writes on to the leader",
    "elects": "the nodes choose their leader themselves",
    "promote": "the request `promote` makes a follower the leader, and the others follow it",
    "status": "a request tells a node's role and state",
    "digest": "the status holds a digest of all keys and values",
    "cas": "a key can be set on condition that it holds an expected value (compare-and-set)",
}
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
        ready_record("ready", 5.0),
        "when a node counts as ready: all that is written here",
        shows="port: owned",
    ),
    "cluster_ready": Field(
        ready_record("cluster ready", 20.0), "when the cluster counts as ready, once every node is"
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
