"""What must stand before a node's process starts: its folder, its rendered files, its init steps. Once per data directory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvsim.config.program import Command
from kvsim.config.template import render
from kvsim.errors import NodeFailed
from kvsim.launcher.node import Node
from kvsim.logs.tail import LogFile
from kvsim.process import environment
from kvsim.process.ladder import KILL_NOW, stop_tree
from kvsim.process.spawn import Plan, spawn
from kvsim.waiting import Deadline

Names = Mapping[str, Any]


def prepare(node: Node, names: Names) -> None:
    """Make the folder, write `files`, run `init`. Raises NodeFailed when an init step fails."""
    data = Path(node.place.data_dir)
    data.mkdir(parents=True, exist_ok=True)
    if node.program.user:
        shutil.chown(data, node.program.user)
    if not node.initialised:
        for command in node.program.init:
            run_command(node, command, names, "init")
        node.initialised = True
    for name, template in node.program.files.items():
        path = data / render(name, names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(template, names), encoding="utf-8")


def plan(node: Node, argv: tuple[str, ...], names: Names, log: Path, *, die_with_parent: bool = True) -> Plan:
    """How one command of a node's program is run: filled-in words, its environment, its log."""
    program = node.program
    words = tuple(render(word, names) for word in argv)
    extra = {name: render(text, names) for name, text in {**program.env, **node.spec.env}.items()}
    return Plan(
        argv=(_beside(program.folder, words[0]), *words[1:]),
        cwd=Path(render(program.cwd, names)) if program.cwd else node.folder,
        env=environment.clean(node.mark, extra, inherit=program.env_inherit),
        stdout=log,
        die_with_parent=die_with_parent,
        user=program.user,
        line_buffered=program.log.mode == "linebuf",
        pty=program.log.mode == "pty",
    )


def _beside(folder: Path, word: str) -> str:
    """A relative path to a program is meant from the folder its node.yaml stands in."""
    return str(folder / word) if "/" in word and not Path(word).is_absolute() else word


def run_command(node: Node, command: Command, names: Names, what: str) -> None:
    """Run one init or after-start step with a log of its own and a time limit. Raises NodeFailed or SpawnError."""
    if node.spec.role not in command.roles:
        return
    log = node.folder / f"{what}.log"
    child = spawn(plan(node, command.argv, names, log))
    ended = child.wait(Deadline.after(command.within_s))
    stop_tree(child, KILL_NOW, mark=node.mark if what == "init" else None)
    if ended is not None and ended.status == 0:
        return
    how = ended.describe() if ended else f"was not over within {command.within_s:g}s and was killed"
    tail = "\n".join(f"    {line}" for line in LogFile(log).last(12))
    raise NodeFailed(
        node.name,
        f"node {node.name}: {what} step `{' '.join(child.argv)}` {how}; last lines of {log}:\n{tail}",
    )
