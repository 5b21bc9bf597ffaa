"""What must stand before a node's process starts: its folder, its init steps (once per data directory), its rendered files.

Also runs the commands beside a node: init, after start, stop. Each has a time limit and a log of its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvsim.config.program import Command
from kvsim.config.template import render
from kvsim.errors import NodeFailed
from kvsim.launcher.node import Node, tail
from kvsim.logs.tail import LogFile
from kvsim.process import environment
from kvsim.process.child import Child
from kvsim.process.ladder import KILL_NOW, stop_tree
from kvsim.process.spawn import Plan, spawn
from kvsim.waiting import Deadline

Names = Mapping[str, Any]


def prepare(node: Node, names: Names) -> None:
    """Make the folder, run `init`, write `files`. Raises NodeFailed when an init step fails."""
    _make_data_dir(node)
    if not node.did("init"):
        for command in node.program.init:
            run_command(node, command, names, "init")
        if node.program.init:
            node.did_now("init")
    user = user_of(node)
    for name, template in node.program.files.items():
        path = node.data / render(name, names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(template, names), encoding="utf-8")
        if user:
            shutil.chown(path, user)


def user_of(node: Node) -> str | None:
    """Who the node is to run as: `user` of node.yaml where kvsim is root; an ordinary user stays who they are."""
    return node.program.user if os.geteuid() == 0 else None


def _make_data_dir(node: Node) -> None:
    node.folder.mkdir(parents=True, exist_ok=True)
    node.data.mkdir(parents=True, exist_ok=True)
    user = user_of(node)
    if not user:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise NodeFailed(
            node.name, f"node {node.name}: this machine has no user {user}, which node.yaml names"
        ) from None
    shutil.chown(node.data, user)
    closed = next((folder for folder in node.data.parents if not _may_enter(folder, entry)), None)
    if closed:
        raise NodeFailed(
            node.name,
            f"node {node.name}: user {user} may not enter {closed}; put the run elsewhere (--out) or open that folder (chmod +x)",
        )


def _may_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    found = folder.stat()
    if found.st_uid == user.pw_uid:
        return bool(found.st_mode & 0o100)
    if found.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        return bool(found.st_mode & 0o010)
    return bool(found.st_mode & 0o001)


# --- commands ---------------------------------------------------------------------------------------------------------


def start_plan(node: Node, names: Names, *, die_with_parent: bool = True) -> Plan:
    """How the node itself is started: its command for its role, its log in the program's log mode."""
    argv = (*node.program.start[node.spec.role], *node.spec.args)
    mode = node.program.log.mode
    plan = _plan(
        node,
        argv,
        names,
        node.log_path,
        die_with_parent=die_with_parent,
        line_buffered=mode == "linebuf",
        pty=mode == "pty",
    )
    if node.preload is None:
        return plan
    return replace(plan, env=environment.preloading(plan.env, node.preload.library, node.preload.variables))


def _plan(node: Node, argv: tuple[str, ...], names: Names, log: Path, **how: bool) -> Plan:
    """One command of a node's program: filled-in words, its environment, its log."""
    program = node.program
    words = tuple(render(word, names) for word in argv)
    return Plan(
        argv=(beside(program.folder, words[0]), *words[1:]),
        cwd=Path(render(program.cwd, names)) if program.cwd else node.folder,
        env=environment_of(node, names),
        stdout=log,
        user=user_of(node),
        net=node.net,
        **how,
    )


def environment_of(node: Node, names: Names) -> dict[str, str]:
    """The environment that a node and the commands beside it run in."""
    program = node.program
    extra = {name: render(text, names) for name, text in {**program.env, **node.spec.env}.items()}
    return environment.clean(node.mark, extra, inherit=program.env_inherit)


def beside(folder: Path, word: str) -> str:
    """A relative path to a program is meant from the folder its node.yaml stands in."""
    return str(folder / word) if "/" in word and not Path(word).is_absolute() else word


def run_command(node: Node, command: Command, names: Names, what: str) -> None:
    """Run one command beside the node and wait for it. Raises NodeFailed or SpawnError."""
    if node.spec.role not in command.roles:
        return
    log = node.folder / f"{what}.log"
    child = spawn(_plan(node, command.argv, names, log))
    try:
        ended = child.wait(Deadline.after(command.within_s))
    finally:  # before the node's own start all that carries its mark is the step's
        stop_tree(child, KILL_NOW, mark=node.mark if what == "init" else None)
    if ended is not None and ended.status == 0:
        return
    how = ended.describe() if ended else f"was not over within {command.within_s:g}s and was killed"
    raise NodeFailed(node.name, f"node {node.name}: {what} step `{_said(child)}` {how}; {tail(LogFile(log))}")


def _said(child: Child) -> str:
    line = " ".join(child.argv)
    return line if len(line) <= 300 else f"{line[:300]}…"
