"""One node as the launcher holds it: its place, the process of its present incarnation, its logs. Starts and stops nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.config.cluster import NodeSpec
from kvsim.config.names import Place
from kvsim.config.program import Program
from kvsim.logs.tail import LogFile
from kvsim.process.child import Child, Ended
from kvsim.process.environment import Mark
from kvsim.process.identity import Identity
from kvsim.process.netns import inside
from kvsim.waiting import Deadline

KEPT_BYTES_MAX = 4 << 20  # of each extra log, from its end


@dataclass(frozen=True)
class Orphan:
    """A process that an earlier kvsim started and left running: known by its identity, its exit status lost with its parent."""

    identity: Identity

    @property
    def pid(self) -> int:
        return self.identity.pid

    def poll(self) -> Ended | None:
        return None if self.identity.alive() else Ended()


@dataclass(frozen=True)
class Preload:
    """A library that is loaded into a node before its own, and the variables that it looks for there."""

    library: Path
    variables: Mapping[str, str]


@dataclass
class Node:
    """`process` is None before the first start. `incarnation` counts starts from 1. `preload` is for its own process, not for
    commands beside it.

    `extra_marks`: how long each log in the data directory was when this incarnation began. `known`: processes that belonged
    to this incarnation and may have left its tree (the parent of a daemon).
    """

    place: Place
    mark: Mark
    folder: Path
    preload: Preload | None = None
    incarnation: int = 0
    process: Child | Orphan | None = None
    log: LogFile | None = None
    end_wanted: bool = False  # its end was asked for by kvsim
    end_tolerated: str = ""  # why it may end by itself, where that is no fault of its own
    end_noted: bool = True  # its end is in the journal
    flooded: bool = False
    extra_marks: dict[Path, int] = field(default_factory=dict)
    known: list[Identity] = field(default_factory=list)
    net: int | None = None  # a handle on the network namespace it lives in; None: kvsim's own
    _extra: dict[Path, LogFile] = field(default_factory=dict)

    @property
    def spec(self) -> NodeSpec:
        return self.place.node

    @property
    def name(self) -> str:
        return self.place.node.name

    @property
    def program(self) -> Program:
        return self.place.node.program

    @property
    def address(self) -> tuple[str, int]:
        return self.place.host, self.place.port

    @property
    def data(self) -> Path:
        return Path(self.place.data_dir)

    @property
    def up(self) -> bool:
        """The process of the present incarnation lives; says nothing about whether it serves."""
        return self.process is not None and self.process.poll() is None

    def at_home(self) -> contextlib.AbstractContextManager[None]:
        """Where the node is: who looks for listeners, or connects without any link between, does it inside."""
        return inside(self.net)

    # --- what was done once for this data directory ------------------------------------------------------------------

    def did(self, what: str) -> bool:
        """Whether `did_now(what)` was ever said of this data directory, by any kvsim."""
        return self._done(what).exists()

    def did_now(self, what: str) -> None:
        self._done(what).touch()

    def _done(self, what: str) -> Path:
        return self.data.with_name(f"{self.data.name}.{what}")

    # --- logs --------------------------------------------------------------------------------------------------------

    def next_incarnation(self) -> None:
        """Count one start more; a log that is there already (of an `up` long ago) is never written to again."""
        self.incarnation += 1
        while self.log_path.exists():
            self.incarnation += 1
        self.extra_marks = {path: path.stat().st_size for path in self._extra_paths()}
        self._extra = {}

    @property
    def log_path(self) -> Path:
        return self.folder / f"{self.incarnation}.log"

    def extra_logs(self) -> list[LogFile]:
        """The logs in the data directory that `log: {extra: …}` names and that are there now."""
        return [self.extra_log(path) for path in self._extra_paths()]

    def extra_log(self, path: Path) -> LogFile:
        """One file in the data directory, watched as a log."""
        return self._extra.setdefault(path, LogFile(path))

    def begins_at(self, log: LogFile) -> int:
        """Where this incarnation's part of a log begins."""
        return self.extra_marks.get(log.path, 0)

    def search(self, pattern: str) -> bool:
        """True when any log of this incarnation has a line with the pattern."""
        logs = [self.log, *self.extra_logs()] if self.log else []
        return any(log.search(pattern, self.begins_at(log)) is not None for log in logs)

    def keep_extra_logs(self) -> None:
        """Copy this incarnation's part of the extra logs beside its own log, because the data directory does not stay."""
        for path in self._extra_paths():
            name = str(path.relative_to(self.data)).replace("/", "_").removesuffix(".log")
            with contextlib.suppress(OSError), path.open("rb") as file:
                start = max(self.extra_marks.get(path, 0), path.stat().st_size - KEPT_BYTES_MAX)
                file.seek(start)
                (self.folder / f"{self.incarnation}-{name}.log").write_bytes(file.read(KEPT_BYTES_MAX))

    def drain(self, deadline: Deadline) -> None:
        """Wait until all that a node on a pseudo-terminal wrote has reached its log."""
        if isinstance(self.process, Child):
            self.process.drained(deadline)

    def last_lines(self, count: int = 12) -> str:
        """The end of its logs, indented, for an error; says so when there is none."""
        logs = [self.log or LogFile(self.log_path), *self.extra_logs()]
        return "\n".join(tail(log, count) for log in logs)

    def _extra_paths(self) -> list[Path]:
        found = {path for glob in self.program.log.extra for path in self.data.glob(glob)}
        return sorted(path for path in found if path.is_file())


def tail(log: LogFile, count: int = 12) -> str:
    """The end of one log, indented."""
    lines = log.last(count)
    if not lines:
        return f"{log.path} is empty"
    return f"last lines of {log.path}:\n" + "\n".join(f"    {line}" for line in lines)


Note = Callable[..., None]  # journal.write, or nothing
