"""Read keys back on every node that is up: what the nodes show, apart from what they say.

Keeps the last state that an accepted write left behind, so that "unchanged" has something to be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kvsim.client.exchange import Request
from kvsim.history.outcome import Kind, Outcome
from kvsim.launcher.launcher import Launcher
from kvsim.scenario.sessions import Sessions

Values = dict[str, Outcome]  # node → its answer for one key


@dataclass
class State:
    """What every node showed for every key of the run when the last accepted write was over."""

    launcher: Launcher
    sessions: Sessions
    baseline: dict[str, Values] = field(default_factory=dict)

    def read(self, key: str, *, step: str, phase: str) -> Values:
        """The key on every node that is up and has a `get`. A node that did not answer once is not asked again here."""
        return {
            name: self.sessions.ask(
                name, Request("get", {"key": key}), step=step, purpose="readback", phase=phase
            ).outcome
            for name, node in self.launcher.nodes.items()
            if node.up and "get" in node.program.requests
        }

    def remember(self, key: str, values: Values) -> None:
        self.baseline[key] = values

    def forget_changes_of(self, key: str) -> None:
        self.baseline.pop(key, None)


def same(one: Outcome | None, other: Outcome | None) -> bool | None:
    """Do two answers show the same value? None when one of them tells nothing."""
    if one is None or other is None or one.kind is not Kind.OK or other.kind is not Kind.OK:
        return None
    return one.value == other.value
