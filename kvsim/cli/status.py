"""Show every node of the cluster that is up. Looks at the processes and asks the nodes, so it is right after a kill too.

Exit status 0 when every node is up and answers, 1 when one does not, 4 when no cluster is up.
"""

from __future__ import annotations

import argparse

from kvsim.cli.arguments import add_cluster, add_json
from kvsim.cli.files import load_running
from kvsim.cli.nodes_table import print_nodes
from kvsim.errors import Exit


def configure(parser: argparse.ArgumentParser) -> None:
    add_cluster(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    launcher = load_running(arguments.cluster).held()
    return int(Exit.PASS if print_nodes(launcher, as_json=arguments.json) else Exit.FAIL)
