"""What one load is to do: a frozen value that the runner makes and the load process is handed. Asks nobody, sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvsim.config.program import Program

VALUE_DIGITS = 9
WRITING = frozenset({"put", "cas"})  # verbs that write a value
VALUE_NUMBER = f"%0{VALUE_DIGITS}d"


@dataclass(frozen=True)
class NodePlan:
    """One node as the load reaches it. `names` fill its request templates; `ports` are all by which others may name it."""

    name: str
    host: str
    port: int
    program: Program
    id: int
    names: Mapping[str, Any]
    ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class LoadPlan:
    """`mix` gives each verb its weight. `rate` is operations a second of all clients together; None is a closed loop.

    `writes_at` and `reads_at` are node names that clients start from, dealt out in turn. With `follow`, a client goes where a
    refusal points, and to the next node where it points nowhere; without it a client stays. `process` numbers this load's
    first client and is unique in the run; `tag` begins its values, which are all of one length.
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
    sample_every_s: float = 0.05
    stop_after: int | None = None  # operations; for benchmarks and tests
    extra: Mapping[str, Any] = field(default_factory=dict)

    def value(self, number: int) -> str:
        """The `number`-th value this load writes: never written by anybody else, nor twice."""
        return self.tag + VALUE_NUMBER % number

    def is_ours(self, value: str) -> bool:
        """Whether a value has the shape of those that this load writes."""
        digits = value[len(self.tag) :]
        return (
            value.startswith(self.tag)
            and len(digits) == VALUE_DIGITS
            and digits.isascii()
            and digits.isdecimal()
        )

    @property
    def compares(self) -> bool:
        """Whether clients make compare-and-sets."""
        return bool(self.mix.get("cas"))
