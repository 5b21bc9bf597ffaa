"""What the commands that change the cluster that is up share: its lock, the targets of the command,
and its state, which is written afterwards.

The commands carry their actions out as the steps of a run do.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from kvsim.checks.verdict import Verdict
from kvsim.cli.arguments import add_cluster
from kvsim.cli.loading import load_running
from kvsim.cli.waiting_line import waiting_for
from kvsim.config.scenario import Scenario, Step
from kvsim.config.target import NAMED, named, parse_target
from kvsim.config.variables import new_seed
from kvsim.config.yaml_nodes import SourceLocation, display_path
from kvsim.errors import Exit, NodeFailed, UsageError
from kvsim.history.journal import Journal
from kvsim.launcher.background import Background
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node, note_nothing
from kvsim.network.proxy_handle import ProxyDaemonClient, connect_daemon
from kvsim.run_directory import RunDirectory
from kvsim.runner.connections import Connections, ObservedState
from kvsim.runner.context import Context
from kvsim.runner.roles import RoleObserver, describe_roles
from kvsim.runner.runner import carry_out
from kvsim.runner.targets import resolve

STATUS_TIMEOUT_S = 0.5
COMMAND_LINE = SourceLocation("command line", 0, 0)


class NoJournal(Journal):
    """A journal that keeps nothing: a command is not a run."""

    def __init__(self) -> None:
        self.epoch_ns = time.monotonic_ns()
        self.broken = None

    def write(self, kind: str, **fields: Any) -> None:
        pass

    def close(self) -> None:
        pass


def add_targets(parser: argparse.ArgumentParser) -> None:
    """The nodes that a command is for, and their cluster."""
    parser.add_argument(
        "target",
        nargs="+",
        metavar="TARGET",
        help="node names, or a target as in a scenario: leader, each follower, any",
    )
    add_cluster(parser)


class ClusterSession(Struct, frozen=True):
    """The cluster that is up, locked for one command."""

    context: Context
    background: Background

    @property
    def launcher(self) -> Launcher:
        return self.context.launcher

    def targets(self, words: Sequence[str], *, prefer_up: bool = True) -> tuple[str, ...]:
        """The nodes of a target now; with `prefer_up`, nodes that are up where there are any.

        Raises UsageError.
        """
        nodes = self.launcher.nodes
        known = ", ".join(nodes)
        try:
            are_names = set(words) <= set(nodes)
            target = named(tuple(words)) if are_names else parse_target(" ".join(words))
        except ValueError as error:
            raise UsageError(f"{error}; the nodes are {known}") from None
        unknown = [name for name in target.names if name not in nodes]
        if unknown:
            raise UsageError(f"no node is called `{unknown[0]}`; there are {known}")
        roles = {} if target.which == NAMED else self.context.observe_roles("")
        resolved = resolve(target, roles, random.Random(self.context.seed), prefer_up=prefer_up)
        if resolved.problem:
            raise UsageError(resolved.problem)
        return resolved.nodes

    def running(self, name: str, action: str) -> Node:
        """A node that must be up. Raises NodeFailed."""
        node = self.launcher.nodes[name]
        if not node.up:
            raise NodeFailed(name, f"cannot {action} {name}: it is not running")
        return node

    def run(self, step: Step, name: str) -> None:
        """Carry out one step on a node. Raises NodeFailed when it fails."""
        with waiting_for(f"{step.verb} of {name}"):
            result = carry_out(self.context, step, (name,))
        if result.verdict is not Verdict.PASS:
            raise NodeFailed(name, result.why)

    def report_roles(self) -> str:
        """What every node reports now, in a line."""
        return describe_roles(self.context.observe_roles(""))

    @contextlib.contextmanager
    def links(self) -> Iterator[ProxyDaemonClient]:
        """The links between the nodes. Raises UsageError where they cannot be broken."""
        if self.background.layout.daemon is None:
            file = display_path(self.background.cluster.path)
            raise UsageError(
                "links cannot be broken here: kvsim down, then kvsim up --links "
                f"(or write `links: proxied` into {file})"
            )
        with connect_daemon(self.background.layout.socket) as links:
            yield links


@contextlib.contextmanager
def locked_cluster(arguments: argparse.Namespace, what: str) -> Iterator[ClusterSession]:
    """Lock the cluster while inside; `what` the command does, for messages.

    Raises UsageError when no cluster is up, or another command has locked it.
    """
    background = load_running(arguments.cluster)
    with background.locked(what):
        found = background.attach(note_nothing)
        if found is None:
            raise UsageError(f"no cluster is up for {arguments.cluster}; kvsim up starts it")
        tag, launcher = found
        context = _context(background, launcher)
        try:
            yield ClusterSession(context, background)
        finally:
            context.connections.close()
            launcher.detach()
            background.write(tag, launcher)


def _context(background: Background, launcher: Launcher) -> Context:
    """What the runner's steps need, for a command."""
    cluster, journal = background.cluster, NoJournal()
    connections = Connections(launcher, journal, STATUS_TIMEOUT_S)
    return Context(
        scenario=Scenario("", "", cluster.path, cluster.path, ()),
        cluster=cluster,
        launcher=launcher,
        connections=connections,
        role_observer=RoleObserver(launcher, connections, journal),
        journal=journal,
        variables={},
        seed=new_seed(),
        observed_state=ObservedState(launcher, connections),
        run=RunDirectory(background.folder),
    )


def step_fields(verb: str, name: str) -> dict[str, Any]:
    """The fields that every step for a node has."""
    return {
        "id": "",
        "verb": verb,
        "location": COMMAND_LINE,
        "text": f"{verb}: {name}",
        "at": named((name,)),
    }


def on_each(nodes: Sequence[str], action: Callable[[str], str]) -> int:
    """Run the action for every node, and print what it returns.

    The exit status is 1 when the action failed for a node.
    """
    failed = False
    for name in nodes:
        try:
            print(action(name))
        except NodeFailed as error:
            failed = True
            print(error)
    return int(Exit.FAIL if failed else Exit.PASS)
