"""Start a program once with some options, and see at once whether it listens where it should.

Quicker than a whole start: an end, or a port that was not asked for, is noticed when it happens.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from kvsim.config.command_words import beside
from kvsim.config.program import Role
from kvsim.config.template import render
from kvsim.doctor.discovery.draft import Draft
from kvsim.launcher.watchdog_guard import scratch
from kvsim.logs.log_file import LogFile
from kvsim.process.child import Child
from kvsim.process.environment import ProcessTag, clean_environment, new_run_tag
from kvsim.process.ports import Reservation, reserve
from kvsim.process.process_tree import members
from kvsim.process.sockets import LOOPBACK, listeners, listening
from kvsim.process.spawn import SpawnPlan, spawn
from kvsim.process.termination import KILL_NOW, stop_tree
from kvsim.timeouts import Timeouts

LISTEN_TIMEOUT_S = 8.0
# After a try that opened no port at all.
LATER_TIMEOUT_S = 2.0
# A program that listens on another port does not open the right one much later.
OTHER_PORT_WAIT_S = 0.3
OUTPUT_LINES = 30


class End(StrEnum):
    """What a try came to."""

    LISTENS = "listens on its port"
    ENDED = "ended"
    OTHER_PORT = "listens on another port"
    SILENT = "opens no port"


class StartTry(Struct, frozen=True):
    """One try: the command as it was run, what it came to, its output, the time it took."""

    command: str
    end: End
    how: str
    output: str
    took_s: float

    def describe(self) -> str:
        last = self.output.strip().splitlines()[-1:]
        return f"{self.command}: {self.how}" + (f"; {last[0].strip()[:160]}" if last else "")


class TryFolder:
    """A folder and ports for tries, one after another. A context manager."""

    def __init__(self, folder: Path, timeouts: Timeouts) -> None:
        self._folder, self._timeouts = folder, timeouts
        self._tag = ProcessTag(new_run_tag(), "n1")
        self._stack = ExitStack()
        self._number = 0
        self.tries: list[StartTry] = []

    def __enter__(self) -> TryFolder:
        self._scratch = self._stack.enter_context(scratch("kvsim-init-", self._tag.run))
        self._ports: Reservation = self._stack.enter_context(reserve(2, apart=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, draft: Draft, extra: tuple[str, ...] = ()) -> StartTry:
        """Try the draft as a leader, and end it again. Raises SpawnError."""
        self._number += 1
        folder = self._scratch / str(self._number)
        (folder / "data").mkdir(parents=True)
        names = self._names(draft, folder)
        words = [
            render(word, names)
            for word in (*draft.command, *draft.form.words_of(Role.LEADER), *extra)
        ]
        env = draft.form.env_of(Role.LEADER)
        variables = {name: render(text, names) for name, text in env.items()}
        plan = SpawnPlan(
            argv=(beside(self._folder, words[0]), *words[1:]),
            cwd=folder,
            env=clean_environment(self._tag, variables),
            stdout=folder / "log",
        )
        begin = time.monotonic()
        child = spawn(plan)
        try:
            end, how = self._wait(child, begin)
        finally:
            stop_tree(child, KILL_NOW, tag=self._tag)
        output = "\n".join(LogFile(folder / "log").last(OUTPUT_LINES))
        shown = " ".join([*(f"{name}={value}" for name, value in variables.items()), *words])
        shown = shown.replace(str(folder), "TMP").replace(f"{self._folder}/", "")
        found = StartTry(shown, end, how, output, time.monotonic() - begin)
        self.tries.append(found)
        return found

    def help_text(self, draft: Draft) -> str:
        """What it prints when it is asked for its options."""
        bare = Draft(draft.name, draft.command)
        return self.start(bare, ("--help",)).output

    def _wait(self, child: Child, begin: float) -> tuple[End, str]:
        port, elsewhere = self._ports.ports[0], 0.0
        silent = any(tried.end is End.SILENT for tried in self.tries)
        limit_s = LATER_TIMEOUT_S if silent else LISTEN_TIMEOUT_S
        limit_s *= self._timeouts.default_factor
        pause_s = 0.002
        while time.monotonic() - begin < limit_s:
            exit_status = child.poll()
            if exit_status is not None:
                return End.ENDED, f"it {exit_status.describe()}"
            if any(listener.reaches(LOOPBACK) for listener in listeners(port)):
                return End.LISTENS, End.LISTENS.value
            others = [found.port for found in listening(members(child.identity, self._tag))]
            elsewhere = (elsewhere or time.monotonic()) if others else 0.0
            wait_s = OTHER_PORT_WAIT_S * self._timeouts.default_factor
            if others and time.monotonic() - elsewhere > wait_s:
                ports = ", ".join(map(str, sorted(set(others))))
                return End.OTHER_PORT, f"it listens on port {ports}, not on {port}"
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.3, 0.02)
        return End.SILENT, f"it opens no port within {limit_s:g}s"

    def _names(self, draft: Draft, folder: Path) -> Mapping[str, str]:
        port, other = map(str, self._ports.ports)
        return {
            "name": "n1",
            "id": "1",
            "role": draft.form.role_words[0],
            "host": LOOPBACK,
            "port": port,
            "addr": f"{LOOPBACK}:{port}",
            "data_dir": str(folder / "data"),
            "program_dir": str(self._folder),
            "leader.name": "n1",
            "leader.host": LOOPBACK,
            "leader.port": other,
            "leader.addr": f"{LOOPBACK}:{other}",
        }
