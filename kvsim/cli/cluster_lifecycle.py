"""The commands up, status and down: the cluster that stays up, from its start to its end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from kvsim.cli.arguments import (
    Subcommand,
    add_cluster,
    add_json,
    add_program,
    add_time_limits,
    options_of,
)
from kvsim.cli.loading import load_cluster, load_running, load_started
from kvsim.cli.output import show, table
from kvsim.cli.waiting_line import waiting_for
from kvsim.client.status import ask_status
from kvsim.errors import Exit
from kvsim.faults.network import broken_links
from kvsim.launcher.background import Background, bring_up, take_down
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node, note_nothing
from kvsim.network.layout import layout_builder
from kvsim.network.proxy_handle import connect_daemon
from kvsim.process.calibration import measure_slowness
from kvsim.process.inherited import check_inherited
from kvsim.runner.interrupts import Interrupted, orderly_interrupts
from kvsim.timeouts import timeouts_for

UP = """\
Start the cluster in the background, on the ports of its file, and wait until every node is ready.

Prints node, role, pid, address, data directory and log. `kvsim down` ends it. A second `kvsim up`
reports that it is up.
"""
STATUS = """\
Show every node of the cluster that is up, and every link that is broken, as observed now.

Exit status 0 when every node is up and answers, 1 when one does not, 4 when no cluster is up.
"""
DOWN = """\
Stop the cluster that is up, also when only a part of it is left, and remove what `up` made. It is
stopped as it was started, also when its file has been changed or removed since. Safe to repeat.
"""
NO_NAMESPACES = (
    "kvsim: `links: netns` is for runs; here nodes reach each other directly "
    "(--links puts a proxy on every link)"
)
HEADS = ("node", "role", "state", "pid", "address", "data", "log")
ASK_TIMEOUT_S = 1.0
INTERRUPTED = "kvsim: interrupted; everything that was started is stopped again"


def _configure_up(parser: argparse.ArgumentParser) -> None:
    add_cluster(parser)
    add_program(parser)
    add_time_limits(parser)
    parser.add_argument(
        "--links",
        action="store_true",
        help="put a proxy on every link, as `links: proxied` in the cluster file does, so that "
        "kvsim partition can break it",
    )
    add_json(parser)


def _up(arguments: argparse.Namespace) -> int:
    options = options_of(arguments)
    timeouts = timeouts_for(arguments.time_limits, measure_slowness)
    cluster = load_cluster(arguments.cluster, arguments.program, options)
    background = Background(timeouts.scaled(cluster), arguments.program, options, timeouts)
    check_inherited()
    with background.locked("start it"):
        found = background.attach(note_nothing)
        if found is not None:
            return _report_already_up(found[1], arguments)
        if cluster.links == "netns" and not arguments.links:
            print(NO_NAMESPACES, file=sys.stderr)
        build_layout = layout_builder("proxied" if arguments.links else cluster.links)
        try:
            with orderly_interrupts(), waiting_for("every node to be ready"):
                launcher = bring_up(background, note_nothing, build_layout)
        except Interrupted:
            print(INTERRUPTED, file=sys.stderr)
            return 130
    _print_nodes(launcher, as_json=arguments.json)
    return int(Exit.PASS)


def _report_already_up(launcher: Launcher, arguments: argparse.Namespace) -> int:
    name = launcher.cluster.name
    down = [node.name for node in launcher.nodes.values() if not node.up]
    if not down:
        message = f"cluster {name} is up already"
    else:
        names = ", ".join(down)
        message = (
            f"cluster {name} was started before, but {names} is down; kvsim down, then kvsim up"
        )
    print(message, file=sys.stderr)
    _print_nodes(launcher, as_json=arguments.json)
    return int(Exit.FAIL if down else Exit.PASS)


def _configure_status(parser: argparse.ArgumentParser) -> None:
    add_cluster(parser)
    add_json(parser)


def _status(arguments: argparse.Namespace) -> int:
    background = load_running(arguments.cluster)
    launcher = background.attach_read_only()
    all_up = _print_nodes(launcher, as_json=arguments.json, links=_broken_links(background))
    return int(Exit.PASS if all_up else Exit.FAIL)


def _broken_links(background: Background) -> list[dict[str, object]] | None:
    """Every broken link and its evidence; None where links cannot be broken."""
    if background.layout.daemon is None:
        return None
    with connect_daemon(background.layout.socket) as links:
        return [
            {
                "link": item.subject,
                "how": fault.rule.kind,
                "message": item.message,
                "took_effect": item.took_effect,
            }
            for fault in broken_links(links)
            for item in fault.measure()
        ]


# --- the table of nodes ---------------------------------------------------------------------------


def _print_nodes(
    launcher: Launcher, *, as_json: bool, links: list[dict[str, object]] | None = None
) -> bool:
    """Print every node, and the links that are broken; True when all nodes are up and answer.

    `links` is None where links cannot be broken.
    """
    rows = [_row(launcher, node) for node in launcher.nodes.values()]
    if as_json:
        with_links = {} if links is None else {"links": links}
        print(json.dumps({"cluster": launcher.cluster.name, "nodes": rows, **with_links}, indent=1))
    else:
        show(table(HEADS, [[str(row[head] or "-") for head in HEADS] for row in rows]))
        for link in links or ():
            traffic = ": no traffic" if link["took_effect"] is None else ""
            print(f"{link['how']}: {link['message']}{traffic}")
    return all(row["state"] == "up" for row in rows)


def _row(launcher: Launcher, node: Node) -> dict[str, object]:
    process = node.process if node.up else None
    role, state = _ask(launcher, node) if process else (None, "down")
    return {
        "node": node.name,
        # In brackets: as configured, not as the node reports.
        "role": role or f"({node.spec.role})",
        "state": state,
        "pid": process and process.pid,
        "address": f"{node.address.host}:{node.address.port}",
        "data": node.address.data_dir,
        "log": str(node.log_path),
    }


def _ask(launcher: Launcher, node: Node) -> tuple[str | None, str]:
    """The role that a node reports, and `up`, or what is wrong although its process runs."""
    owner = launcher.port_owner(node.name)
    if owner["foreign"]:
        return None, f"its port is not its own: {owner['description']}"
    client = launcher.connect(node.name)
    try:
        status = ask_status(client, node.program, ASK_TIMEOUT_S, launcher.client_names(node.name))
    finally:
        client.close()
    if status is None:
        return None, "up" if owner["owned"] else f"not listening: {owner['description']}"
    if not status.answered:
        return None, f"does not answer ({status.response.outcome.reason})"
    return status.role, "up"


# --- down -----------------------------------------------------------------------------------------


def _configure_down(parser: argparse.ArgumentParser) -> None:
    add_cluster(parser)
    parser.add_argument(
        "--keep", action="store_true", help="keep data directories and logs for the next `kvsim up`"
    )


def _down(arguments: argparse.Namespace) -> int:
    background = load_started(arguments.cluster)
    stopped: list[Mapping[str, Any]] = []

    def note(kind: str, **fields: Any) -> None:
        if kind == "stopped":
            stopped.append(fields)
        elif kind == "stop_command_failed":
            print(fields["message"], file=sys.stderr)

    with background.locked("stop it"), waiting_for("every node to stop"):
        launcher = take_down(background, note, keep=arguments.keep)
    if launcher is None:
        print("no cluster is up")
    for event in stopped if launcher else ():
        print(_describe_stop(event))
    return int(Exit.PASS)


def _describe_stop(event: Mapping[str, Any]) -> str:
    if not event["was_running"]:
        return f"{event['node']} was down already"
    how = f"ignored {', '.join(event['ignored'])} and was killed" if event["ignored"] else "stopped"
    left = f"; it had left behind: {'; '.join(event['leftovers'])}" if event["leftovers"] else ""
    return f"{event['node']} {how} in {event['took_s']:.2f}s{left}"


COMMANDS = {
    "up": Subcommand(UP, _configure_up, _up),
    "status": Subcommand(STATUS, _configure_status, _status),
    "down": Subcommand(DOWN, _configure_down, _down),
}
