"""The language of cluster.yaml as tables. Reader (`cluster_file.py`), JSON Schema and reference page come from here."""

from __future__ import annotations

from kvsim.config.common_words import ENV, RUN, TEXTS, WORD
from kvsim.config.program_words import program_shape
from kvsim.config.shape import ByKind, Field, Int, ListOf, MapOf, Record, Text, TimeLimit, Word
from kvsim.config.target import NODE_NAME
from kvsim.limits import Own

PORT = Int(1, 65535, "a port")
PROGRAM_REFERENCE = ByKind(
    "a program: a name in nodes/, a path to a node.yaml, or a mapping as in a node.yaml",
    text=Text("a program"),
    mapping=program_shape(),
)
LAG = Record(
    "lag",
    {
        "follower": Field(
            Word(
                {
                    "must": "it must have it",
                    "may": "it may or may not have it",
                    "never": "it must not have it (roles without replication)",
                }
            ),
            "whether a follower has a write that the leader acknowledged",
            default="may",
            shows="may",
        ),
        "within": Field(TimeLimit(), "after what time that is judged", default=Own(2.0), shows="2s"),
    },
    bare="follower",
)
NODE = Record(
    "node",
    {
        "role": Field(
            Word({"leader": "takes writes", "follower": "follows the leader"}),
            "the role it is started in; may be left out for programs that elect",
        ),
        "port": Field(PORT, "its client port under `kvsim up`; a run of its own picks free ones"),
        "ports": Field(
            MapOf(PORT, key=WORD, key_means="a name in the program's `ports`"),
            "extra named ports under `kvsim up`",
            default={},
        ),
        "program": Field(
            PROGRAM_REFERENCE, "the program of this node alone: a mixed cast", shows="the cluster's program"
        ),
        "args": Field(
            ListOf(Text("one argument", template=RUN), one=True), "appended to its start command", default=()
        ),
        "env": Field(ENV, "environment variables of this node", default={}),
        "options": Field(TEXTS, "values for the program's options, for this node", default={}),
    },
)
FIELDS: dict[str, Field] = {
    "cluster": Field(
        Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*"), "the cluster's name", required=True
    ),
    "title": Field(Text(), "one line about it"),
    "program": Field(PROGRAM_REFERENCE, "the program every node runs that names none of its own"),
    "nodes": Field(
        MapOf(NODE, key=NODE_NAME, key_means="a node name (small letters, digits, - and _)", least=1),
        "the nodes: name → role, port, …",
        required=True,
    ),
    "host": Field(
        Text("an address", pattern=r"[A-Za-z0-9:.-]+"),
        "where nodes listen",
        default="127.0.0.1",
        shows="127.0.0.1",
    ),
    "options": Field(TEXTS, "values for the program's options, for every node", default={}),
    "links": Field(
        Word(
            {
                "direct": "nodes and clients reach nodes at their own addresses",
                "proxied": "each reaches each through a proxy of its own, so that faults of links can be had without root",
                "netns": "each has a network namespace of its own, and faults hit packets; for peers that cannot be proxied, as root",
            }
        ),
        "how nodes reach each other in `kvsim run`",
        default="direct",
        shows="direct",
    ),
    "lag": Field(LAG, "what followers must show of acknowledged writes", shows="may"),
}
CLUSTER = Record("cluster", FIELDS)
