"""Make the client for the protocol that a program speaks.

Knows the protocols by their file names; the module of one is imported when it is first used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from kvsim.client import protocols
from kvsim.client.exchange import Client
from kvsim.config.program import Program
from kvsim.config.protocol_schema import ProtocolLanguage
from kvsim.config.request_forms import form_of
from kvsim.errors import KvsimError, UsageError


@cache
def protocol_names() -> tuple[str, ...]:
    """The names of kvsim's protocols, in alphabetical order. Imports none of them."""
    return tuple(sorted(module.name for module in iter_modules(protocols.__path__)))


def describe_protocol(name: str) -> str:
    """One of kvsim's protocols in one line: the first line of its module's docstring."""
    first_line = (_module(name).__doc__ or "").partition("\n")[0]
    return first_line.rstrip(".")


def language_of(kind: str) -> ProtocolLanguage | None:
    """What a protocol adds to node.yaml; None for a kind that is not one of kvsim's protocols."""
    if kind not in protocol_names():
        return None
    language: ProtocolLanguage = _module(kind).LANGUAGE
    return language


def connect(program: Program, host: str, port: int, *, names: Mapping[str, str]) -> Client:
    """A client for one node. It opens no connection before the first request.

    `names` are the node's names for templates (`port`, `leader.addr`, …). A kind that is not one of
    kvsim's protocols is `package.module:Class`, found beside node.yaml or on Python's path, and
    called as `Class(program, host, port, names)`. Raises UsageError for mistakes in node.yaml.
    """
    if any(form_of(request) for request in program.requests.values()):
        # Most programs have no such request.
        from kvsim.client.composition import compose

        return compose(program, lambda part: connect(part, host, port, names=names))
    kind = program.speak.kind
    if kind in protocol_names():
        extra_port = program.speak.settings.get("port")
        number = port if extra_port is None else int(names[f"ports.{extra_port}"])
        client: Client = _module(kind).connect(program, host, number, names)
        return client
    if ":" not in kind:
        known = ", ".join(protocol_names())
        what = f"`{kind}` is none of {known}, and not package.module:Class"
        raise UsageError(f"program {program.name}: speak: {what}")
    return _user_client(program, kind, host, port, names)


def _module(name: str) -> ModuleType:
    return import_module(f"{protocols.__name__}.{name}")


def _user_client(
    program: Program, kind: str, host: str, port: int, names: Mapping[str, str]
) -> Client:
    module, _, name = kind.partition(":")
    prefix = f"program {program.name}: speak: {kind}"
    try:
        with _importable(program.folder):
            client: Client = getattr(import_module(module), name)(program, host, port, names)
    except KvsimError:
        raise
    # The user's code may raise any exception.
    except Exception as error:
        raise UsageError(f"{prefix}: cannot be used: {type(error).__name__}: {error}") from error
    missing = [name for name in ("ask", "close") if not callable(getattr(client, name, None))]
    if missing:
        what = f"has no method {' and no method '.join(missing)}"
        raise UsageError(f"{prefix}: {what}; see kvsim.client.exchange.Client")
    return client


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Modules beside node.yaml can be imported inside."""
    path = str(folder.resolve())
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)
