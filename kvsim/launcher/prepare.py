"""What must exist before a node's process starts, and the commands beside it.

The preparation: its folder, its init steps (once for each data directory), its rendered files. The
commands (init, after start, stop) have a time limit and a log each.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kvsim.config.cluster import NodeSpec
from kvsim.config.command_words import fill_words
from kvsim.config.program import Command
from kvsim.config.template import render, render_words
from kvsim.data_directory import NotInDirectory, write_file
from kvsim.errors import NodeFailed, UsageError
from kvsim.launcher.command_plan import CommandPlan, PlannedStopStep
from kvsim.launcher.node import Node, describe_end
from kvsim.logs.log_file import LogFile
from kvsim.process.child import Child
from kvsim.process.environment import clean_environment, with_preload
from kvsim.process.spawn import SpawnPlan, spawn
from kvsim.process.termination import KILL_NOW, stop_tree
from kvsim.text import truncate
from kvsim.waiting import Deadline

Names = Mapping[str, Any]

COMMAND_LENGTH_MAX = 300


def prepare(node: Node, names: Names) -> None:
    """Make the folder, run `init`, write `files`. Raises NodeFailed when an init step fails."""
    _make_data_dir(node)
    if not node.is_done("init"):
        for command in node.program.init:
            run_for_role(node, command, names, "init")
        if node.program.init:
            node.mark_done("init")
    for name, template in node.program.files.items():
        _write_file(node, render(name, names), render(template, names))


def _write_file(node: Node, name: str, text: str) -> None:
    user = user_of(node)
    entry = pwd.getpwnam(user) if user else None
    owner = (entry.pw_uid, -1) if entry else None
    try:
        write_file(node.data, name, text.encode(), owner)
    except (NotInDirectory, OSError) as error:
        raise UsageError(
            f"node {node.name}: cannot write {name!r}, of `files` in node.yaml: {error}"
        ) from error


def user_of(node: Node) -> str | None:
    """The user a node runs as: `user` of node.yaml, but only where kvsim is root."""
    return node.program.user if os.geteuid() == 0 else None


def owners_of(specs: Iterable[NodeSpec]) -> dict[str, int]:
    """Node → the number of its user, of the nodes that run as another user than kvsim."""
    users = {spec.name: spec.program.user for spec in specs if os.geteuid() == 0}
    return {name: pwd.getpwnam(user).pw_uid for name, user in users.items() if user}


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
            f"node {node.name}: user {user} may not enter {closed}; "
            "put the run elsewhere (--out) or open that folder (chmod +x)",
        )


def _may_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    found = folder.stat()
    if found.st_uid == user.pw_uid:
        return bool(found.st_mode & 0o100)
    if found.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        return bool(found.st_mode & 0o010)
    return bool(found.st_mode & 0o001)


# --- commands -------------------------------------------------------------------------------------


def start_words(node: Node, names: Names) -> tuple[str, ...]:
    """The words of a node's start command, filled in; no paths are looked up."""
    argv = (*node.program.start.get(node.spec.role, ()), *node.spec.args)
    return tuple(word for template in argv for word in render_words(template, names))


def start_plan(node: Node, names: Names, *, die_with_parent: bool = True) -> SpawnPlan:
    """How the node itself is started: the command of its role, its log in the log mode."""
    argv = (*node.program.start[node.spec.role], *node.spec.args)
    mode = node.program.log.mode
    plan = replace(
        _spawn_plan(node, plan_command(node, argv, names), node.log_path),
        die_with_parent=die_with_parent,
        line_buffered=mode == "linebuf",
        pty=mode == "pty",
        stdin_open=node.program.stdin_open,
    )
    if node.preload is None:
        return plan
    return replace(plan, env=with_preload(plan.env, node.preload.library, node.preload.variables))


def plan_command(node: Node, argv: tuple[str, ...], names: Names) -> CommandPlan:
    """A command of a node's program, its templates filled in."""
    program = node.program
    cwd = render(program.cwd, names) if program.cwd else str(node.folder)
    return CommandPlan(
        argv=fill_words(argv, names, program.folder, Path(cwd), program.requests),
        cwd=cwd,
        variables=_variables_of(node, names),
        inherit=program.env_inherit,
        user=user_of(node),
    )


def plan_stop(node: Node, names: Names) -> tuple[PlannedStopStep, ...]:
    """How the node will be stopped."""
    return tuple(
        PlannedStopStep(
            step.signal,
            step.wait_s,
            plan_command(node, step.command, names) if step.command else None,
        )
        for step in node.program.stop.steps
    )


def _spawn_plan(node: Node, command: CommandPlan, log: Path) -> SpawnPlan:
    return SpawnPlan(
        argv=command.argv,
        cwd=Path(command.cwd),
        env=clean_environment(node.tag, command.variables, inherit=command.inherit),
        stdout=log,
        user=command.user,
        net=node.net,
    )


def environment_of(node: Node, names: Names) -> dict[str, str]:
    """The environment of a node and of the commands beside it."""
    return clean_environment(node.tag, _variables_of(node, names), inherit=node.program.env_inherit)


def _variables_of(node: Node, names: Names) -> dict[str, str]:
    variables = {**node.program.env[node.spec.role], **node.spec.env}
    return {name: render(text, names) for name, text in variables.items()}


def run_for_role(node: Node, command: Command, names: Names, what: str) -> None:
    """`run_command`, if the command is for the node's role."""
    if node.spec.role in command.roles:
        run_command(node, plan_command(node, command.argv, names), command.within_s, what)


def run_command(node: Node, command: CommandPlan, within_s: float, what: str) -> None:
    """Run a command beside the node and wait for its end. Raises NodeFailed or SpawnError."""
    log = node.folder / f"{what}.log"
    child = spawn(_spawn_plan(node, command, log))
    try:
        exit_status = child.wait(Deadline.after(within_s))
    finally:
        # Before the node's own start, every process with its tag belongs to the init step.
        stop_tree(child, KILL_NOW, tag=node.tag if what == "init" else None)
    if exit_status is not None and exit_status.code == 0:
        return
    how = (
        exit_status.describe()
        if exit_status
        else f"did not end within {within_s:g}s and was killed"
    )
    raise NodeFailed(
        node.name,
        f"node {node.name}: {what} step `{_command_line(child)}` {how}; "
        f"{describe_end(LogFile(log))}",
    )


def _command_line(child: Child) -> str:
    return truncate(" ".join(child.argv), COMMAND_LENGTH_MAX)
