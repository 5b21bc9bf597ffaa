"""What a kind of readiness probe declares, and the input and result of one try."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from kvsim.client.connect import connect
from kvsim.client.exchange import Client
from kvsim.config.schema import Schema
from kvsim.config.template import render_pattern
from kvsim.launcher.node import Node
from kvsim.patterns import search
from kvsim.text import truncate
from kvsim.timeouts import PLAIN, Timeouts

# The limit of one try. Doubled each time, because a slow server may answer only requests of later
# tries.
TRY_TIMEOUT_S, TRY_TIMEOUT_MAX_S = 0.125, 1.0
SHOWN_LENGTH_MAX = 300
LAST = 1_000

# The settings of one probe, as node.yaml gives them.
Settings = Mapping[str, Any]


class ProbeContext(Struct):
    """The node that is probed, and what several tries share. `names` are its template names."""

    node: Node
    names: Mapping[str, Any]
    timeouts: Timeouts = PLAIN
    _client: Client | None = None
    _try_timeout_s: float = TRY_TIMEOUT_S

    def client(self) -> Client:
        """The client of all tries, until `close_client`."""
        if self._client is None:
            address = self.node.address.host_port
            self._client = connect(self.node.program, *address, names=self.names)
        return self._client

    def close_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def next_timeout_s(self) -> float:
        """The time limit of this try: twice that of the try before."""
        timeout_s = self._try_timeout_s
        self._try_timeout_s = min(2 * timeout_s, TRY_TIMEOUT_MAX_S)
        return timeout_s


class ProbeResult(Struct):
    """One try: `evidence` when the probe passed, else what was `observed` instead.

    `unmatched`: what node.yaml describes, and what the node said does not match. It did what it was
    asked for, so that the description may be what is wrong. Empty where that is not so.
    """

    evidence: Mapping[str, Any] | None = None
    observed: str = ""
    unmatched: str = ""


Try = Callable[[ProbeContext, Settings], ProbeResult]


class ProbeKind(Struct, frozen=True):
    """One kind of probe. `about`: when it passes. `order`: its position among the kinds.

    `schema`: its settings in node.yaml.
    """

    name: str
    about: str
    schema: Schema
    attempt: Try
    order: int = LAST


def probe_kind(name: str, schema: Schema, *, order: int = LAST) -> Callable[[Try], ProbeKind]:
    """Declare the decorated function as a kind of probe; its docstring says when it passes."""

    def declare(attempt: Try) -> ProbeKind:
        about = (inspect.getdoc(attempt) or "").rstrip(".")
        return ProbeKind(name, about[:1].lower() + about[1:], schema, attempt, order)

    return declare


def matches(pattern: object, text: str, names: Mapping[str, Any]) -> bool:
    """Whether a text has the pattern of a setting; true without a pattern."""
    if pattern is None:
        return True
    return search(render_pattern(str(pattern), names), text, multiline=True) is not None


def shown(text: str) -> str:
    """A reply or an output as evidence and messages show it."""
    return truncate(text, SHOWN_LENGTH_MAX)
