"""A partition made by hand in a recorded session: a fault around all that is done until it is healed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from kvsim.config.names import CLIENT
from kvsim.live.cluster import LiveCluster
from kvsim.live.sides import Side, flows

TRIED_WITHIN_S = 2.0
LEAST_MS = 500  # nodes that speak to each other at all do so within this and twice what it took by hand


def item(step: str, indent: str) -> str:
    """A step of one or more lines as an item of a YAML list."""
    first, *more = step.splitlines()
    return "".join([f"{indent}- {first}\n", *(f"{indent}  {line}\n" for line in more)])


@dataclass
class Parting:
    """Two sides that are parted now. `begin`, collect `steps`, `end`; then it is a step itself, if anybody tried to cross."""

    cluster: LiveCluster
    sides: list[Side]
    steps: list[str] = field(default_factory=list)

    def begin(self) -> Iterator[str]:
        """Part them, and say what shows it. Raises UsageError where links cannot be broken."""
        self._stack = contextlib.ExitStack()
        self._fault = self._stack.enter_context(self.cluster.parted(flows(self.sides), "blackhole"))
        began_s = time.monotonic()
        receipts = self._fault.tried(TRIED_WITHIN_S)
        self._took_ms = int(1000 * (time.monotonic() - began_s))
        yield f"parted: {' | '.join(', '.join(side) for side in self.sides)}"
        for receipt in receipts:
            yield f"  {receipt.says}{'' if receipt.bit is not None else ': nobody tried yet'}"

    def end(self) -> Iterator[str]:
        """Heal, and say what had been shown by then. Raises NodeFailed when it does not heal."""
        receipts = self._fault.end()
        self._stack.close()
        self.bit = any(receipt.bit for receipt in receipts)
        yield "healed: everything passes again"
        if not self.bit:
            yield "nobody tried to cross, so it is not recorded as a fault; what was done meanwhile is"

    def as_step(self) -> str:
        """The fault with its steps inside; the first lets nodes find out that they are parted."""
        ends = [CLIENT if side == (CLIENT,) else f"[{', '.join(side)}]" for side in self.sides]
        wait = f"{LEAST_MS + 2 * self._took_ms}ms"
        first = f"sleep: {{for: {wait}, why: nodes on both sides have to try to reach each other}}"
        held = "".join(item(step, "    ") for step in [first, *self.steps])
        return f"fault:\n  blackhole: {{from: {ends[0]}, to: {ends[1]}}}\n  do:\n{held}".rstrip("\n")
