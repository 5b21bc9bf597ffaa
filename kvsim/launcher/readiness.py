"""Is this incarnation ready? Gates that must all pass, and one of some more: what probes.py sees, put together and remembered.

Starts and stops nothing, and does not wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kvsim.client.exchange import Client
from kvsim.config.program import Probe, Ready
from kvsim.launcher.node import Node
from kvsim.launcher.probes import PATIENCE_S, PROBES
from kvsim.limits import PLAIN, Limits
from kvsim.process.sockets import holders


@dataclass
class Gates:
    """The readiness of one incarnation of one node. `passed` keeps each gate's evidence, by the kind of probe."""

    node: Node
    names: Mapping[str, Any]
    ready: Ready
    limits: Limits = PLAIN
    passed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    saw: dict[str, str] = field(default_factory=dict)
    client: Client | None = None
    patience_s: float = PATIENCE_S

    def open(self) -> bool:
        """Try the gates that are still shut, in order, and stop at the first that stays shut."""
        return all(self._try(name, probe) for name, probe in self._all_of()) and self._any()

    def look_at_all(self) -> dict[str, str]:
        """Try every gate once more, for an error message: gate → what was seen instead."""
        for name, probe in (*self._all_of(), *self._any_of()):
            self._try(name, probe)
        if any(name in self.passed for name, _ in self._any_of()):
            self.saw = {name: saw for name, saw in self.saw.items() if name not in dict(self._any_of())}
        return {name: saw for name, saw in self.saw.items() if name not in self.passed}

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None

    def _all_of(self) -> list[tuple[str, Probe]]:
        return [(probe.kind, probe) for probe in self.ready.all_of]

    def _any_of(self) -> list[tuple[str, Probe]]:
        """Named by place, because one kind may stand there twice."""
        return [(f"any of {at}: {probe.kind}", probe) for at, probe in enumerate(self.ready.any_of, 1)]

    def _any(self) -> bool:
        probes = self._any_of()
        return not probes or any(self._try(name, probe) for name, probe in probes)

    def _try(self, name: str, probe: Probe) -> bool:
        if name not in self.passed:
            look = PROBES[probe.kind](self, probe.settings)
            if look.evidence is None:
                self.saw[name] = look.saw
                return False
            self.passed[name] = look.evidence
        return True


def explain(missing: Mapping[str, str]) -> str:
    """Why a node that lives is not ready, and what its author can do about it."""
    text = "; ".join(missing.values())
    if set(missing) == {"log"}:
        return (
            f"{text}, although its port is open and it answers: its log is probably held back in a buffer "
            "(flush after each line, or set `log: linebuf` or `log: pty` in node.yaml)"
        )
    return text


def port_lost(node: Node) -> str | None:
    """In words, the stranger who holds the port of a node that died of "address already in use"; None when it did not."""
    log = node.last_lines(40).lower()
    if "address already in use" not in log and "eaddrinuse" not in log:
        return None
    with node.at_home():
        found = holders(node.address[1])
    return found[0].describe() if found else "nobody that can be seen any more"
