"""Describe your store: try it, write node.yaml, cluster.yaml and a first scenario, and run that.

The store is started a few times in new folders, with the usual options. It gets requests through
its client or over a socket. What works is written down, with comments, for you to read and change;
what was not found out is a `To do` or a `Question` in node.yaml. Files that exist are not
overwritten. With --demo, it writes a first project with kvsim's own reference store instead.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kvsim import shipped
from kvsim.argument_types import NODES
from kvsim.checks.verdict import EXITS, Verdict
from kvsim.cli.arguments import Subcommand, add_time_limits, write_output
from kvsim.cli.loading import load_cluster, load_scenario
from kvsim.cli.output import show
from kvsim.cli.run_many import summary_of, write_timeline
from kvsim.cli.waiting_line import waiting_for
from kvsim.doctor.discovery.discover import NotDescribed, discover
from kvsim.doctor.discovery.draft import Draft
from kvsim.doctor.discovery.generate import cluster_yaml, node_yaml, roles_yaml
from kvsim.errors import Exit, UsageError
from kvsim.invocation import invocation
from kvsim.process.calibration import measure_slowness
from kvsim.runner.job import RunOptions
from kvsim.runner.run import run_scenario
from kvsim.timeouts import timeouts_for

FILES = ("node.yaml", "cluster.yaml", "roles.yaml")
DEMO_FILES = ("cluster.yaml", "roles.yaml")
NEXT = "\nnext: {kvsim} run roles.yaml    {kvsim} up    {kvsim} doctor node.yaml"
NEXT_OF_DEMO = """
next: read roles.yaml and cluster.yaml, change them, and run them again
  with other keys:              {kvsim} run roles.yaml
  with a store that has a bug:  {kvsim} run roles --program broken -o bug=follower_accepts_put
  under load, with kills:       {kvsim} run storms/majority
  a cluster that stays up:      {kvsim} up     … and {kvsim} down
  your store, elsewhere:        {kvsim} init --program ./build/kvstore"""
TRIED_MAX = 40


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--demo",
        action="store_true",
        help="write a first project with kvsim's own reference store instead, and run it",
    )
    parser.add_argument(
        "--program",
        metavar="COMMAND",
        help="./build/kvstore, or a whole command with {port}, {data_dir}, {role}",
    )
    parser.add_argument(
        "--client",
        metavar="COMMAND",
        help="its command-line client, if it has one: ./build/kv_client",
    )
    parser.add_argument(
        "--nodes",
        type=NODES,
        default=3,
        help="nodes of the cluster (default: 3)",
    )
    parser.add_argument("--name", help="the program's name (default: that of its file)")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    add_time_limits(parser)


def run(arguments: argparse.Namespace) -> int:
    folder = Path.cwd()
    if arguments.demo:
        return _demo(folder, arguments)
    program, client = _commands(arguments)
    _require_programs(folder, program, client)
    if not arguments.force:
        _require_no_files(folder, FILES)
    try:
        with waiting_for("the program: usual options, roles and protocols are tried"):
            draft = discover(
                program, client, folder, timeouts_for(arguments.time_limits, measure_slowness)
            )
    except NotDescribed as error:
        _show_tried(error.tried)
        _write(folder, error.draft.remark("this is a guess; no request was answered"), arguments)
        raise
    _write(folder, draft, arguments)
    if "roles" not in draft.capabilities:
        print("\nroles.yaml was not run: it needs a leader and followers that differ")
        print(f"VERDICT: {Verdict.UNKNOWN.upper()} (nothing was proven)")
        return int(Exit.UNKNOWN)
    # A refusal that was not understood proves nothing.
    question = draft.questions.get("refused", "")
    return _first_run(
        folder, arguments, f"{question} (node.yaml, replies)" if question else "", NEXT
    )


def _demo(folder: Path, arguments: argparse.Namespace) -> int:
    """Write a cluster of the reference store and a scenario for it, and run that."""
    if arguments.program or arguments.client or arguments.name:
        raise UsageError(
            "--demo writes a project with kvsim's reference store; without it, kvsim init "
            "describes yours"
        )
    if not arguments.force:
        _require_no_files(folder, DEMO_FILES)
    general = shipped.GENERAL_CLUSTER
    scenario = (shipped.SCENARIOS / "roles.yaml").read_text(encoding="utf-8")
    texts = (
        general.read_text(encoding="utf-8"),
        scenario.replace(f"cluster: ../{general.name}", f"cluster: {general.name}"),
    )
    _write_files(folder, dict(zip(DEMO_FILES, texts, strict=True)))
    return _first_run(folder, arguments, "", NEXT_OF_DEMO)


def _first_run(folder: Path, arguments: argparse.Namespace, unproven: str, next_text: str) -> int:
    """Run the first scenario and print its result; the exit status of its verdict."""
    with waiting_for("the first run of roles.yaml"):
        done = run_scenario(
            load_scenario(folder / "roles.yaml"),
            load_cluster(folder / "cluster.yaml"),
            RunOptions(time_limits=arguments.time_limits, unproven=unproven),
            lambda *_: None,
        )
    write_timeline(done)
    show(summary_of(done.run, done.record, done.proof))
    print(next_text.format(kvsim=shlex.join(invocation())))
    return int(EXITS[done.proof.verdict])


def _show_tried(tried: tuple[str, ...]) -> None:
    print("tried, and what came back:")
    for line in tried[:TRIED_MAX]:
        print(f"  {line}")
    if len(tried) > TRIED_MAX:
        print(f"  … and {len(tried) - TRIED_MAX} more")


def _commands(arguments: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of the store's command and of its client's, from arguments or from the user."""
    if arguments.program:
        return _words(arguments.program), _words(arguments.client)
    if not sys.stdin.isatty():
        raise UsageError(
            "which store? kvsim init --program ./build/kvstore --client ./build/kv_client"
        )
    program = input("the store's command (./build/kvstore): ").strip()
    if arguments.client is None:
        return _words(program), _words(input("its client, if any: ").strip())
    return _words(program), _words(arguments.client)


def _words(command: str | None) -> tuple[str, ...]:
    """A command as words.

    A file in this folder is named with a slash, so that it is found beside node.yaml.
    """
    try:
        words = shlex.split(command or "")
    except ValueError as error:
        raise UsageError(f"{command!r} is not a command: {error}") from None
    if words and "/" not in words[0] and Path(words[0]).is_file():
        words[0] = f"./{words[0]}"
    return tuple(words)


def _require_programs(folder: Path, *commands: Sequence[str]) -> None:
    """Raises UsageError for a command that is no file here and no program of this machine."""
    for words in commands:
        if words and not (folder / words[0]).is_file() and not shutil.which(words[0]):
            raise UsageError(f"there is no program {words[0]} (is it built?)")


def _require_no_files(folder: Path, names: Sequence[str]) -> None:
    existing = [name for name in names if (folder / name).exists()]
    if existing:
        raise UsageError(f"{', '.join(existing)} exist already; --force overwrites them")


def _write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Raises UsageError where they cannot be written."""
    for name, text in texts.items():
        write_output(folder / name, text)
    print(f"wrote {', '.join(texts)}")


def _write(folder: Path, draft: Draft, arguments: argparse.Namespace) -> None:
    texts = (
        node_yaml(draft),
        cluster_yaml(arguments.name or draft.name, arguments.nodes),
        roles_yaml(draft),
    )
    _write_files(folder, dict(zip(FILES, texts, strict=True)))
    for remark in draft.remarks:
        print(f"to do: {remark}")
    for question in draft.questions.values():
        print(f"question: {question}")


COMMANDS = {"init": Subcommand(__doc__, configure, run)}
