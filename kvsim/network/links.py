"""The links of a run, from the side that breaks them: rules are set, counters are read.

A worker process carries the links. Which kind of worker is the subject of the subclasses: link
proxies (`proxy_handle`), or a router between network namespaces (`netns/router_handle`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

from kvsim.errors import RunInvalid
from kvsim.network.rules import LinkRule
from kvsim.process.worker import DaemonClient, WorkerProcess, WorkerUnavailable

ANSWER_WITHIN_S = 10.0

# (source, target) of bytes that one participant sends to another
Flow = tuple[str, str]

# (link, upstream or downstream): where such bytes flow
Direction = tuple[str, str]


def link_name(source: str, target: str) -> str:
    """The name of the link on which `source` reaches `target`."""
    return f"{source}->{target}"


class Links(ABC):
    """All links of a run. Use as a context manager."""

    # For messages.
    description = "the links"

    def __init__(self, process: WorkerProcess | DaemonClient, links: Iterable[str]) -> None:
        """`process` carries the links; a subclass sends its first request."""
        self.links = frozenset(links)
        self._requests, self._closed = 0, False
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        """Raises RunInvalid when the worker has ended: then not only the scenario broke links."""
        try:
            if error is None and not self._closed:
                self.rules(())
        finally:
            self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @abstractmethod
    def directions(self, source: str, target: str) -> list[Direction]:
        """Every direction in which bytes that `source` sends to `target` flow."""

    @abstractmethod
    def unreachable(self, flows: Collection[Flow]) -> list[str]:
        """The links of these flows on which a probe does not arrive."""

    def set_rules(self, rules: Mapping[Direction, LinkRule], *, reset_stats: bool = False) -> None:
        """Set the rules of directions, all at once. Raises RunInvalid.

        `reset_stats`: the counters of their links start from zero at the same moment.
        """
        rows = [[*direction, rule.to_json()] for direction, rule in rules.items()]
        self._ask({"do": "set_rules", "rules": rows, "reset_stats": reset_stats})

    def stats(self, links: Collection[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Link -> direction -> the fields of LinkStats. Raises RunInvalid."""
        return self._ask_mapping({"do": "stats", "links": sorted(links)})

    def rules(self, links: Collection[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Link -> direction -> the fields of the LinkRule that is set now. Raises RunInvalid."""
        return self._ask_mapping({"do": "rules", "links": sorted(links)})

    def close(self) -> None:
        """End the worker, or the connection to it. Safe to repeat."""
        self._closed = True
        self._process.close()

    def _ask(self, request: Mapping[str, Any]) -> Any:
        """The reply to one request.

        Replies to earlier requests are skipped: their callers were interrupted before they came.
        """
        self._requests += 1
        line = json.dumps({**request, "number": self._requests}).encode() + b"\n"
        self._process.send(line)
        try:
            number, reply = 0, None
            while number != self._requests:
                number, reply = json.loads(self._process.read_line(ANSWER_WITHIN_S))
            return reply
        except WorkerUnavailable as error:
            state = "have ended" if error.ended else "do not answer"
            raise RunInvalid(f"{self.description} {state}: {error}") from error

    def _ask_mapping(
        self, request: Mapping[str, Any]
    ) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        reply = self._ask(request)
        if not isinstance(reply, dict):
            raise RunInvalid(f"{self.description} sent a reply that is no mapping: {reply!r}")
        return reply
