"""The router and its hosts from the parent's side: the hosts' namespaces and their links.

Starts nothing in a namespace: a caller enters a namespace by its handle.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kvsim.errors import RunInvalid, UsageError
from kvsim.network.links import Direction, Flow, Links, link_name
from kvsim.network.rules import UPSTREAM
from kvsim.process.netns import refusal_reason
from kvsim.process.worker import WorkerProcess, close_on_error

# Each pair has a chain and a counter.
HOSTS_MAX = 60


class NoNetwork(UsageError):
    """Namespaces are not available, or not all that is needed. The message states what to do."""


class NetworkNamespaces(Links):
    """Hosts, each in its own network namespace, and a link for each directed pair.

    `namespaces`: handles, and `addresses`, by host name. `cannot_delay` says why packets cannot be
    held here; None when they can.
    """

    description = "the router and its rules"

    def __init__(self, names: Sequence[str], seed: str) -> None:
        """Build it. Raises NoNetwork."""
        if len(names) > HOSTS_MAX:
            raise NoNetwork(
                f"`links: netns` is for at most {HOSTS_MAX - 1} nodes; here are {len(names) - 1}"
            )
        reason = refusal_reason()
        if reason:
            raise NoNetwork(
                "`links: netns` needs root, or to be run by "
                f"`unshare --user --map-root-user --net COMMAND`: {reason}"
            )
        self.namespaces: dict[str, int] = {}
        links = [
            link_name(source, target) for source in names for target in names if source != target
        ]
        super().__init__(WorkerProcess("kvsim.network.netns"), links)
        with close_on_error(self):
            try:
                built = self._ask({"hosts": list(names), "seed": seed})
            except RunInvalid as error:
                raise NoNetwork(f"`links: netns` is not available here: {error}") from error
            for name, handle in built["namespaces"].items():
                self.namespaces[name] = os.open(
                    f"/proc/{self.pid}/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC
                )
        self.addresses: Mapping[str, str] = built["addresses"]
        self.cannot_delay: str | None = built["cannot_delay"]

    def require_delay_queue(self, holding: Collection[str]) -> None:
        """Raises NoNetwork when packets cannot be held. `holding`: the fault kinds that need it."""
        if self.cannot_delay and holding:
            raise NoNetwork(
                f"`{min(holding)}` with `links: netns` holds packets, "
                f"and that is not available here: {self.cannot_delay}"
            )

    def directions(self, source: str, target: str) -> list[Direction]:
        """A single direction: packets to a host take the same route in every connection."""
        return [(link_name(source, target), UPSTREAM)]

    def unreachable(self, flows: Collection[Flow]) -> list[str]:
        """Links on which a datagram does not arrive within a second."""
        links = sorted({link_name(*flow) for flow in flows})
        return list(self._ask({"do": "unreachable", "links": links}))

    def close(self) -> None:
        super().close()
        while self.namespaces:
            _, namespace = self.namespaces.popitem()
            with contextlib.suppress(OSError):
                os.close(namespace)

    def _ask(self, request: Mapping[str, Any]) -> Any:
        reply = super()._ask(request)
        if isinstance(reply, dict) and "failed" in reply:
            raise RunInvalid(str(reply["failed"]))
        return reply
