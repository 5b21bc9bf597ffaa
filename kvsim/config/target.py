"""Targets: the nodes that a step is for: `n2`, `leader`, `each follower`, `majority`, `n1, n3`.

A frozen value, its parser, and its schema. The runner resolves the nodes when the step runs.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from kvsim.config.names import CLIENT
from kvsim.config.program import Role
from kvsim.config.schema import WRONG, Schema, Validation
from kvsim.config.yaml_nodes import Items, Scalar, Tree
from kvsim.text import did_you_mean

NODE_NAME = r"[a-z][a-z0-9_-]*"
EACH, ANY, THE, MAJORITY, MINORITY, NAMED = "each", "any", "the", "majority", "minority", "named"
MOST_ADVANCED, LEAST_ADVANCED = "most advanced", "least advanced"
OLD_LEADER, CANDIDATE = "old leader", "candidate"
# Which nodes these are, only what the nodes report in the run can say.
REPORTED = frozenset({MOST_ADVANCED, LEAST_ADVANCED, OLD_LEADER, CANDIDATE})
# The words of a target → (which, role).
WORDS = {
    "leader": (THE, Role.LEADER),
    "follower": (THE, Role.FOLLOWER),
    "each": (EACH, None),
    "all": (EACH, None),
    "any": (ANY, None),
    "random": (ANY, None),
    "each leader": (EACH, Role.LEADER),
    "each follower": (EACH, Role.FOLLOWER),
    "all followers": (EACH, Role.FOLLOWER),
    "any follower": (ANY, Role.FOLLOWER),
    "one follower": (ANY, Role.FOLLOWER),
    "most advanced follower": (MOST_ADVANCED, Role.FOLLOWER),
    "most advanced": (MOST_ADVANCED, None),
    "least advanced": (LEAST_ADVANCED, None),
    "old leader": (OLD_LEADER, None),
    "candidate": (CANDIDATE, None),
    "majority": (MAJORITY, None),
    "minority": (MINORITY, None),
}
# For the reference page.
DESCRIPTIONS = {
    "leader": "the node that is the leader when the step runs: of several that report it, the one "
    "with the highest term",
    "old leader": "the node that led last before the one that leads now",
    "candidate": "a node that reports that it asks for votes; of several, one drawn from the seed",
    "follower": "the only follower",
    "each": "every node, one after another; also `all`",
    "each follower": "every follower; also `all followers`",
    "each leader": "every node that reports that it is the leader",
    "any": "one node, drawn from the seed; also `random`",
    "any follower": "one follower, drawn from the seed; also `one follower`",
    "most advanced follower": "the follower with the highest term and, in it, the highest index: "
    "the one to promote",
    "most advanced": "the node with the highest term and, in it, the highest index of its log",
    "least advanced": "the node with the lowest term and, in it, the lowest index of its log",
    "majority": "more than half of the nodes, drawn from the seed",
    "minority": "as many as can be without a majority, drawn from the seed",
    "n2": "the node of that name; several: `n1, n3` or `[n1, n3]`",
}
RESERVED = frozenset(
    {
        "leader",
        "follower",
        "each",
        "all",
        "any",
        "one",
        "majority",
        "minority",
        "random",
        "candidate",
        "client",
        "cluster",
    }
)


class Target(Struct, frozen=True):
    """`which`: the | each | any | majority | minority | named | one of REPORTED.

    `role` restricts it to nodes of that role; `names` belong to named; `str()` gives the text of a
    scenario. `the` must match exactly one node; `each` is every node, one after another; `any`,
    `majority` and `minority` are drawn from the seed.
    """

    which: str
    role: Role | None = None
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.which == NAMED:
            return ", ".join(self.names)
        if self.which == THE:
            return str(self.role)
        return f"{self.which} {self.role}" if self.role else self.which

    @property
    def single(self) -> bool:
        """Whether it is always one node."""
        return self.which in REPORTED | {THE, ANY} or (self.which == NAMED and len(self.names) == 1)

    @property
    def depends_on_roles(self) -> bool:
        """Whether its nodes can change when the roles or the logs of nodes do."""
        return self.role is not None or self.which in REPORTED


def parse_target(text: str) -> Target:
    """Parse a target's words. Other words are names of nodes; `lint` checks them.

    Raises ValueError, with one line for the author, for an empty text, a repeated name, or words
    that are no target.
    """
    words = " ".join(text.split())
    if words in WORDS:
        which, role = WORDS[words]
        return Target(which, role)
    names = tuple(name.strip() for name in words.split(","))
    if not all(re.fullmatch(NODE_NAME, name) for name in names) or words in RESERVED:
        raise ValueError(f'"{words}" is no target{did_you_mean(words, WORDS)}')
    return named(names)


def named(names: tuple[str, ...]) -> Target:
    """The nodes of these names. Raises ValueError for a repeated name, or one that is reserved."""
    for name in names:
        if name in RESERVED or not re.fullmatch(NODE_NAME, name):
            raise ValueError(f"`{name}` cannot be in a list of node names")
        if names.count(name) > 1:
            raise ValueError(f"`{name}` is named twice in this target")
    return Target(NAMED, names=names)


class TargetSchema(Schema):
    """A target: words, a node's name, or a list of names."""

    expected = "a target"

    def read(self, node: Tree, validation: Validation) -> Any:
        try:
            if isinstance(node, Items) and node.items:
                names = [item.text for item in node.items if isinstance(item, Scalar)]
                if len(names) == len(node.items):
                    return named(tuple(names))
            elif isinstance(node, Scalar) and not node.absent:
                return parse_target(node.text)
        except ValueError as error:
            validation.report(node, str(error))
            return WRONG
        words = ", ".join(WORDS)
        return validation.report_expected(
            node, f"a target: a node's name, a list of names, or one of {words}"
        )

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"anyOf": [{"enum": list(WORDS)}, {"type": "string"}, names]}


class LinkEndSchema(TargetSchema):
    """One end of a link: a target, or `client`, which reads into that word."""

    expected = "a target, or `client`"

    def read(self, node: Tree, validation: Validation) -> Any:
        if isinstance(node, Scalar) and node.text == CLIENT:
            return CLIENT
        return super().read(node, validation)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [{"const": CLIENT}, *super().json_schema(defs)["anyOf"]]}
