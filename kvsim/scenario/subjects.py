"""Nodes as faults may touch them: joins the launcher's hands to kvsim.faults. Breaks nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kvsim.client.exchange import Request
from kvsim.faults.subject import Subject
from kvsim.history.outcome import Kind
from kvsim.launcher.launcher import Launcher
from kvsim.process.tree import members
from kvsim.scenario.context import Context


def subject(context: Context, name: str) -> Subject:
    """One node of a run, to be broken. Connections to it are dropped before it is ended."""
    return subject_of(context.launcher, name, lambda: context.sessions.drop(name))


def subject_of(launcher: Launcher, name: str, drop: Callable[[], None] = lambda: None) -> Subject:
    """One node of any cluster, to be broken; `drop` is called before it is ended."""
    node = launcher.nodes[name]

    def before(end: Callable[..., None], *words: str) -> None:
        drop()
        end(name, *words)

    def ended() -> str | None:
        process = node.process
        end = process.poll() if process else None
        return end.describe() if end else None if process else "was never started"

    def tolerate(why: str) -> bool:
        if not node.up:
            drop()
        return launcher.tolerate_end(name, why)

    return Subject(
        name=name,
        host=node.place.host,
        port=node.place.port,
        data_dir=Path(node.place.data_dir),
        tree=lambda: members(node.process.identity, node.mark) if node.process else [],
        ended=ended,
        kill=lambda signal: before(launcher.kill, signal),
        was_killed=lambda signal, why: before(launcher.was_killed, signal, why),
        stop=lambda: before(launcher.stop),
        start=lambda: launcher.start(name),
        at_home=node.at_home,
        ping=lambda timeout_s: _ping(launcher, name, timeout_s),
        logged=lambda pattern: launcher.log_has(name, pattern),
        tolerate=tolerate,
        limits=launcher.limits,
    )


def _ping(launcher: Launcher, name: str, timeout_s: float) -> str | None:
    """Ask once on a fresh connection; None when the node answered in words that its rules know."""
    program = launcher.nodes[name].program
    verb = "ping" if "ping" in program.requests else "get"
    client = launcher.connect(name)
    try:
        outcome = client.ask(
            Request(verb, {"key": "kvsim-is-anybody-there"} if verb == "get" else {}), timeout_s
        ).outcome
    finally:
        client.close()
    return None if outcome.kind is Kind.OK else outcome.detail or str(outcome.reason)
