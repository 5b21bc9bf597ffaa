"""The hub and its hosts from their parent's side: where each host's namespace is, and the links between them.

Starts nothing in a namespace: whoever does enters it by its handle.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kvsim.errors import RunInvalid, UsageError
from kvsim.faults.links.process import Flow, Links, Way, link
from kvsim.process.companion import Companion
from kvsim.process.netns import refusal

WAITING = frozenset({"delay", "bandwidth", "stall"})  # the kinds of fault for which packets have to wait
NODES_MOST = 60  # a chain and a counter for each two


class NoNetwork(UsageError):
    """Namespaces cannot be had here, or not all that was asked of them. The message says why, and what to do."""


class Network(Links):
    """Hosts, each in a network namespace of its own, and every link between two of them.

    `nets` are handles on the namespaces and `addresses` the hosts' addresses, by name. `cannot_hold` says why packets cannot be made
    to wait here (so that there is no delay, bandwidth or stall); None when they can.
    """

    says = "the hub and its rules"

    def __init__(self, names: Sequence[str], seed: str) -> None:
        """Build it. Raises NoNetwork."""
        if len(names) > NODES_MOST:
            raise NoNetwork(
                f"`links: netns` is for at most {NODES_MOST - 1} nodes; here are {len(names) - 1}"
            )
        refused = refusal()
        if refused:
            raise NoNetwork(
                f"`links: netns` needs root, or to be run by `unshare --user --map-root-user --net COMMAND`: {refused}"
            )
        self.nets: dict[str, int] = {}
        links = [link(one, other) for one in names for other in names if one != other]
        super().__init__(Companion("kvsim.faults.netns"), links)
        try:
            built = self._ask({"hosts": list(names), "seed": seed})
            for name, handle in built["nets"].items():
                self.nets[name] = os.open(f"/proc/{self.pid}/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
        except RunInvalid as error:
            self.close()
            raise NoNetwork(f"`links: netns` cannot be had here: {error}") from error
        except BaseException:
            self.close()
            raise
        self.addresses: Mapping[str, str] = built["addresses"]
        self.cannot_hold: str | None = built["cannot_hold"]

    def must_carry(self, kinds: Collection[str]) -> None:
        """Raises NoNetwork when a kind of fault among these cannot be had here."""
        lacking = sorted(set(kinds) & WAITING)
        if self.cannot_hold and lacking:
            raise NoNetwork(
                f"`{lacking[0]}` with `links: netns` lets packets wait, and that cannot be had here: {self.cannot_hold}"
            )

    def ways(self, source: str, target: str) -> list[Way]:
        """One: packets from one host to another take the same way, whoever opened their connection."""
        return [(link(source, target), "up")]

    def unreached(self, flows: Collection[Flow]) -> list[str]:
        """Links on which a datagram does not arrive within a second."""
        return self._ask({"do": "unreached", "links": sorted({link(*flow) for flow in flows})})

    def close(self) -> None:
        super().close()
        while self.nets:
            _, net = self.nets.popitem()
            with contextlib.suppress(OSError):
                os.close(net)

    def _ask(self, order: Mapping[str, Any]) -> Any:
        answer = super()._ask(order)
        if isinstance(answer, dict) and "failed" in answer:
            raise RunInvalid(str(answer["failed"]))
        return answer
