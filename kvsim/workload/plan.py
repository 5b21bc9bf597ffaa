"""What a load does: a frozen value that the runner makes and the load process receives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from kvsim.config.program import Program

VALUE_DIGITS = 9
VALUE_FORMAT = f"%0{VALUE_DIGITS}d"
# The verbs that write a value.
VALUE_VERBS = frozenset({"put", "cas"})


class NodePlan(Struct, frozen=True):
    """One node as the load reaches it.

    `names` fill the templates of its requests. `ports` and `hosts` are all by which other nodes may
    name it.
    """

    name: str
    host: str
    port: int
    program: Program
    id: int
    names: Mapping[str, Any]
    ports: tuple[int, ...] = ()
    hosts: tuple[str, ...] = ()


class LoadPlan(Struct, frozen=True):
    """One load.

    `mix` gives each verb its weight. `rate` is in operations per second, of all clients together;
    None is a closed loop. `skew` is the exponent of the keys' Zipf distribution; 0 is uniform.

    `writes_at` and `reads_at` are the nodes that clients start at, in turn. With `follow`, a client
    goes to the node that a refusal names, and to another node if it names none; without it, a
    client stays.

    `reconnect`: a client closes its connection after so many operations, and opens another; None:
    it keeps it.

    `presence` says which nodes do not run (`kvsim.process.presence`); None: that is not known.

    `process` is the number of this load's first client, unique in the run. `tag` begins its values,
    which all have one length. The load ends after `stop_after` operations; None: when it is
    stopped.
    """

    name: str
    out: Path
    nodes: tuple[NodePlan, ...]
    writes_at: tuple[str, ...]
    reads_at: tuple[str, ...]
    follow: bool
    clients: int
    mix: Mapping[str, int]
    keys: tuple[str, ...]
    skew: float
    rate: int | None
    timeout_s: float
    seed: str
    process: int
    tag: str
    presence: Path | None = None
    reconnect: int | None = None
    sample_every_s: float = 0.05
    stop_after: int | None = None

    def value(self, number: int) -> str:
        """The `number`-th value of this load. No other load writes it, and this one only once."""
        return self.tag + VALUE_FORMAT % number

    def is_own(self, value: str) -> bool:
        """Whether `value` has the form of this load's values."""
        digits = value[len(self.tag) :]
        return (
            value.startswith(self.tag)
            and len(digits) == VALUE_DIGITS
            and digits.isascii()
            and digits.isdecimal()
        )

    @property
    def has_cas(self) -> bool:
        """Whether clients make compare-and-sets."""
        return bool(self.mix.get("cas"))
