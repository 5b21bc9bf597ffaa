"""Is this incarnation of a node ready? Tries its probes and remembers their evidence.

Starts and stops nothing, and does not wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from kvsim.config.program import OUTPUT, Probe, Ready
from kvsim.config.template import render_pattern
from kvsim.discovery import discover
from kvsim.launcher import probes
from kvsim.launcher.node import Node
from kvsim.launcher.probes.declaration import ProbeContext, ProbeKind
from kvsim.timeouts import PLAIN, Timeouts

PROBE_KINDS: dict[str, ProbeKind] = discover(probes, ProbeKind)


class Readiness(Struct):
    """The readiness of one incarnation of a node.

    All probes of `ready.all_of` must pass, and one of `ready.any_of`. `evidence` and `observed`
    hold the last result of each probe by its name; a probe that passed is not tried again.
    `unmatched` has those whose last result was that a description of node.yaml did not match.
    """

    context: ProbeContext
    ready: Ready
    evidence: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    observed: dict[str, str] = field(default_factory=dict)
    unmatched: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, node: Node, names: Mapping[str, Any], ready: Ready, timeouts: Timeouts = PLAIN
    ) -> Readiness:
        return cls(ProbeContext(node, names, timeouts), ready)

    @property
    def node(self) -> Node:
        return self.context.node

    def reached(self) -> bool:
        """Try the probes that have not passed, in order, up to the first that fails."""
        if not all(self._try(name, probe) for name, probe in self._all_of()):
            return False
        any_of = self._any_of()
        return not any_of or any(self._try(name, probe) for name, probe in any_of)

    def missing(self) -> dict[str, str]:
        """Try every probe once more, for an error message: probe -> what was observed instead."""
        any_of = dict(self._any_of())
        for name, probe in (*self._all_of(), *any_of.items()):
            self._try(name, probe)
        satisfied = any_of if any_of.keys() & self.evidence.keys() else {}
        return {
            name: observed
            for name, observed in self.observed.items()
            if name not in self.evidence and name not in satisfied
        }

    def output_pattern(self) -> str:
        """The pattern of the line that the node's output must hold; empty: none."""
        for probe in self.ready.all_of:
            if probe.kind == "log" and probe.settings.get("in") in OUTPUT:
                return render_pattern(str(probe.settings["pattern"]), self.context.names)
        return ""

    def close(self) -> None:
        self.context.close_client()

    def _all_of(self) -> list[tuple[str, Probe]]:
        return [(probe.kind, probe) for probe in self.ready.all_of]

    def _any_of(self) -> list[tuple[str, Probe]]:
        """Named by position, because several may have the same kind."""
        return [
            (f"any of {number}: {probe.kind}", probe)
            for number, probe in enumerate(self.ready.any_of, 1)
        ]

    def _try(self, name: str, probe: Probe) -> bool:
        if name not in self.evidence:
            result = PROBE_KINDS[probe.kind].attempt(self.context, probe.settings)
            if result.evidence is None:
                self.observed[name] = result.observed
                self.unmatched.pop(name, None)
                if result.unmatched:
                    self.unmatched[name] = result.unmatched
                return False
            self.evidence[name] = result.evidence
        return True


def explain(missing: Mapping[str, str], unmatched: Mapping[str, str]) -> str:
    """Why a running node is not ready, and what its author can do about it."""
    text = "; ".join(missing.values())
    if set(missing) == {"log"}:
        return (
            f"{text}, although its port is open and it answers: its log stays in a buffer (flush "
            "after each line, or set `log: linebuf` or `log: pty` in node.yaml), or `ready: log` "
            "in node.yaml is not what it logs"
        )
    if missing and missing.keys() <= unmatched.keys():
        return f"{text}; it did answer: `ready` or `speak` in node.yaml may be what is wrong"
    return text
