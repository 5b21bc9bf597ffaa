"""Try requests and faults on a private cluster, and write them as a scenario.

Reads commands from the terminal or from a pipe until `end` or Ctrl-D:

  put TARGET KEY VALUE     get TARGET KEY     delete TARGET KEY     cas TARGET KEY EXPECTED VALUE
  kill TARGET     stop TARGET     start TARGET     restart TARGET     promote TARGET
  partition SIDE / SIDE     heal

TARGET is a target as in a scenario: n2, leader, each follower. Every command becomes a step, its
outcome the expectation. The commands between `partition` and `heal` become the steps inside a
fault; this needs `links: proxied` in the cluster file.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator

from kvsim.api.cluster import LiveCluster
from kvsim.api.recording import Recording
from kvsim.api.session import SessionOptions, open_session
from kvsim.cli.arguments import (
    Subcommand,
    add_cluster,
    add_program,
    options_of,
    output_file,
    output_folder,
)
from kvsim.config.yaml_nodes import display_path
from kvsim.errors import Exit, KvsimError, UsageError
from kvsim.invocation import invocation
from kvsim.run_directory import runs_folder

PROMPT = "kvsim> "


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenario",
        type=output_file,
        metavar="FILE",
        help="the scenario file to write; it must not exist",
    )
    parser.add_argument("--title", default="", help="what it shows, in one sentence")
    parser.add_argument(
        "--out",
        type=output_folder,
        metavar="DIR",
        help="put the run directory there (default: runs/)",
    )
    add_cluster(parser)
    add_program(parser)


def _run(arguments: argparse.Namespace) -> int:
    path, cluster = arguments.scenario, arguments.cluster
    if path.exists():
        raise UsageError(f"{path} exists already; record into a new file")
    name = path.stem
    title = arguments.title or f"Recorded: {name}"
    recording = Recording(name, title, os.path.relpath(cluster, path.parent))
    options = SessionOptions(
        cluster=cluster,
        name=name,
        file=cluster,
        out=runs_folder(arguments.out),
        program=arguments.program,
        options=options_of(arguments),
        repeat_command=shlex.join([*invocation(), "run", display_path(path)]),
    )
    with open_session(options) as session:
        for node in session.cluster.nodes.values():
            print(f"{node.name}  {node.address}  {node.role or 'no role'}", file=sys.stderr)
        try:
            _read_commands(recording, session.cluster)
        finally:
            _heal(recording)
    if not recording.steps:
        print("nothing was done, so nothing is written", file=sys.stderr)
        return int(Exit.INVALID)
    path.write_text(recording.text(), encoding="utf-8")
    print(f"{path}: {len(recording.steps)} steps; kvsim run {path} runs them")
    return int(Exit.PASS)


def _read_commands(recording: Recording, cluster: LiveCluster) -> None:
    for line in _lines():
        try:
            for message in recording.do(cluster, line):
                print(message, flush=True)
        except KvsimError as error:
            print(f"{error}", file=sys.stderr)


def _heal(recording: Recording) -> None:
    """Heal the partitions that are still open, also when an error ended the session."""
    if recording.partitions:
        for message in recording.heal():
            print(message, flush=True)


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


COMMANDS = {"record": Subcommand(__doc__, _configure, _run)}
