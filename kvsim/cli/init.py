"""Describe a store of yours: try it, write node.yaml, cluster.yaml and a first scenario, and run that.

The store is started a few times in folders of its own, in the ways that are usual, and asked through its client or over a
socket. What works is written down, with comments, for you to read and change. Nothing that is there already is overwritten.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from kvsim.checks.verdict import EXITS
from kvsim.cli.files import load_cluster, load_scenario
from kvsim.cli.terminal import show
from kvsim.doctor.first.draft import Draft
from kvsim.doctor.first.meet import meet
from kvsim.doctor.first.written import cluster_yaml, node_yaml, roles_yaml
from kvsim.errors import UsageError
from kvsim.scenario.run import Options, run_scenario


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--program",
        metavar="COMMAND",
        help="./build/kvstore, or a whole command with {port}, {data_dir}, {role}",
    )
    parser.add_argument(
        "--client", metavar="COMMAND", help="its command-line client, if it has one: ./build/kv_client"
    )
    parser.add_argument("--nodes", type=int, default=3, help="nodes of the cluster (default: 3)")
    parser.add_argument("--name", help="the program's name (default: that of its file)")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")


def run(arguments: argparse.Namespace) -> int:
    program = _words(arguments.program or _asked("the store's command (./build/kvstore)", "--program"))
    client = _words(
        arguments.client
        if arguments.client is not None or arguments.program
        else _asked("its client, if any", "")
    )
    folder = Path.cwd()
    _refuse_to_overwrite(folder, arguments.force)
    draft = meet(program, client, folder)
    _write(folder, draft, arguments)
    done = run_scenario(
        load_scenario(folder / "roles.yaml"),
        load_cluster(folder / "cluster.yaml"),
        Options(),
        lambda *_: None,
    )
    show(done.run.proof_text.read_text(encoding="utf-8"))
    print("\nnext: kvsim run roles.yaml    kvsim up    kvsim doctor node.yaml")
    return int(EXITS[done.proof.verdict])


def _asked(what: str, flag: str) -> str:
    if not sys.stdin.isatty():
        if not flag:
            return ""
        raise UsageError(f"say which store: kvsim init {flag} ./build/kvstore --client ./build/kv_client")
    return input(f"{what}: ").strip()


def _words(command: str | None) -> tuple[str, ...]:
    """A command as words; a relative path to a file here keeps its slash, so that it is found beside node.yaml."""
    try:
        words = shlex.split(command or "")
    except ValueError as error:
        raise UsageError(f"{command!r} is no command: {error}") from None
    if words and "/" not in words[0] and Path(words[0]).is_file():
        words[0] = f"./{words[0]}"
    return tuple(words)


def _refuse_to_overwrite(folder: Path, force: bool) -> None:
    there = [name for name in ("node.yaml", "cluster.yaml", "roles.yaml") if (folder / name).exists()]
    if there and not force:
        raise UsageError(f"{', '.join(there)} stand here already; --force overwrites them")


def _write(folder: Path, draft: Draft, arguments: argparse.Namespace) -> None:
    texts = {
        "node.yaml": node_yaml(draft),
        "cluster.yaml": cluster_yaml(arguments.name or draft.name, arguments.nodes),
        "roles.yaml": roles_yaml(draft),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"wrote {', '.join(texts)}")
    for remark in draft.remarks:
        print(f"to be looked at: {remark}")
