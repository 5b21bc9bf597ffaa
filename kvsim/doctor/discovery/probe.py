"""Start a draft as a leader, or as a leader and followers, and send it requests.

Every wait has a limit.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from kvsim.client.connect import connect
from kvsim.client.exchange import Exchange, Request
from kvsim.doctor.discovery.draft import Draft, program_of
from kvsim.doctor.program_under_test import ProgramUnderTest, RunningProgram
from kvsim.errors import KvsimError, NodeFailed
from kvsim.timeouts import PLAIN, Timeouts

ASK_TIMEOUT_S = 2.0
# For a protocol that is only a guess: a program that does not speak it often stays silent.
GUESS_TIMEOUT_S = 0.4


class StartedDraft(Struct, frozen=True):
    """A draft's running nodes: `n1` is the leader, `n2` the first follower.

    `took_s` is the time from the start to the readiness of all.
    """

    running: RunningProgram
    folder: Path
    timeouts: Timeouts = PLAIN
    took_s: float = 0.0

    def ask(
        self, draft: Draft, node: str, verb: str, key: str, value: str = "", *, guess: bool = False
    ) -> Exchange | None:
        """One request as `draft` writes it; None when it cannot be sent.

        A node that a request has ended is started again.
        """
        launcher = self.running.launcher
        if not launcher.nodes[node].up:
            try:
                launcher.start(node)
            except KvsimError:
                return None
        timeout_s = (GUESS_TIMEOUT_S if guess else ASK_TIMEOUT_S) * self.timeouts.default_factor
        try:
            client = connect(
                program_of(draft, self.folder),
                *launcher.nodes[node].address.host_port,
                names=launcher.names(node),
            )
            try:
                return client.ask(Request(verb, {"key": key, "value": value}), timeout_s).exchange
            finally:
                client.close()
        except KvsimError:
            return None

    def port(self, node: str) -> int:
        return self.running.launcher.nodes[node].address.port

    def log_lines(self, node: str, count: int) -> list[str]:
        """The first lines of a node's log, since its last start."""
        lines = itertools.islice(self.running.log_of(node).lines(), count)
        return [line.text for line in lines]


@contextlib.contextmanager
def started(
    draft: Draft, folder: Path, timeouts: Timeouts = PLAIN, *, followers: int = 0
) -> Iterator[StartedDraft]:
    """Start a leader and followers. Raises NodeFailed, SpawnError."""
    program = program_of(draft, folder, timeouts)
    begin = time.monotonic()
    with ProgramUnderTest(program, followers=followers).start() as running:
        yield StartedDraft(running, folder, timeouts, time.monotonic() - begin)


def start_again(probe: StartedDraft, node: str) -> bool:
    """Start a node that was stopped; whether it came back."""
    try:
        probe.running.launcher.start(node)
    except NodeFailed:
        return False
    return True
