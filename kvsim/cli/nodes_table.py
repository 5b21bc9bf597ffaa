"""The table of nodes that `up` and `status` print. Looks at the processes and asks the nodes; believes no note."""

from __future__ import annotations

import json

from kvsim.cli.terminal import show, table
from kvsim.client.status import ask_status
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node

HEADS = ("node", "role", "state", "pid", "address", "data", "log")
ASK_TIMEOUT_S = 1.0


def print_nodes(launcher: Launcher, *, as_json: bool, links: list[dict[str, object]] | None = None) -> bool:
    """Print every node, and the links that are broken; True when all nodes are up and answer. `links` None: they cannot be broken."""
    rows = [_look(launcher, node) for node in launcher.nodes.values()]
    if as_json:
        told = {} if links is None else {"links": links}
        print(json.dumps({"cluster": launcher.cluster.name, "nodes": rows, **told}, indent=1))
    else:
        show(table(HEADS, [[str(row[head] or "-") for head in HEADS] for row in rows]))
        for one in links or ():
            print(f"{one['how']}: {one['says']}{'' if one['bit'] is not None else ': nobody tried yet'}")
    return all(row["state"] == "up" for row in rows)


def _look(launcher: Launcher, node: Node) -> dict[str, object]:
    role, state = _ask(launcher, node) if node.up else (None, "down")
    return {
        "node": node.name,
        "role": role or f"({node.spec.role})",  # in brackets: as configured, not as it says
        "state": state,
        "pid": node.process.pid if node.up else None,
        "address": f"{node.place.host}:{node.place.port}",
        "data": node.place.data_dir,
        "log": str(node.log_path),
    }


def _ask(launcher: Launcher, node: Node) -> tuple[str | None, str]:
    """The role a node says it has, and `up`, or what is wrong although its process lives."""
    owner = launcher.port_owner(node.name)
    if owner["strangers"]:
        return None, f"its port is not its own: {owner['says']}"
    client = launcher.connect(node.name)
    try:
        status = ask_status(client, node.program, ASK_TIMEOUT_S)
    finally:
        client.close()
    if status is None:
        return None, "up" if owner["ours"] else f"not listening: {owner['says']}"
    if not status.answered:
        return None, f"does not answer ({status.answer.outcome.reason})"
    return status.role, "up"
