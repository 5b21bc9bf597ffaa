"""Stop every thread of nodes of the cluster that is up (SIGSTOP): they hold their connections and answer nothing.

`kvsim resume` lets them go on. Says what shows that it bit: the threads' state, and a ping that is not answered.
"""

from __future__ import annotations

import argparse

from kvsim.cli import hands
from kvsim.errors import NodeFailed
from kvsim.faults.pause import Pause
from kvsim.scenario.subjects import subject_of


def configure(parser: argparse.ArgumentParser) -> None:
    hands.configure(parser)


def run(arguments: argparse.Namespace) -> int:
    with hands.holding(arguments, "pause its nodes") as held:

        def pause(name: str) -> str:
            if not held.launcher.nodes[name].up:
                raise NodeFailed(name, f"cannot pause {name}: it is not running")
            (receipt,) = Pause((subject_of(held.launcher, name),)).begin()
            if not receipt.bit:
                raise NodeFailed(name, f"it did not bite: {receipt.says}")
            return receipt.says

        return hands.each(held, pause)
