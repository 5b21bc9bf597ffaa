"""Make a node of the cluster that is up the leader, by the request `promote` of its program's node.yaml.

Prints what it answered, and what every node says afterwards. Exit status: 0 promoted, 1 refused, 2 unknown (no answer: it may have
happened), 4 when its program has no such request.
"""

from __future__ import annotations

import argparse

from kvsim.checks.expectations import describe
from kvsim.cli import hands
from kvsim.client.exchange import Request
from kvsim.errors import Exit, UsageError
from kvsim.history.outcome import Kind
from kvsim.launcher.launcher import Launcher
from kvsim.live.cluster import PROMOTE_S

STATUS = {Kind.OK: Exit.PASS, Kind.REFUSED: Exit.FAIL, Kind.UNKNOWN: Exit.UNKNOWN}


def configure(parser: argparse.ArgumentParser) -> None:
    hands.configure(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        default=PROMOTE_S,
        metavar="SECONDS",
        help=f"how long to wait for the answer (default: {PROMOTE_S:g})",
    )


def run(arguments: argparse.Namespace) -> int:
    with hands.holding(arguments, "promote a node") as held:
        if len(held.nodes) != 1:
            raise UsageError(f"one node can be promoted at a time, and {', '.join(held.nodes)} are meant")
        (name,) = held.nodes
        outcome = _ask(held.launcher, name, arguments.timeout)
        print(f"{name} promote: {describe(outcome)}")
        print(f"now {hands.told_of(held.launcher)}")
    return int(STATUS[outcome.kind])


def _ask(launcher: Launcher, name: str, timeout_s: float):
    program = launcher.nodes[name].program
    if "promote" not in program.requests:
        raise UsageError(
            f"{name}: program {program.name} has no request `promote`; say in its node.yaml, under `requests`, how a node of it "
            f"is made the leader"
        )
    client = launcher.connect(name)
    try:
        return client.ask(Request("promote"), timeout_s).outcome
    finally:
        client.close()
