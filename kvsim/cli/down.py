"""Stop the cluster that is up, whatever is left of it, and remove what `up` made. Safe to repeat."""

from __future__ import annotations

import argparse

from kvsim.cli.arguments import add_cluster
from kvsim.cli.files import load_running
from kvsim.errors import Exit
from kvsim.launcher.background import take_down


def configure(parser: argparse.ArgumentParser) -> None:
    add_cluster(parser)
    parser.add_argument(
        "--keep", action="store_true", help="keep data directories and logs for the next `kvsim up`"
    )


def run(arguments: argparse.Namespace) -> int:
    background = load_running(arguments.cluster)
    events: list[dict[str, object]] = []
    with background.locked("stop it"):
        launcher = take_down(
            background, lambda kind, **fields: events.append({"event": kind, **fields}), keep=arguments.keep
        )
    if launcher is None:
        print("no cluster is up")
        return int(Exit.PASS)
    for event in events:
        if event["event"] == "stopped":
            print(_say(event))
    return int(Exit.PASS)


def _say(event: dict[str, object]) -> str:
    if not event["was_running"]:
        return f"{event['node']} was down already"
    how = f"ignored {', '.join(event['ignored'])} and was killed" if event["ignored"] else "stopped"
    left = f"; it had left behind: {'; '.join(event['leftovers'])}" if event["leftovers"] else ""
    return f"{event['node']} {how} in {event['took_s']:.2f}s{left}"
