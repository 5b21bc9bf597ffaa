"""Kill nodes of the cluster that is up, and wait until they are dead. `kvsim start` starts them again on the same data.

WHO: node names, or words as in a scenario. kvsim kill leader
"""

from __future__ import annotations

import argparse

from kvsim.cli import hands


def configure(parser: argparse.ArgumentParser) -> None:
    hands.configure(parser)
    parser.add_argument(
        "--signal", default="KILL", help="send this one instead: TERM, INT, … (default: KILL)"
    )


def run(arguments: argparse.Namespace) -> int:
    with hands.holding(arguments, "kill its nodes") as held:

        def kill(name: str) -> str:
            pid = held.launcher.nodes[name].process.pid if held.launcher.nodes[name].up else None
            held.launcher.kill(name, arguments.signal)
            return f"{name} is dead (was pid {pid})"

        return hands.each(held, kill)
