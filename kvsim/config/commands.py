"""What a program needs on this machine: the commands of its node.yaml, a folder, a user.

Looks at files and at the table of users; starts nothing. A command that begins with a template is
known only when it runs.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from kvsim.config.protocol_schema import kind_of
from kvsim.config.schema import Values
from kvsim.config.yaml_nodes import Fields, Items, Scalar, Tree, is_file, quote
from kvsim.errors import Problem
from kvsim.text import truncate

COMMAND_LISTS = ("init", "after_start")
READY = ("ready", "cluster_ready")


def missing_start(values: Values, folder: Path) -> list[Problem]:
    """Why nodes cannot be started on this machine; empty when they can."""
    start = values.node_of("start")
    commands = [tree for _, tree in start.entries] if isinstance(start, Fields) else [start]
    return [problem for tree in commands for problem in _missing("start", tree, values, folder)]


def missing_others(values: Values, folder: Path) -> list[Problem]:
    """What else is not on this machine: commands beside the nodes, the folder, the user."""
    found = [
        problem
        for where, tree in _commands(values)
        for problem in _missing(where, tree, values, folder)
    ]
    return [*found, *_missing_folder(values, folder), *_missing_user(values)]


def _commands(values: Values) -> Iterator[tuple[str, Tree]]:
    """(key, command) for every command of node.yaml but `start`."""
    for name in COMMAND_LISTS:
        for tree in _items_of(_written(values, name)):
            yield name, _run_of(tree, "run")
    for name in READY:
        yield from _commands_in(_written(values, name), f"{name}.command", "any")
    yield from _commands_in(_written(values, "stop"), "stop.command", "steps")
    yield from _client_commands(values)


def _commands_in(record: Tree | None, where: str, alternatives: str) -> Iterator[tuple[str, Tree]]:
    """The `command` of a record, and of the records in the list of that name in it."""
    inner = record.get(alternatives) if isinstance(record, Fields) else None
    for tree in (record, *_items_of(inner)):
        command = tree.get("command") if isinstance(tree, Fields) else None
        if command is not None:
            yield where, _run_of(command, "run")


def _written(values: Values, name: str) -> Tree | None:
    return values.node_of(name) if values.is_written(name) else None


def _items_of(tree: Tree | None) -> tuple[Tree, ...]:
    return tree.items if isinstance(tree, Items) else ()


def _client_commands(values: Values) -> Iterator[tuple[str, Tree]]:
    speak = values.get("speak")
    requests = _written(values, "requests")
    if speak and kind_of(speak) == "command" and isinstance(requests, Fields):
        for verb, tree in requests.entries:
            yield f"requests.{verb.text}", _run_of(tree, "argv")


def _run_of(command: Tree, key: str) -> Tree:
    """The words of a command that may be written in its long form."""
    words = command.get(key) if isinstance(command, Fields) else None
    return command if words is None else words


def _missing(where: str, command: Tree, values: Values, folder: Path) -> Iterator[Problem]:
    word = _first_word(command)
    name = word.text.replace("{program_dir}", str(folder)) if word else ""
    if word is None or not name or "{" in name:
        return
    if "/" not in name:
        # A PATH of the program's own is not searched.
        own = [values.get(key) or {} for key in ("env", "env_leader", "env_follower")]
        if not any("PATH" in env for env in own) and shutil.which(name) is None:
            yield word.location.problem(f"{where}: there is no program {quote(name)} in PATH")
        return
    tried = [folder / name, *([Path(name)] if where.startswith("requests.") else [])]
    path = next((path for path in tried if is_file(path)), None)
    if path is None:
        what = f"there is no file {quote(str(tried[0]))} (is it built?)"
        yield word.location.problem(f"{where}: {what}")
    elif not os.access(path, os.X_OK):
        yield word.location.problem(f"{where}: {quote(str(path))} is not executable: chmod +x it")


def _first_word(command: Tree) -> Scalar | None:
    """The program of a command: the first word of a list, or of a line as a shell splits it."""
    if isinstance(command, Items):
        first = command.items[0] if command.items else None
        return first if isinstance(first, Scalar) else None
    if not isinstance(command, Scalar):
        return None
    try:
        words = shlex.split(command.text)
    except ValueError:
        return None
    return command._replace(text=words[0]) if words else None


def _missing_folder(values: Values, folder: Path) -> Iterator[Problem]:
    cwd = values.get("cwd")
    name = cwd.replace("{program_dir}", str(folder)) if cwd else ""
    if name and "{" not in name and not Path(name).is_dir():
        where = values.node_of("cwd").location
        yield where.problem(f"cwd: there is no folder {quote(truncate(name, 200))}")


def _missing_user(values: Values) -> Iterator[Problem]:
    user = values.get("user")
    # Another user is taken only where kvsim is root.
    if not user or os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(user)
    except KeyError:
        where = values.node_of("user").location
        yield where.problem(f"user: this machine has no user {quote(user)}")
