"""Probes that send a node nothing: they read its logs and find its listening port."""

from __future__ import annotations

from kvsim.config.program import OUTPUT
from kvsim.config.schema import WORD, Choice, Field, Pattern, Record, Text
from kvsim.config.template import NODE_SCOPE, render, render_pattern
from kvsim.folders import find_paths
from kvsim.launcher.node import Node
from kvsim.launcher.probes.declaration import ProbeContext, ProbeResult, Settings, probe_kind
from kvsim.logs.log_file import LogFile
from kvsim.process.identity import Identity
from kvsim.process.sockets import Listener, listeners, listening, owned_by

LOG = Record(
    "log probe",
    {
        "pattern": Field(Pattern(template=NODE_SCOPE), "what the line holds", required=True),
        "in": Field(
            Text("stdout, stderr or a file in the data directory", template=NODE_SCOPE),
            "which log",
            default_text="stdout and stderr",
        ),
    },
    bare="pattern",
)
PORT = Record(
    "port probe",
    {
        "state": Field(
            Choice({"owned": "the listener is the node's process", "open": "a process listens"}),
            "the state",
            default="owned",
        ),
        "name": Field(
            Text("a name in `ports`", pattern=WORD), "an extra port", default_text="the client port"
        ),
    },
    bare="state",
)


@probe_kind("log", LOG, order=10)
def log(context: ProbeContext, settings: Settings) -> ProbeResult:
    """A line that the node logs once it serves; only lines of this start count."""
    pattern = render_pattern(str(settings["pattern"]), context.names)
    node, where = context.node, settings.get("in")
    logs = [node.log] if where in OUTPUT else _files(context, str(where))
    for log_file in logs:
        found = log_file.search(pattern)
        if found is not None:
            evidence = {"line": found.number, "offset": found.offset, "text": found.text}
            if log_file is not node.log:
                evidence["file"] = str(log_file.path.relative_to(node.data))
            return ProbeResult(evidence)
    searched = "its log" if where is None else where if logs else f"{where}, which is not there"
    return ProbeResult(None, f"no line matching {pattern!r} in {searched}", repr(pattern))


def _files(context: ProbeContext, where: str) -> list[LogFile]:
    node = context.node
    paths = find_paths(node.data, render(where, context.names))
    return [node.log_at(path) for path in paths if path.is_file()]


@probe_kind("port", PORT, order=20)
def port(context: ProbeContext, settings: Settings) -> ProbeResult:
    """Its port is open, and owned by the process that was started."""
    node, name = context.node, settings.get("name")
    number = node.address.ports[name] if name else node.address.port
    with node.in_network_namespace():
        if settings.get("state") == "open":
            return _open(node.address.host, number)
        return _owned(node, number)


def _owned(node: Node, number: int) -> ProbeResult:
    tree = [node.started_process.identity]
    owned = owned_by(number, tree, node.address.host)
    if not owned.owned:
        tree = node.tree()
        owned = owned_by(number, tree, node.address.host)
    if not owned.owned:
        return ProbeResult(observed=owned.describe() + _elsewhere(tree))
    listener = owned.own[0]
    return ProbeResult(_evidence(listener) | {"pid": listener.pid})


def _open(host: str, number: int) -> ProbeResult:
    found = [listener for listener in listeners(number) if listener.reaches(host)]
    if not found:
        return ProbeResult(observed=f"no process listens on port {number}")
    return ProbeResult(_evidence(found[0]))


def _evidence(listener: Listener) -> dict[str, object]:
    return {"port": listener.port}


def _elsewhere(tree: list[Identity]) -> str:
    addresses = [f"{listener.address}:{listener.port}" for listener in listening(tree)]
    return f"; it listens on {', '.join(addresses)} instead" if addresses else ""
