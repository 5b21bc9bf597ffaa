"""Is this incarnation ready? Gates that must all pass: its own log line, a listener its processes own, an answer to a ping.

One table of probe kinds; each answers with its evidence, or says in words what it saw instead. Starts and stops nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kvsim.client.connect import connect
from kvsim.client.exchange import Client, Request
from kvsim.config.program import Probe, Ready
from kvsim.history.journal import to_text
from kvsim.history.outcome import Kind
from kvsim.launcher.node import Node
from kvsim.process.sockets import holders, listening, owned_by
from kvsim.process.tree import members

PING_TIMEOUT_S = 1.0


@dataclass
class Look:
    """What one probe saw: `evidence` when it is satisfied, `saw` in words when it is not."""

    evidence: Mapping[str, Any] | None = None
    saw: str = ""


@dataclass
class Gates:
    """The readiness of one incarnation of one node. `passed` keeps each gate's evidence, by the kind of probe."""

    node: Node
    names: Mapping[str, Any]
    ready: Ready
    passed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    saw: dict[str, str] = field(default_factory=dict)
    client: Client | None = None

    def open(self) -> bool:
        """Try the gates that are still shut, in order, and stop at the first that stays shut."""
        return all(self._try(probe) for probe in self.ready.all_of) and self._any(self.ready.any_of)

    def look_at_all(self) -> dict[str, str]:
        """Try every gate once more, for an error message: kind → what was seen instead."""
        for probe in (*self.ready.all_of, *self.ready.any_of):
            self._try(probe)
        return {kind: saw for kind, saw in self.saw.items() if kind not in self.passed}

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None

    def _any(self, probes: Iterable[Probe]) -> bool:
        probes = tuple(probes)
        return not probes or any(self._try(probe) for probe in probes)

    def _try(self, probe: Probe) -> bool:
        if probe.kind not in self.passed:
            look = PROBES[probe.kind](self, probe.settings)
            if look.evidence is None:
                self.saw[probe.kind] = look.saw
                return False
            self.passed[probe.kind] = look.evidence
        return True

    def ask(self, request: Request) -> Any:
        if self.client is None:
            self.client = connect(self.node.program, *self.node.address, names=self.names)
        return self.client.ask(request, PING_TIMEOUT_S)


def _log(gates: Gates, settings: Mapping[str, Any]) -> Look:
    pattern = str(settings["pattern"])
    found = gates.node.log.search(pattern)
    if found is None:
        return Look(saw=f"no line matching {pattern!r} in its log")
    return Look({"line": found.number, "offset": found.offset, "text": found.text})


def _port(gates: Gates, settings: Mapping[str, Any]) -> Look:
    node = gates.node
    host, port = node.address
    tree = [node.process.identity]
    owned = owned_by(port, tree, host)
    if not owned.owned:
        tree = members(node.process.identity, node.mark)
        owned = owned_by(port, tree, host)
    if not owned.owned:
        return Look(saw=_where_instead(owned.describe(), node, tree))
    mine = owned.ours[0]
    return Look({"port": port, "inode": mine.inode, "pid": mine.pid})


def _where_instead(text: str, node: Node, tree: list) -> str:
    elsewhere = [f"{one.address}:{one.port}" for one in listening(tree)]
    return f"{text}; it listens on {', '.join(elsewhere)} instead" if elsewhere else text


def _ping(gates: Gates, settings: Mapping[str, Any]) -> Look:
    verb = str(settings.get("request", "ping"))
    return _answered(gates, verb, settings.get("reply"))


def _answered(gates: Gates, verb: str, pattern: object) -> Look:
    answer = gates.ask(Request(verb))
    exchange, outcome = answer.exchange, answer.outcome
    text = exchange.received.decode("utf-8", "replace")
    if outcome.kind is Kind.OK if pattern is None else re.search(str(pattern), text):
        return Look({"sent": to_text(exchange.sent), "received": to_text(exchange.received)})
    gates.close()
    return Look(saw=f"{verb} got {outcome.detail or outcome.reason or text!r}")


PROBES: dict[str, Callable[[Gates, Mapping[str, Any]], Look]] = {
    "log": _log,
    "port": _port,
    "ping": _ping,
    "request": _ping,
}


def explain(node: Node, missing: Mapping[str, str]) -> str:
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
    found = holders(node.address[1])
    return found[0].describe() if found else "nobody that can be seen any more"
