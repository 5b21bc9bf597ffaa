"""What the languages of several files share: names, scopes of templates, roles, signals, tables of texts."""

from __future__ import annotations

from typing import Any

from kvsim.config.shape import (
    Int,
    ListOf,
    MapOf,
    OfScalar,
    Reading,
    Text,
    Word,
)
from kvsim.config.yaml_tree import Scalar

WORD = r"[a-z][a-z0-9_]*"
RUN = "run"  # scope of templates: names of one node
REQUEST = "request"  # the same, and {key} {value}
ROLE = Word({"leader": "takes writes", "follower": "follows the leader"})
STATUSES = ListOf(Int(0, 599, "a status"), one=True, least=1)
ENV = MapOf(Text("a text", template=RUN), key=r"[A-Za-z_][A-Za-z0-9_]*", key_means="the name of a variable")
TEXTS = MapOf(Text(), key=WORD, key_means="a word")
SIGNALS = ("TERM", "INT", "QUIT", "HUP", "KILL", "ABRT", "USR1", "USR2", "STOP", "CONT", "SEGV")


class Signal(OfScalar):
    """A signal's name, with or without SIG; read without."""

    means = "a signal: " + ", ".join(SIGNALS)

    def take(self, node: Scalar, reading: Reading) -> Any:
        name = node.text.upper().removeprefix("SIG")
        return name if name in SIGNALS else reading.expected(node, self.means)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": [*SIGNALS, *("SIG" + name for name in SIGNALS)]}
