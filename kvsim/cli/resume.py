"""Let paused nodes of the cluster that is up go on (SIGCONT), and wait until they answer."""

from __future__ import annotations

import argparse

from kvsim.cli import hands
from kvsim.errors import NodeFailed
from kvsim.faults.pause import Pause
from kvsim.scenario.subjects import subject_of


def configure(parser: argparse.ArgumentParser) -> None:
    hands.configure(parser)


def run(arguments: argparse.Namespace) -> int:
    with hands.holding(arguments, "resume its nodes") as held:

        def resume(name: str) -> str:
            if not held.launcher.nodes[name].up:
                raise NodeFailed(name, f"cannot resume {name}: it is not running")
            (healing,) = Pause((subject_of(held.launcher, name),)).heal()
            if not healing.healed:
                raise NodeFailed(name, healing.says)
            return healing.says

        return hands.each(held, resume)
