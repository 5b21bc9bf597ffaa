"""The kinds of readiness probe, one function a kind in the table PROBES. Each answers with its evidence, or says in words what it
saw instead.

Looks and asks; waits for nothing, starts no node. readiness.py puts probes together.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvsim.client.connect import connect
from kvsim.client.exchange import Client, Exchange, Request
from kvsim.config.program import Program, Speak
from kvsim.config.template import render, render_pattern
from kvsim.errors import UsageError
from kvsim.history.journal import to_text
from kvsim.history.outcome import Kind
from kvsim.launcher.node import Node
from kvsim.launcher.preparing import beside, environment_of
from kvsim.limits import Own
from kvsim.process.sockets import listeners, listening, owned_by
from kvsim.process.tree import members

if TYPE_CHECKING:
    from kvsim.launcher.readiness import Gates

PATIENCE_S, PATIENCE_MAX_S = (
    0.125,
    1.0,
)  # of one try; doubled each time, because a server may answer only what it is asked later
COMMAND_TIMEOUT_S = Own(5.0)
OUTPUT_MAX_BYTES = 1 << 20
SHOWN_MAX = 300


@dataclass
class Look:
    """What one probe saw: `evidence` when it is satisfied, `saw` in words when it is not."""

    evidence: Mapping[str, Any] | None = None
    saw: str = ""


Settings = Mapping[str, Any]


# --- log --------------------------------------------------------------------------------------------------------------


def _log(gates: Gates, settings: Settings) -> Look:
    pattern = render_pattern(str(settings["pattern"]), gates.names)
    node = gates.node
    where = settings.get("in")
    logs = [node.log] if where in (None, "stdout", "stderr") else _files(gates, str(where))
    for log in logs:
        found = log.search(pattern, node.begins_at(log))
        if found is not None:
            file = {} if log is node.log else {"file": str(log.path.relative_to(node.data))}
            return Look({"line": found.number, "offset": found.offset, "text": found.text, **file})
    place = "its log" if where is None else where if logs else f"{where}, which is not there"
    return Look(saw=f"no line matching {pattern!r} in {place}")


def _files(gates: Gates, where: str) -> list:
    node = gates.node
    paths = sorted(node.data.glob(render(where, gates.names).lstrip("/")))
    return [node.extra_log(path) for path in paths if path.is_file()]


# --- port -------------------------------------------------------------------------------------------------------------


def _port(gates: Gates, settings: Settings) -> Look:
    node, name = gates.node, settings.get("name")
    port = node.place.ports[name] if name else node.place.port
    with node.at_home():
        return _open(node.place.host, port) if settings.get("state") == "open" else _owned(node, port)


def _owned(node: Node, port: int) -> Look:
    tree = [node.process.identity]
    owned = owned_by(port, tree, node.place.host)
    if not owned.owned:
        tree = members(node.process.identity, node.mark)
        owned = owned_by(port, tree, node.place.host)
    if not owned.owned:
        return Look(saw=_where_instead(owned.describe(), tree))
    mine = owned.ours[0]
    return Look({"port": port, "inode": mine.inode, "pid": mine.pid})


def _open(host: str, port: int) -> Look:
    found = [one for one in listeners(port) if one.reaches(host)]
    return (
        Look({"port": port, "inode": found[0].inode}) if found else Look(saw=f"nobody listens on port {port}")
    )


def _where_instead(text: str, tree: list) -> str:
    elsewhere = [f"{one.address}:{one.port}" for one in listening(tree)]
    return f"{text}; it listens on {', '.join(elsewhere)} instead" if elsewhere else text


# --- requests ---------------------------------------------------------------------------------------------------------


def _request(gates: Gates, settings: Settings) -> Look:
    verb = str(settings.get("request", "ping"))
    pattern = settings.get("reply")
    if gates.client is None:
        gates.client = connect(gates.node.program, *gates.node.address, names=gates.names)
    answer = gates.client.ask(Request(verb, _any_fields(gates.node.program, verb)), patience_s(gates))
    exchange, outcome = answer.exchange, answer.outcome
    if exchange.failure is None and _met(pattern, outcome.kind is Kind.OK, exchange.text, gates.names):
        return Look({"sent": to_text(exchange.sent), "received": to_text(exchange.received)})
    gates.close()
    return Look(saw=f"{verb} got {outcome.detail or outcome.reason or _cut(exchange.text)}")


def _any_fields(program: Program, verb: str) -> dict[str, str]:
    """A `get` may stand in for a ping: of a key that nobody writes."""
    return {"key": "kvsim-is-anybody-there"} if verb in ("get", "delete") else {}


def _met(pattern: object, ok: bool, text: str, names: Mapping[str, Any]) -> bool:
    return (
        ok
        if pattern is None
        else re.search(render_pattern(str(pattern), names), text, re.MULTILINE) is not None
    )


def patience_s(gates: Gates) -> float:
    """How long this try may take: twice as long as the one before."""
    now = gates.patience_s
    gates.patience_s = min(2 * now, PATIENCE_MAX_S)
    return now


# --- HTTP -------------------------------------------------------------------------------------------------------------


def _http(gates: Gates, settings: Settings) -> Look:
    url = render(str(settings["url"]), gates.names)
    host, port, path = _split(url, gates.node)
    exchange = _fetch(gates, host, port, path)
    statuses = settings.get("status") or (200,)
    if exchange.failure:
        return Look(saw=f"GET {url}: {exchange.problem or exchange.failure}")
    body = settings.get("body")
    if exchange.status in statuses and _met(body, True, exchange.text, gates.names):
        return Look({"url": url, "status": exchange.status, "body": _cut(exchange.text)})
    return Look(saw=f"GET {url} got status {exchange.status}, {_cut(exchange.text)!r}")


def _split(url: str, node: Node) -> tuple[str, int, str]:
    if url.startswith("/"):
        return (*node.address, url)
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname or node.place.host, parts.port or 80, path


def _fetch(gates: Gates, host: str, port: int, path: str) -> Exchange:
    """One GET, through the same client that speaks to stores over HTTP."""
    look = Program(
        name=f"{gates.node.program.name} (ready: http)",
        folder=gates.node.program.folder,
        start={},
        speak=Speak("http", {"connection": "per_request"}),
        requests={"look": {"path": path}},
    )
    client: Client = connect(look, host, port, names=gates.names)
    try:
        return client.ask(Request("look"), patience_s(gates)).exchange
    finally:
        client.close()


# --- command ----------------------------------------------------------------------------------------------------------


def _command(gates: Gates, settings: Settings) -> Look:
    from kvsim.client.command_run import run

    node = gates.node
    words = [render(word, gates.names) for word in settings["run"]]
    words[0] = beside(node.program.folder, words[0])
    deadline = time.monotonic() + gates.limits.of(COMMAND_TIMEOUT_S)
    environment = environment_of(node, gates.names)
    try:
        done = run(
            [word.encode() for word in words], b"", environment, Path(node.folder), deadline, OUTPUT_MAX_BYTES
        )
    except UsageError as error:
        return Look(saw=str(error))
    output = bytes(done.stdout + done.stderr).decode("utf-8", "replace")
    exits = settings.get("exit") or (0,)
    if (
        done.failure is None
        and done.status in exits
        and _met(settings.get("output"), True, output, gates.names)
    ):
        return Look({"command": words, "status": done.status, "output": _cut(output)})
    return Look(
        saw=f"`{' '.join(words)}` {done.problem or f'ended with status {done.status}'}, {_cut(output)!r}"
    )


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


PROBES: dict[str, Callable[[Gates, Settings], Look]] = {
    "log": _log,
    "port": _port,
    "ping": _request,
    "request": _request,
    "http": _http,
    "command": _command,
}
