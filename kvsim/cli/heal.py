"""Let parted nodes of the cluster that is up reach each other again: all of them, or kvsim heal n1 / n2.

Says of each link what became of the bytes while it was broken, and looks whether everything passes again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from kvsim.cli import hands
from kvsim.cli.arguments import add_cluster
from kvsim.errors import Exit
from kvsim.faults.links.fault import LinkFault
from kvsim.faults.links.standing import broken
from kvsim.live import sides


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "who", nargs="*", metavar="WHO", help="the sides: n1 / n2 n3, leader (default: everything)"
    )
    add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    with hands.holding(arguments, "heal its links", who=()) as held, held.links() as links:
        found = broken(links)
        if arguments.who:
            nodes = list(held.launcher.nodes)
            wanted = sides.flows(
                sides.sides(arguments.who, nodes, lambda words: hands.meant(held.launcher, words))
            )
            found = [part for fault in found if (part := _part(fault, wanted)).flows]
        if not found:
            print("nothing to heal: every link passes" if not arguments.who else "nothing to heal there")
            return int(Exit.PASS)
        healed = [_heal(fault) for fault in found]
        return int(Exit.PASS if all(healed) else Exit.FAIL)


def _part(fault: LinkFault, wanted: tuple[tuple[str, str], ...]) -> LinkFault:
    return replace(fault, flows=tuple(flow for flow in fault.flows if flow in wanted))


def _heal(fault: LinkFault) -> bool:
    for receipt in fault.end():
        print(f"{receipt.says}{'' if receipt.bit is not None else ': nobody tried'}")
    healings = fault.heal()
    for healing in healings:
        print(healing.says)
    return all(healing.healed for healing in healings)
