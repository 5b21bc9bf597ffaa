"""Faults that take nodes down: kill (any signal) and restart (an orderly stop). Healing starts the nodes again.

Receipt: the process ended in the way that was asked for, and its port refuses connections.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsim.errors import KvsimError, NodeFailed
from kvsim.faults.fault import Healing, Receipt
from kvsim.faults.subject import Subject

CONNECT_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Down:
    """Nodes that are ended when it begins and started again when it heals."""

    kind: str
    subjects: tuple[Subject, ...]
    end_one: Callable[[Subject], None]
    settings: Mapping[str, Any]

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(subject.name for subject in self.subjects)

    def plan(self) -> Mapping[str, Any]:
        return self.settings

    def begin(self) -> Sequence[Receipt]:
        for subject in self.subjects:
            self.end_one(subject)
        return [receipt_of_end(subject) for subject in self.subjects]

    def end(self) -> Sequence[Receipt]:
        return ()

    def heal(self) -> Sequence[Healing]:
        return [started_again(subject) for subject in self.subjects]


def kill(subjects: Sequence[Subject], signal: str = "KILL") -> Down:
    """Send a signal that the nodes are to die of."""
    return Down("kill", tuple(subjects), lambda subject: subject.kill(signal), {"signal": signal})


def restart(subjects: Sequence[Subject]) -> Down:
    """Stop the nodes in order."""
    return Down("restart", tuple(subjects), lambda subject: subject.stop(), {})


def receipt_of_end(subject: Subject) -> Receipt:
    """The wait status, and what a connection to the port meets."""
    with subject.at_home():
        ended, port = subject.ended(), refuses(subject.host, subject.port)
    says = f"{subject.name} {ended or 'lives on'}; its port {port or 'refuses connections'}"
    return Receipt(
        subject.name, ended is not None and port is None, says, {"ended": ended, "port": port or "refused"}
    )


def refuses(host: str, port: int) -> str | None:
    """None when a connection is refused, else what happened instead."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S):
            return "still accepts connections"
    except ConnectionRefusedError:
        return None
    except OSError as error:
        return f"answers with: {error}"


def started_again(subject: Subject) -> Healing:
    """Start the node unless it runs; it counts as healed when it is ready, by the program's own probes."""
    if subject.ended() is None:
        return Healing(subject.name, True, f"{subject.name} runs")
    try:
        subject.start()
    except (NodeFailed, KvsimError) as error:
        return Healing(subject.name, False, f"{subject.name} did not come back: {str(error).splitlines()[0]}")
    return Healing(subject.name, True, f"{subject.name} is ready again")
