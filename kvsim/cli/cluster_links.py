"""The commands that break links of the cluster that is up: partition, and heal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from msgspec.structs import replace

from kvsim.argument_types import Seconds
from kvsim.cli.arguments import Subcommand, add_cluster
from kvsim.cli.cluster_session import ClusterSession, locked_cluster
from kvsim.errors import Exit, UsageError
from kvsim.faults.fault import Evidence
from kvsim.faults.network import PARTITION_METHODS, LinkFault, broken_links, partition_lines
from kvsim.network.links import Flow
from kvsim.network.partitions import Side, flows_between, parse_sides
from kvsim.network.rules import LinkRule

PARTITION = """\
Separate nodes of the cluster that is up from each other: kvsim partition n1 / n2 n3. Clients still
reach all of them.

A / (or a quoted |) separates the sides; with one SIDE, all other nodes are the second: kvsim
partition leader. A side is node names, a target as in a scenario (minority, one follower), or
`client`: kvsim's own clients. `kvsim heal` ends the partition.
Prints the evidence: bytes that were offered on each link, and none forwarded; or that there was no
traffic.
Exit status: 0 by evidence, 1 when bytes were forwarded, 2 without traffic in time, 4 where links
cannot be broken.
"""
HEAL = """\
Let separated nodes of the cluster that is up reach each other again: all of them, or
kvsim heal n1 / n2.

Prints for each link what happened to the bytes while it was broken, and whether everything passes
again.
"""
TRAFFIC_WITHIN_S = 2.0


def _configure_partition(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sides",
        nargs="+",
        metavar="SIDE",
        help="the sides: n1 / n2 n3, leader, minority, client / n2",
    )
    parser.add_argument(
        "--how",
        choices=tuple(PARTITION_METHODS),
        default=next(iter(PARTITION_METHODS)),
        help="swallow the bytes between the sides, or reset the connections (default: blackhole)",
    )
    parser.add_argument(
        "--within",
        type=Seconds(),
        default=TRAFFIC_WITHIN_S,
        metavar="SECONDS",
        help=f"how long to wait for traffic (default: {TRAFFIC_WITHIN_S:g})",
    )
    add_cluster(parser)


def _partition(arguments: argparse.Namespace) -> int:
    with locked_cluster(arguments, "separate its nodes") as session, session.links() as links:
        sides = _sides(session, arguments.sides)
        flows = flows_between(sides)
        broken = [flow for fault in broken_links(links) for flow in fault.flows if flow in flows]
        if broken:
            raise UsageError(f"{'–'.join(broken[0])} is broken already; kvsim heal first")
        fault = LinkFault("partition", flows, LinkRule(arguments.how), links)
        fault.begin()
        evidence = fault.wait_for_traffic(arguments.within)
    for line in partition_lines(sides, evidence):
        print(line)
    return int(_status(evidence))


def _sides(session: ClusterSession, words: Sequence[str]) -> list[Side]:
    return parse_sides(words, list(session.launcher.nodes), session.targets)


def _status(evidence: Sequence[Evidence]) -> Exit:
    effects = [item.took_effect for item in evidence]
    if False in effects:
        return Exit.FAIL
    return Exit.PASS if True in effects else Exit.UNKNOWN


def _configure_heal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sides",
        nargs="*",
        metavar="SIDE",
        help="the sides: n1 / n2 n3, leader (default: all links)",
    )
    add_cluster(parser)


def _heal(arguments: argparse.Namespace) -> int:
    with locked_cluster(arguments, "heal its links") as session, session.links() as links:
        faults = broken_links(links)
        if arguments.sides:
            flows = flows_between(_sides(session, arguments.sides))
            parts = [_part_of(fault, flows) for fault in faults]
            faults = [part for part in parts if part.flows]
        if not faults:
            print(
                "nothing to heal: no link between these sides is broken"
                if arguments.sides
                else "nothing to heal: every link passes"
            )
            return int(Exit.PASS)
        healed = [_recover(fault) for fault in faults]
        return int(Exit.PASS if all(healed) else Exit.FAIL)


def _part_of(fault: LinkFault, flows: Sequence[Flow]) -> LinkFault:
    return replace(fault, flows=tuple(flow for flow in fault.flows if flow in flows))


def _recover(fault: LinkFault) -> bool:
    for item in fault.measure():
        print(item)
    recoveries = fault.recover()
    for recovery in recoveries:
        print(recovery.message)
    return all(recovery.recovered for recovery in recoveries)


COMMANDS = {
    "partition": Subcommand(PARTITION, _configure_partition, _partition),
    "heal": Subcommand(HEAL, _configure_heal, _heal),
}
