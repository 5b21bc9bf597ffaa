"""Make the client that a program's `speak` asks for. Protocol files are imported when they are first needed,
never before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from kvsim.client.exchange import Client
from kvsim.client.settings import Setting
from kvsim.config.program import Program
from kvsim.errors import KvsimError, UsageError

PROTOCOLS = {
    "lines": "kvsim.client.lines",
    "frames": "kvsim.client.frames",
    "resp": "kvsim.client.resp",
    "http": "kvsim.client.http",
    "command": "kvsim.client.command",
}


def connect(program: Program, host: str, port: int, *, names: Mapping[str, str]) -> Client:
    """A client for one node. No connection is made before the first request.

    `names` are the node's names for templates (`port`, `leader.addr`, …). A kind that is not in PROTOCOLS is
    `package.module:Class`, found beside node.yaml or on Python's path and called as `Class(program, host,
    port, names)`. Raises UsageError when node.yaml says something that cannot be spoken.
    """
    kind = program.speak.kind
    if kind in PROTOCOLS:
        return import_module(PROTOCOLS[kind]).connect(program, host, port, names)
    if ":" not in kind:
        known = ", ".join(PROTOCOLS)
        raise UsageError(
            f"program {program.name}: speak: `{kind}` is none of {known}, and not package.module:Class"
        )
    return _users_own(program, kind, host, port, names)


def settings_of(kind: str) -> Mapping[str, Setting] | None:
    """The settings a protocol reads, by name; None for a kind that is no protocol of kvsim's own."""
    return import_module(PROTOCOLS[kind]).SETTINGS if kind in PROTOCOLS else None


def _users_own(program: Program, kind: str, host: str, port: int, names: Mapping[str, str]) -> Client:
    module, _, name = kind.partition(":")
    where = f"program {program.name}: speak: {kind}"
    try:
        with _importable(program.folder):
            made = getattr(import_module(module), name)(program, host, port, names)
    except KvsimError:
        raise
    except Exception as error:  # the user's code may raise anything at all
        raise UsageError(f"{where}: cannot be used: {type(error).__name__}: {error}") from error
    missing = [method for method in ("ask", "close") if not callable(getattr(made, method, None))]
    if missing:
        raise UsageError(
            f"{where}: has no method {' and no method '.join(missing)}; see kvsim.client.exchange.Client"
        )
    return made


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules beside node.yaml be imported, for as long as it takes."""
    path = str(folder.resolve())
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)
