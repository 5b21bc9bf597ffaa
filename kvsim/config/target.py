"""Targets: who a step is for, in words: `n2`, `leader`, `each follower`, `any follower`, `each`, `majority`, `n1, n3`.

A frozen value and its reading from text. Who that is at a given moment is found out when the step runs, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kvsim.config.program import Role
from kvsim.config.spelling import did_you_mean

NODE_NAME = r"[a-z][a-z0-9_-]*"
EACH, ANY, THE, MAJORITY, MINORITY, NAMED = "each", "any", "the", "majority", "minority", "named"
AHEAD = "most advanced"
WORDS = {  # the words of a target → (which, role)
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
    "most advanced follower": (AHEAD, Role.FOLLOWER),
    "majority": (MAJORITY, None),
    "minority": (MINORITY, None),
}
MEANINGS = {  # for the reference page
    "leader": "the node that is the leader when the step runs",
    "follower": "the only follower",
    "each": "every node, one after another; also `all`",
    "each follower": "every follower; also `all followers`",
    "each leader": "every node that says it is the leader",
    "any": "one node, drawn from the seed; also `random`",
    "any follower": "one follower, drawn from the seed; also `one follower`",
    "most advanced follower": "the follower that names the highest epoch and, in it, the highest index: the one to promote",
    "majority": "more than half of the nodes, drawn from the seed",
    "minority": "as many as can be without a majority, drawn from the seed",
    "n2": "the node of that name; several: `n1, n3` or `[n1, n3]`",
}
RESERVED = frozenset(
    {"leader", "follower", "each", "all", "any", "one", "majority", "minority", "random", "client", "cluster"}
)


@dataclass(frozen=True)
class Target:
    """`which`: the | each | any | most advanced | majority | minority | named. `role` narrows it; `names` for named. `str()`: its words.

    `the leader` must be exactly one; `each` is every node asked (of that role), one after another; `any` is one of them, drawn
    from the seed; `majority` and `minority` are drawn from the seed too.
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
        """True when it stands for one node."""
        return self.which in (THE, ANY, AHEAD) or (self.which == NAMED and len(self.names) == 1)


def parse_target(text: str) -> Target:
    """Read a target's words; whatever is not a known word is taken for node names (checked against the cluster later).

    Raises ValueError, with one line for the author, for an empty text, a name twice, or several words that mean nothing.
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
    """The nodes of these names. Raises ValueError when one stands there twice or cannot be a node's."""
    for name in names:
        if name in RESERVED or not re.fullmatch(NODE_NAME, name):
            raise ValueError(f"`{name}` cannot stand in a list of node names")
        if names.count(name) > 1:
            raise ValueError(f"`{name}` stands twice in this target")
    return Target(NAMED, names=names)
