"""What the commands that lay hands on the cluster that is up share: its lock, who is meant, and its state written down afterwards."""

from __future__ import annotations

import argparse
import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kvsim.cli.arguments import add_cluster
from kvsim.cli.files import load_running
from kvsim.client.status import ask_status
from kvsim.config.target import NAMED, named, parse_target
from kvsim.config.yaml_tree import shown
from kvsim.errors import Exit, NodeFailed, UsageError
from kvsim.faults.links.standing import Standing, standing
from kvsim.launcher.background import Background
from kvsim.launcher.launcher import Launcher
from kvsim.scenario.roles import RoleSeen
from kvsim.scenario.targets import resolve, told

ASK_TIMEOUT_S = 0.5


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "who",
        nargs="+",
        metavar="WHO",
        help="node names, or words as in a scenario: leader, each follower, any",
    )
    add_cluster(parser)


@dataclass(frozen=True)
class Hands:
    """The cluster that is up, held for one change, and the nodes that are meant."""

    launcher: Launcher
    nodes: tuple[str, ...]
    background: Background

    @contextlib.contextmanager
    def links(self) -> Iterator[Standing]:
        """The links between its nodes, while inside. Raises UsageError where they cannot be broken."""
        if self.background.laid.carrier is None:
            raise UsageError(
                f"links cannot be broken here: kvsim down, then kvsim up --links (or say `links: proxied` in "
                f"{shown(self.background.cluster.path)})"
            )
        with standing(self.background.laid.socket) as links:
            yield links


@contextlib.contextmanager
def holding(
    arguments: argparse.Namespace, what: str, *, up: bool = True, who: Sequence[str] | None = None
) -> Iterator[Hands]:
    """Hold the cluster while inside. `up`: whether nodes that are up are meant; `who`: instead of the arguments' words.

    Raises UsageError when no cluster is up, or nobody is meant.
    """
    background = load_running(arguments.cluster)
    with background.locked(what):
        found = background.found(lambda *_, **__: None)
        if found is None:
            raise UsageError(f"no cluster is up for {arguments.cluster}; kvsim up starts it")
        mark, launcher = found
        try:
            words = arguments.who if who is None else who
            yield Hands(launcher, meant(launcher, words, up) if words else (), background)
        finally:
            launcher.leave()
            background.write(mark, launcher)


def meant(launcher: Launcher, words: Sequence[str], up: bool = True) -> tuple[str, ...]:
    """The nodes that these words mean now. Raises UsageError."""
    names = ", ".join(launcher.nodes)
    try:
        target = named(tuple(words)) if set(words) <= set(launcher.nodes) else parse_target(" ".join(words))
    except ValueError as error:
        raise UsageError(f"{error}; the nodes are {names}") from None
    strangers = [name for name in target.names if name not in launcher.nodes]
    if strangers:
        raise UsageError(f"no node is called `{strangers[0]}`; there are {names}")
    seen = {} if target.which == NAMED else {name: _seen(launcher, name) for name in launcher.nodes}
    resolved = resolve(target, seen, random.Random(), up=up)
    if resolved.problem:
        raise UsageError(resolved.problem)
    return resolved.nodes


def _seen(launcher: Launcher, name: str) -> RoleSeen:
    node = launcher.nodes[name]
    if not node.up:
        return RoleSeen(name, False, node.spec.role, "as configured")
    client = launcher.connect(name)
    try:
        status = ask_status(client, node.program, ASK_TIMEOUT_S)
    finally:
        client.close()
    role = node.spec.role if status is None else status.role
    return RoleSeen(name, True, role, "as configured" if status is None else "says")


def told_of(launcher: Launcher) -> str:
    """What every node says of itself now, in a line."""
    return told({name: _seen(launcher, name) for name in launcher.nodes})


def each(hands: Hands, do: Callable[[str], str]) -> int:
    """Do it to every node that is meant, and print what came of it; the exit status is 1 when one of them failed."""
    failed = False
    for name in hands.nodes:
        try:
            print(do(name))
        except NodeFailed as error:
            failed = True
            print(error)
    return int(Exit.FAIL if failed else Exit.PASS)
