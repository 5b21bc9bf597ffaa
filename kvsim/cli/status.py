"""Show every node of the cluster that is up, and every link that is broken. Looks and asks, so it is right after a kill too.

Exit status 0 when every node is up and answers, 1 when one does not, 4 when no cluster is up.
"""

from __future__ import annotations

import argparse

from kvsim.cli.arguments import add_cluster, add_json
from kvsim.cli.files import load_running
from kvsim.cli.nodes_table import print_nodes
from kvsim.errors import Exit
from kvsim.faults.links.standing import broken, standing
from kvsim.launcher.background import Background


def configure(parser: argparse.ArgumentParser) -> None:
    add_cluster(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    background = load_running(arguments.cluster)
    launcher = background.held()
    links = _links(background)
    well = print_nodes(launcher, as_json=arguments.json, links=links)
    return int(Exit.PASS if well else Exit.FAIL)


def _links(background: Background) -> list[dict[str, object]] | None:
    """Every two ends that are parted, and what shows it; None where links cannot be broken."""
    if background.laid.carrier is None:
        return None
    with standing(background.laid.socket) as links:
        return [
            {"link": receipt.subject, "how": fault.what, "says": receipt.says, "bit": receipt.bit}
            for fault in broken(links)
            for receipt in fault.end()
        ]
