"""Part nodes of the cluster that is up from each other: kvsim partition n1 / n2 n3. Clients go on reaching all of them.

WHO are sides with a / (or a quoted |) between them; of one side alone, all others are the other: kvsim partition leader. A side is
node names or the words of a scenario (minority, one follower), or `client`: kvsim's own clients. `kvsim heal` ends it.
Says what shows that it bit: bytes that were offered on each link, and none through; or that nobody has tried yet.
Exit status: 0 by evidence, 1 when something came through, 2 when nobody tried in time, 4 where links cannot be broken.
"""

from __future__ import annotations

import argparse

from kvsim.cli import hands
from kvsim.cli.arguments import add_cluster
from kvsim.errors import Exit, UsageError
from kvsim.faults.fault import Receipt
from kvsim.faults.links.fault import LinkFault
from kvsim.faults.links.rules import Rule
from kvsim.faults.links.standing import broken
from kvsim.live import sides

HOW = ("blackhole", "cut")
TRIED_WITHIN_S = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "who", nargs="+", metavar="WHO", help="the sides: n1 / n2 n3, leader, minority, client / n2"
    )
    parser.add_argument(
        "--how",
        choices=HOW,
        default=HOW[0],
        help="what parted nodes meet: their bytes are swallowed, or their connections reset (default: blackhole)",
    )
    parser.add_argument(
        "--within",
        type=float,
        default=TRIED_WITHIN_S,
        metavar="SECONDS",
        help=f"how long to wait for somebody to try (default: {TRIED_WITHIN_S:g})",
    )
    add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    with hands.holding(arguments, "part its nodes", who=()) as held, held.links() as links:
        nodes = list(held.launcher.nodes)
        found = sides.sides(arguments.who, nodes, lambda words: hands.meant(held.launcher, words))
        flows = sides.flows(found)
        already = [flow for one in broken(links) for flow in one.flows if flow in flows]
        if already:
            raise UsageError(f"{'–'.join(already[0])} is broken already; kvsim heal first")
        fault = LinkFault("partition", flows, Rule(arguments.how), arguments.how, links)
        fault.begin()
        receipts = fault.tried(arguments.within)
    print(f"parted: {' | '.join(', '.join(side) for side in found)}")
    for receipt in receipts:
        print(f"  {receipt.says}{'' if receipt.bit is not None else ': nobody tried yet'}")
    return int(_status(receipts))


def _status(receipts: list[Receipt]) -> Exit:
    bits = [receipt.bit for receipt in receipts]
    if False in bits:
        return Exit.FAIL
    return Exit.PASS if True in bits else Exit.UNKNOWN
