"""Start the cluster in the background, on the ports of its file, and wait until every node is ready.

Prints node, role, pid, address, data directory and log. `kvsim down` ends it. Starting twice says that it is up.
"""

from __future__ import annotations

import argparse
import sys

from kvsim.cli.arguments import add_cluster, add_json, add_program, add_time_limits, options_of
from kvsim.cli.files import load_cluster
from kvsim.cli.nodes_table import print_nodes
from kvsim.errors import Exit
from kvsim.launcher.background import Background, bring_up
from kvsim.limits import settled
from kvsim.process.pace import measured
from kvsim.scenario.interrupt import Interrupted, orderly_interrupts
from kvsim.scenario.standing import laying

NO_NAMESPACES = "kvsim: `links: netns` is for runs; here nodes reach each other directly (--links puts a proxy on every link)"


def configure(parser: argparse.ArgumentParser) -> None:
    add_cluster(parser)
    add_program(parser)
    add_time_limits(parser)
    parser.add_argument(
        "--links",
        action="store_true",
        help="put a proxy on every link, as `links: proxied` in the cluster file does, so that kvsim partition can break it",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    options = options_of(arguments)
    limits = settled(arguments.time_limits, measured)
    cluster = load_cluster(arguments.cluster, arguments.program, options)
    background = Background(limits.stretched(cluster), arguments.program, options, limits)
    with background.locked("start it"):
        found = background.found(lambda *_, **__: None)
        if found is not None:
            return _already(found[1], arguments)
        if cluster.links == "netns" and not arguments.links:
            print(NO_NAMESPACES, file=sys.stderr)
        lay = laying("proxied" if arguments.links else cluster.links)
        try:
            with orderly_interrupts():
                launcher = bring_up(background, lambda *_, **__: None, lay)
        except Interrupted:
            print("kvsim: interrupted; everything that was started is stopped again", file=sys.stderr)
            return 130
    print_nodes(launcher, as_json=arguments.json)
    return int(Exit.PASS)


def _already(launcher, arguments: argparse.Namespace) -> int:
    down = [node.name for node in launcher.nodes.values() if not node.up]
    if not down:
        print(f"cluster {launcher.cluster.name} is up already", file=sys.stderr)
    else:
        print(
            f"cluster {launcher.cluster.name} was started before, but {', '.join(down)} is down; kvsim down, then kvsim up",
            file=sys.stderr,
        )
    print_nodes(launcher, as_json=arguments.json)
    return int(Exit.FAIL if down else Exit.PASS)
