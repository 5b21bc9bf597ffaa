"""Try things out on a fresh private cluster, and keep them: every command becomes a step, every outcome its expectation.

Reads commands from the terminal or from a pipe until `end` or Ctrl-D: put WHO KEY VALUE · get WHO KEY · delete WHO KEY ·
kill WHO · stop WHO · start WHO · restart WHO · promote WHO · partition WHO / WHO · heal. WHO is as in a scenario: n2, leader,
each follower. What is done between `partition` and `heal` becomes the steps inside a fault; `links: proxied` has to stand in the
cluster file for that.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from kvsim.cli.arguments import add_cluster, add_program, options_of
from kvsim.config.yaml_tree import shown
from kvsim.errors import Exit, KvsimError, UsageError
from kvsim.live.opening import Wanted, opened
from kvsim.live.recording import Recording

PROMPT = "kvsim> "


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenario", type=Path, metavar="FILE", help="the scenario file to write; it must not exist"
    )
    parser.add_argument("--title", default="", help="what it shows, in one sentence")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="put the run directory there (default: runs/ beside the cluster file)",
    )
    add_cluster(parser)
    add_program(parser)


def run(arguments: argparse.Namespace) -> int:
    path, cluster = arguments.scenario, arguments.cluster
    if path.exists():
        raise UsageError(f"{path} exists already; record into a new file")
    name = path.stem
    recording = Recording(name, arguments.title or f"Recorded: {name}", os.path.relpath(cluster, path.parent))
    wanted = Wanted(
        cluster=cluster,
        name=name,
        file=cluster,
        out=arguments.out or cluster.resolve().parent / "runs",
        program=arguments.program,
        options=options_of(arguments),
        again=f"python -m kvsim run {shown(path)}",
    )
    with opened(wanted) as made:
        for node in made.cluster.nodes.values():
            print(f"{node.name}  {node.address}  {node.role or 'no role'}", file=sys.stderr)
        try:
            _session(recording, made.cluster)
        finally:
            _finish(recording)
    if not recording.steps:
        print("nothing was done, so nothing is written", file=sys.stderr)
        return int(Exit.INVALID)
    path.write_text(recording.text(), encoding="utf-8")
    print(f"{path}: {len(recording.steps)} steps; kvsim run {path} runs them")
    return int(Exit.PASS)


def _session(recording: Recording, cluster) -> None:
    for line in _lines():
        try:
            for said in recording.do(cluster, line):
                print(said, flush=True)
        except KvsimError as error:
            print(f"{error}", file=sys.stderr)


def _finish(recording: Recording) -> None:
    """What is still parted is healed, whatever ended the session."""
    if recording.partings:
        for said in recording.heal():
            print(said, flush=True)


def _lines() -> Iterator[str]:
    """Commands, until `end`, the end of the input or Ctrl-C."""
    while True:
        try:
            line = input(PROMPT if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line in {"end", "exit", "quit"}:
            return
        if line and not line.startswith("#"):
            yield line
