"""Print docs/reference/ from the code's tables: `make docs`. A test compares the pages with it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from kvsim import pytest_plugin
from kvsim.api import session
from kvsim.api.cluster import ClusterFactory, LiveCluster, LiveNode, Reply
from kvsim.checks.registry import CHECKS
from kvsim.cli import SUMMARIES, command_parser
from kvsim.config.schema.export import record_markdown, reference_markdown
from kvsim.errors import NodeFailed, UsageError
from kvsim.faults.registry import fault_kinds
from kvsim.runner.registry import REGISTRY

FOLDER = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """File name → text, for every reference page."""
    languages = {
        f"{kind}.md": reference_markdown(kind, REGISTRY)
        for kind in ("cluster", "program", "scenario", "plan")
    }
    return {
        **languages,
        "api.md": _api(),
        "checks.md": _checks(),
        "commands.md": _commands(),
        "faults.md": _faults(),
    }


CHECKS_HEAD = """\
# Checks

Every run is judged by all of them. A scenario's `checks:` lists those that must be exercised: if
one is not, the run is invalid.

| check | what it holds | what it judges |
| --- | --- | --- |
"""


def _checks() -> str:
    rows = (f"| `{check.name}` | {check.about} | {check.judges} |\n" for check in CHECKS.values())
    return CHECKS_HEAD + "".join(rows)


FAULTS_HEAD = """\
# Faults

A fault counts only with evidence that it took effect. It is written as a step with the verb `fault`
([scenario.md](scenario.md)). `*` marks a required setting.

| fault | what it does | evidence | it has recovered when | a storm can draw it |
| --- | --- | --- | --- | --- |
"""


def _faults() -> str:
    rows = (
        f"| `{kind.name}` | {kind.description} | {kind.evidence} | {kind.recovery} | "
        f"{'yes' if kind.draw else 'no'} |\n"
        for kind in fault_kinds().values()
    )
    settings = (record_markdown(f"`{kind.name}`", kind.record()) for kind in fault_kinds().values())
    return FAULTS_HEAD + "".join(rows) + "\n" + "".join(settings)


def _commands() -> str:
    parts = [
        f"## kvsim {name}\n\n```text\n{command_parser(name).format_help().rstrip()}\n```\n"
        for name in SUMMARIES
    ]
    return "# Commands\n\n" + "\n".join(parts)


API_HEAD = """\
# Python API

Printed from the docstrings. The fixtures are there in every test once kvsim is installed
([pytest](../pytest.md)); without pytest, `open_session` opens a cluster.
"""
API = {
    "Fixtures": (pytest_plugin.kv_cluster, pytest_plugin.cluster_factory, ClusterFactory.__call__),
    "A cluster": (LiveCluster,),
    "A node": (LiveNode,),
    "A reply": (Reply,),
    "Without pytest": (session.open_session, session.SessionOptions, session.Session),
    "Errors": (NodeFailed, UsageError),
}


def _api() -> str:
    sections = (
        f"\n## {title}\n" + "".join(map(_documented, things)) for title, things in API.items()
    )
    return API_HEAD + "".join(sections)


def _documented(thing: Any) -> str:
    """A function, or a class with its public members."""
    if inspect.isclass(thing):
        return "".join(_class(thing))
    # A fixture hides its function.
    function = inspect.unwrap(thing)
    if function is ClusterFactory.__call__:
        return _entry(f"cluster_factory{_signature(function)}", function)
    is_fixture = function.__module__ == pytest_plugin.__name__
    name = function.__name__
    return _entry(name if is_fixture else f"{name}{_signature(function)}", function)


def _class(kind: type) -> Iterator[str]:
    head = f"{kind.__module__}.{kind.__name__}"
    yield _entry(f"{head}{_signature(kind)}" if is_dataclass(kind) else head, kind)
    for name, member in vars(kind).items():
        function = member.fget if isinstance(member, property) else inspect.unwrap(member)
        if name == "__getitem__":
            yield _entry("[name]", function)
        elif not name.startswith("_") and inspect.isfunction(function):
            is_property = isinstance(member, property)
            yield _entry(f".{name}{'' if is_property else _signature(function)}", function)


def _entry(head: str, thing: Any) -> str:
    level = "####" if head.startswith((".", "[")) else "###"
    return f"\n{level} `{head}`\n\n{inspect.getdoc(thing)}\n"


def _signature(thing: Callable[..., Any]) -> str:
    """The parameters with their types and defaults, and what is returned."""
    signature = inspect.signature(thing)
    parts = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in "".join(parts):
            parts.append("*")
        if parameter.name != "self":
            parts.append(_parameter(parameter))
    returned = signature.return_annotation
    arrow = "" if returned in (signature.empty, "None", None) else f" → {_returned(returned)}"
    return f"({', '.join(parts)}){arrow}"


def _returned(annotation: str) -> str:
    """Only context managers have such a type here: what they give is in the brackets."""
    match = re.fullmatch(r"(?:Iterator|contextlib\.AbstractContextManager)\[(.*)\]", annotation)
    if match is None:
        return annotation
    return "context manager" + ("" if match[1] == "None" else f" of {match[1]}")


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}: {parameter.annotation}"
    if parameter.default is parameter.empty:
        return text
    # A default that is made for each object has no value to show.
    made = "factory" in repr(parameter.default)
    return f"{text} = {'…' if made else repr(parameter.default)}"


def main() -> int:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
