"""The part of node.yaml that is about talking, as tables: the protocol, what its replies mean, and how a node is asked for its state."""

from __future__ import annotations

import re
from typing import Any

from kvsim.config.common_words import ROLE, STATUSES, WORD
from kvsim.config.shape import (
    WRONG,
    Field,
    ListOf,
    MapOf,
    OfScalar,
    Pattern,
    Plain,
    Reading,
    Record,
    Text,
)
from kvsim.config.spelling import did_you_mean
from kvsim.config.yaml_tree import Scalar

CLASS = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
OUTCOMES = {
    "ok": "done as asked (for get: a group named `value` is the value)",
    "value": "a value was read; the group named `value` is it",
    "not_found": "answered: there is no such key",
    "mismatch": "answered: the key does not hold what a compare-and-set expects, nothing was changed; the group `value` is what it holds",
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
