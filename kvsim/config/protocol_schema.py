"""The part of node.yaml that is about requests and replies, as tables: the protocol, what replies
mean, and how a node reports its state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kvsim.config.program import Query, ReplyRule, Role, Speak
from kvsim.config.schema import (
    WORD,
    WRONG,
    Choice,
    Field,
    Int,
    ListOf,
    MapOf,
    Pattern,
    PlainData,
    Record,
    ScalarSchema,
    Schema,
    Text,
    Validation,
)
from kvsim.config.template import NODE_SCOPE
from kvsim.config.yaml_nodes import Fields, Scalar, Tree
from kvsim.text import did_you_mean

ROLE = Choice({"leader": "takes writes", "follower": "follows the leader"}, result=Role)
STATUSES = ListOf(Int(0, 599, "a status"), single=True, length_min=1, result=frozenset)
CLASS = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
OUTCOMES = {
    "ok": "done as asked (for get: a group named `value` is the value)",
    "value": "a value was read; the group named `value` is it",
    "not_found": "answered: there is no such key",
    "mismatch": "answered: the key does not hold what a compare-and-set expects, nothing was "
    "changed; the group `value` is what it holds",
    "read_only": "refused because this node may not write; groups leader_port, leader_addr, "
    "leader_id or leader_url name the leader",
    "refused": "refused for another reason",
    "not_ready": "refused because the node cannot serve yet (no leader, still loading)",
    "unreachable": "the client says that it could not connect: nothing was sent",
    "next": "nothing was done, because this alternative of `first_of` does not apply: the next one "
    "is asked (the last: refused)",
    "unknown": "the node replies that it may have happened",
}


# The named groups that rules use.
GROUPS = {
    "value": "the value of the key",
    "value_json": "the value of the key as JSON, a string with its quotes: it is decoded",
    "leader_addr": "the leader's address, host:port",
    "leader_url": "the leader's URL",
    "leader_port": "one of the leader's ports",
    "leader_id": "the leader's name or `id`",
    "leader_index0": "the leader's position, counted from 0",
}


class ProtocolLanguage(Struct, frozen=True):
    """What a protocol adds to node.yaml: its settings in `speak`, and what a request holds.

    `request` is the schema of a request with any settings, `request_with` that with these.
    """

    settings: Mapping[str, Field]
    request: Schema
    request_with: Callable[[Mapping[str, object]], Schema]


# From a protocol's name to its language; None for a class of the user, which is not checked.
LanguageOf = Callable[[str], ProtocolLanguage | None]


def no_language(protocol: str) -> ProtocolLanguage | None:
    """For readers that do not check settings and requests."""
    return None


class ProtocolName(ScalarSchema):
    """A protocol of kvsim, or a Python class of the user."""

    def __init__(self, protocols: Sequence[str]) -> None:
        self.protocols = tuple(protocols)
        self.expected = f"a protocol ({', '.join(protocols)}) or package.module:Class"

    def parse(self, node: Scalar, validation: Validation) -> Any:
        if node.text in self.protocols or re.fullmatch(CLASS, node.text):
            return node.text
        found = f"{node.describe()}{did_you_mean(node.text, self.protocols)}"
        validation.report(node, f"expected {self.expected}, found {found}")
        return WRONG

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        user_class = {"type": "string", "pattern": f"^{CLASS}$"}
        return {"anyOf": [{"enum": list(self.protocols)}, user_class]}


def kind_of(speak: Any) -> str:
    """The protocol of a `speak` that was read, or of its default."""
    kind: str = speak.kind if isinstance(speak, Speak) else speak[0]
    return kind


def make_rule(**conditions: Any) -> ReplyRule:
    """A rule whose outcome is still to be set."""
    return ReplyRule("", **conditions)


def make_rules(**outcomes: tuple[ReplyRule, ...] | None) -> tuple[ReplyRule, ...]:
    """Outcome → rules as one list, in the order written."""
    return tuple(
        replace(rule, outcome=outcome)
        for outcome, rules in outcomes.items()
        for rule in rules or ()
    )


def make_replies(
    *, others: dict[str, tuple[ReplyRule, ...]], **outcomes: tuple[ReplyRule, ...] | None
) -> dict[str, tuple[ReplyRule, ...]]:
    """Verb → rules. Outcomes outside every verb are rules of `any`, after its own."""
    loose = make_rules(**outcomes)
    return {**others, "any": others.get("any", ()) + loose} if loose else others


def make_query(
    *, request: str, words: dict[str, Role], others: dict[str, str], **fields: str | None
) -> Query:
    given = {name: path for name, path in {**fields, **others}.items() if path is not None}
    return Query(request, given, {word.lower(): role for word, role in words.items()})


class SpeakSchema(Schema):
    """`speak`: a protocol, alone or with its settings, which its language describes."""

    def __init__(self, protocols: Sequence[str], language_of: LanguageOf) -> None:
        self.name = ProtocolName(protocols)
        self.language_of = language_of
        self.expected = f"a mapping (kind, and the protocol's settings) or {self.name.expected}"

    def read(self, node: Tree, validation: Validation) -> Any:
        if not isinstance(node, Fields):
            kind = self.name.read(node, validation)
            return WRONG if kind is WRONG else (kind, {})
        given = node.get("kind")
        if given is None:
            validation.report(node, "`kind` is missing: which protocol")
            return WRONG
        with validation.inside("kind"):
            kind = self.name.read(given, validation)
        if kind is WRONG:
            return WRONG
        self.record(kind).read(node, validation)
        plain = PlainData().read(node, validation)
        return kind, {name: value for name, value in plain.items() if name != "kind"}

    def build(self, value: Any) -> Speak:
        return Speak(*value)

    def record(self, kind: str) -> Record:
        """The keys of `speak` for one protocol."""
        language = self.language_of(kind)
        return Record(
            kind,
            {"kind": Field(self.name, "which protocol"), **(language.settings if language else {})},
            others=None if language else Field(PlainData(), "a setting of the class"),
        )

    def request_schema(self, kind: str, settings: Mapping[str, object]) -> Schema | None:
        """What a request of this protocol holds; None when that is not checked."""
        language = self.language_of(kind)
        return None if language is None else language.request_with(settings)

    def is_kind(self, kind: str) -> dict[str, Any]:
        """The JSON Schema of every `speak` of one protocol."""
        whole = {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
        return {"anyOf": [{"const": kind}, {"type": "object", **whole}]}

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        whole = [
            {**schema, "properties": {**schema["properties"], "kind": kind}, "required": ["kind"]}
            for name in (*self.name.protocols, "")
            for schema in [self.record(name).json_schema(defs)]
            for kind in [{"const": name} if name else {"pattern": f"^{CLASS}$"}]
        ]
        return {"anyOf": [*self.name.json_schema(defs)["anyOf"], *whole]}


class RulePattern(Pattern):
    """A pattern of an outcome rule. Its named groups are those of GROUPS; another name can only
    serve the pattern itself, as in `(?P<quote>[\"'])…(?P=quote)`.
    """

    def parse(self, node: Scalar, validation: Validation) -> Any:
        text = super().parse(node, validation)
        names = () if text is WRONG else re.compile(text).groupindex
        for name in names:
            if name not in GROUPS and f"(?P={name})" not in text and f"(?({name})" not in text:
                known = did_you_mean(name, GROUPS)
                validation.report(
                    node, f"no rule uses a group `{name}`{known}; groups are {', '.join(GROUPS)}"
                )
                return WRONG
        return text


RULE = Record(
    "outcome rule",
    {
        "reply": Field(
            RulePattern(),
            "searched in the reply; `.` matches no line end, unless it begins with (?s)",
        ),
        "status": Field(STATUSES, "exit status or HTTP status", default=frozenset()),
        "headers": Field(
            MapOf(RulePattern()), "header name → pattern searched in its value", default={}
        ),
        "stderr": Field(RulePattern(), "searched in what the client command wrote to stderr"),
    },
    bare="reply",
    result=make_rule,
)
RULES = ListOf(RULE, single=True, length_min=1)
OUTCOME_RULES = {name: Field(RULES, description) for name, description in OUTCOMES.items()}
REPLIES = Record(
    "replies",
    OUTCOME_RULES,
    others=Field(
        Record("outcomes", OUTCOME_RULES, result=make_rules),
        "the outcomes of one verb, or of `any`; they come before those of all verbs",
    ),
    result=make_replies,
)


# A field of a status reply that is not in its text.
STATUS_PATH, HEADER_PATH = "status", "headers."


class FieldPath(ScalarSchema):
    """Where a reply has a value: `$.a.b` (JSON), a regular expression with one group, `status` (the
    exit status or HTTP status), or `headers.NAME`.
    """

    expected = (
        "a JSON path such as $.role or $.peers.0.id, a regular expression with one ( ) group, "
        "`status` (exit status or HTTP status), or headers.NAME"
    )
    PATH = r"\$(?:\.[A-Za-z0-9_-]+)+"
    pattern = Pattern(group=True)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        if node.text == STATUS_PATH or re.fullmatch(HEADER_PATH + r"[\w-]+", node.text):
            return node.text
        if not node.text.startswith("$."):
            return self.pattern.parse(node, validation)
        return (
            node.text
            if re.fullmatch(self.PATH, node.text)
            else validation.report_expected(node, self.expected)
        )

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string"}


STATUS = Record(
    "status",
    {
        "request": Field(
            Text("a verb in `requests`", pattern=WORD),
            "which request to ask with",
            default="status",
            default_text="status",
        ),
        "words": Field(
            MapOf(ROLE, key_template=NODE_SCOPE),
            "the program's word for a role → leader or follower; a word may name addresses",
            default={},
        ),
        "role": Field(FieldPath(), "the node's own role"),
        "leader": Field(FieldPath(), "the leader's address, port or id"),
        "leader_index0": Field(FieldPath(), "the leader's position, counted from 0"),
        "self": Field(
            FieldPath(),
            "the node's own id: without `role`, the leader is the node that `leader` names",
        ),
        "keys": Field(FieldPath(), "the number of keys"),
        "digest": Field(FieldPath(), "a digest of all keys and values"),
        "term": Field(FieldPath(), "the term (Raft), epoch or view"),
        "index": Field(FieldPath(), "how far the log is applied"),
        "commit": Field(FieldPath(), "the commit index (Raft)"),
        "applied": Field(FieldPath(), "the index of the entry that was applied last"),
        "last_index": Field(FieldPath(), "the index of the last entry of its log"),
        "last_term": Field(FieldPath(), "the term of the last entry of its log"),
        "log_digest": Field(
            FieldPath(), "a digest of its log from the first entry to the last one"
        ),
        "members": Field(FieldPath(), "the names of the nodes that vote"),
    },
    others=Field(FieldPath(), "any other field to record"),
    result=make_query,
)
