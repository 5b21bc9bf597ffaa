"""Start nodes of the cluster that is up which were killed or stopped, on the data they had, and wait until they are ready."""

from __future__ import annotations

import argparse

from kvsim.cli import hands


def configure(parser: argparse.ArgumentParser) -> None:
    hands.configure(parser)


def run(arguments: argparse.Namespace) -> int:
    with hands.holding(arguments, "start its nodes", up=False) as held:

        def start(name: str) -> str:
            held.launcher.start(name)
            return f"{name} is ready (pid {held.launcher.nodes[name].process.pid})"

        return hands.each(held, start)
