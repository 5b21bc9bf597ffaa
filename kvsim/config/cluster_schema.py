"""The language of cluster.yaml as tables. Reader, JSON Schema and reference page come from here."""

from __future__ import annotations

from kvsim.config.cluster import DEFAULT_HOST, Lag
from kvsim.config.program_schema import ENV, TEXTS
from kvsim.config.protocol_schema import ROLE
from kvsim.config.schema import (
    WORD,
    ByNodeKind,
    Choice,
    Field,
    Int,
    ListOf,
    MapOf,
    Named,
    Record,
    Text,
    TimeLimit,
    Unread,
)
from kvsim.config.target import NODE_NAME
from kvsim.config.template import NODE_SCOPE
from kvsim.timeouts import DefaultTimeout

NODES_MAX = 99
PORT = Int(1, 65535, "a port")
LAG = Record(
    "lag",
    {
        "follower": Field(
            Choice(
                {
                    "must": "it must have it",
                    "may": "it may or may not have it",
                    "never": "it must not have it (roles without replication)",
                }
            ),
            "whether a follower has a write that the leader acknowledged",
            default="may",
            default_text="may",
            attribute="follower_has",
        ),
        "within": Field(
            TimeLimit(zero=True),
            "after this time the checks judge it",
            default=DefaultTimeout(2.0),
            default_text="2s",
            attribute="within_s",
        ),
    },
    bare="follower",
    result=Lag,
)
NODE_FIELDS: dict[str, Field] = {
    "role": Field(
        ROLE,
        "the role it is started in; may be left out for programs that elect",
    ),
    "port": Field(PORT, "its client port under `kvsim up`; a private run chooses free ones"),
    "ports": Field(
        MapOf(PORT, key=WORD, key_expected="a name in the program's `ports`"),
        "extra named ports under `kvsim up`",
        default={},
    ),
    "args": Field(
        ListOf(Text("one argument", template=NODE_SCOPE), single=True),
        "appended to its start command",
        default=(),
    ),
    "env": Field(ENV, "environment variables of this node", default={}),
    "options": Field(TEXTS, "values for the program's options, for this node", default={}),
}

FIELDS: dict[str, Field] = {
    "cluster": Field(
        Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*"), "the cluster's name", required=True
    ),
    "title": Field(Text(), "one line about it"),
    "host": Field(
        Text("an address", pattern=r"[A-Za-z0-9:.-]+"),
        "where nodes listen",
        default=DEFAULT_HOST,
        default_text=DEFAULT_HOST,
    ),
    "options": Field(TEXTS, "values for the program's options, for every node", default={}),
    "links": Field(
        Choice(
            {
                "direct": "nodes and clients reach nodes at their own addresses",
                "proxied": "a proxy on every link, so that links can be broken without root",
                "netns": "a network namespace for every node; faults act on packets; for peers "
                "that cannot be proxied, as root",
            }
        ),
        "how nodes reach each other in `kvsim run`",
        default="direct",
        default_text="direct",
    ),
    "lag": Field(
        LAG, "what followers must show of acknowledged writes", default=Lag(), default_text="may"
    ),
}


def node_record(program: Record) -> Record:
    """One node of the file. `program` is the schema of a node.yaml."""
    own = Field(
        _reference(program),
        "the program of this node alone, in a mixed cluster",
        default_text="the cluster's program",
    )
    return Record("node", {**NODE_FIELDS, "program": own})


def cluster_record(program: Record) -> Record:
    """The keys of cluster.yaml. `program` is the schema of a node.yaml."""
    nodes = MapOf(
        node_record(program),
        key=NODE_NAME,
        key_expected="a node name (small letters, digits, - and _)",
        length_min=1,
        length_max=NODES_MAX,
    )
    fields = {
        **FIELDS,
        "program": Field(_reference(program), "the program of every node that names none itself"),
        "nodes": Field(nodes, "the nodes: name → role, port, …", required=True),
    }
    return Record("cluster", fields)


def _reference(program: Record) -> ByNodeKind:
    """A program is read when its file is found, or from the mapping itself."""
    return ByNodeKind(
        "a program: a name in nodes/, a path to a node.yaml, or a mapping as in a node.yaml",
        text=Text("a program", empty=False),
        mapping=Unread(Named("program", lambda: program)),
    )
