"""Stop nodes of the cluster that is up as their program says, and start them again on the same data."""

from __future__ import annotations

import argparse

from kvsim.cli import hands


def configure(parser: argparse.ArgumentParser) -> None:
    hands.configure(parser)


def run(arguments: argparse.Namespace) -> int:
    with hands.holding(arguments, "restart its nodes") as held:

        def restart(name: str) -> str:
            held.launcher.stop(name)
            held.launcher.start(name)
            return f"{name} is ready again (pid {held.launcher.nodes[name].process.pid})"

        return hands.each(held, restart)
