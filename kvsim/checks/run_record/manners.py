"""Checks of manners: nodes write in their own data directory, and listen where they were told to.

What a node.yaml allows is no finding. What harms no other node is a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.verdict import Finding, warning
from kvsim.history.journal import Event
from kvsim.history.run_record import RunRecord
from kvsim.ip_addresses import is_loopback


@run_check("A node writes files in its own data directory, and nowhere else", order=240)
def files_stay_in_data_directory(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every node that was stopped. Its open files are read four times a second and before it
    is stopped, its working directory when it has ended. A file that several nodes write is a
    violation, and another file outside the data directory a warning. `allow: {files: …}` in
    node.yaml names those that are right.
    """
    writers: dict[str, list[Event]] = {}
    for event in record.of_kind("outside_file"):
        allowed = allowed_by(record, event["node"]).get("files", ())
        if not any(fnmatchcase(event["path"], glob) for glob in allowed):
            writers.setdefault(event["path"], []).append(event)
    findings = [finding for path, events in writers.items() for finding in _judge(path, events)]
    return sum(1 for _ in record.of_kind("stopped")), findings


def _judge(path: str, events: list[Event]) -> list[Finding]:
    first = events[0]
    nodes = list(dict.fromkeys(event["node"] for event in events))
    if len(nodes) > 1:
        text = f"{' and '.join(nodes)} write the same file: {path}"
        return [Finding(text, node=first["node"])]
    text = f"{first['node']} writes outside its data directory: {path} ({first['how']})"
    return [warning(text, node=first["node"])]


@run_check("A node listens on the host and the ports that it was given", order=250)
def listens_as_given(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every node that was stopped, by the sockets of its processes. A listener beyond
    loopback, or on another port, is a warning, unless `allow:` in node.yaml has `hosts` or `ports`.
    """
    given = {node: _ports(plan) for node, plan in record.nodes.items()}
    texts: dict[tuple[str, str], None] = {}
    for event in record.of_kind("listener"):
        node, port, address = event["node"], event["port"], event["address"]
        allowed = allowed_by(record, node)
        if port not in given[node] and not allowed.get("ports"):
            texts[node, f"{node} also listens on port {port}, which it was not given"] = None
        if _is_beyond(record.nodes[node], address) and not allowed.get("hosts"):
            text = f"{node} listens on {address}:{port}: other machines can reach it"
            texts[node, text] = None
    return (
        sum(1 for _ in record.of_kind("stopped")),
        [warning(text, node=node) for node, text in texts],
    )


def allowed_by(record: RunRecord, node: str) -> Mapping[str, Any]:
    """What node.yaml allows a node: `files`, `ports`, `hosts`, `children`."""
    found: Mapping[str, Any] = record.nodes[node].get("allow") or {}
    return found


def _ports(plan: Mapping[str, Any]) -> set[int]:
    return {int(plan["address"].rpartition(":")[2]), *plan["ports"]}


def _is_beyond(plan: Mapping[str, Any], address: str) -> bool:
    host = plan["address"].rpartition(":")[0].strip("[]")
    return not is_loopback(address) and address != host
