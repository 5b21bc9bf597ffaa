"""What is laid between the nodes of a cluster that is up: how each is reached by whom, and the process that carries it.

The state file keeps it, so that later commands reach nodes as the first one told them, and the last one takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kvsim.config.names import STRAIGHT, Place, Views
from kvsim.process.identity import Identity
from kvsim.process.ladder import stop_tree


@dataclass(frozen=True)
class Laid:
    """`carrier`: the process that has to live as long as the cluster; None where nodes reach each other directly. `socket`: its ear."""

    views: Views = STRAIGHT
    carrier: Identity | None = None
    socket: Path = Path()

    def to_json(self) -> dict[str, Any] | None:
        """As it stands in the state file."""
        if self.carrier is None:
            return None
        seen = {
            who: {name: {"port": place.port, "ports": dict(place.ports)} for name, place in places.items()}
            for who, places in self.views.seen.items()
        }
        return {"carrier": self.carrier.to_json(), "socket": str(self.socket), "seen": seen}

    @classmethod
    def from_json(cls, told: Mapping[str, Any] | None, places: Sequence[Place]) -> Laid:
        """Of the nodes at these places."""
        if told is None:
            return NOTHING
        own = {place.node.name: place for place in places}
        seen = {
            who: {name: replace(own[name], **view) for name, view in views.items() if name in own}
            for who, views in told["seen"].items()
        }
        return cls(Views(seen), Identity.from_json(told["carrier"]), Path(told["socket"]))

    def take_away(self) -> None:
        """End the process, if it lives, and remove what it left."""
        if self.carrier is not None:
            stop_tree(self.carrier)
            self.socket.unlink(missing_ok=True)


NOTHING = Laid()
