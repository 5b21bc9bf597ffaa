"""A node that a launcher runs: its address, its process, its logs. Starts and stops nothing.

The process and the logs are those of the present incarnation; each start of a node is an
incarnation.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct, field

from kvsim.config.cluster import NodeSpec
from kvsim.config.program import Program
from kvsim.errors import KvsimError
from kvsim.folders import find_paths
from kvsim.launcher.command_plan import PlannedStopStep
from kvsim.logs.file_marks import NO_MARKS, FileMarks, mark_files
from kvsim.logs.log_file import LogFile
from kvsim.network.addresses import NodeAddress
from kvsim.process.child import Child, ExitStatus
from kvsim.process.environment import ProcessTag
from kvsim.process.identity import Identity
from kvsim.process.netns import in_namespace
from kvsim.process.process_tree import Snapshot
from kvsim.waiting import Deadline

# Of each extra log, from its end.
KEPT_BYTES_MAX = 4 << 20
LAST_LINES = 12

# Writes an event and its fields to the journal, or drops it.
Note = Callable[..., None]


def isolated_data(folder: Path) -> Path:
    """Where the node with this folder has a copy of its data, when it is started in isolation."""
    return folder / "alone" / "data"


def note_nothing(kind: str, **fields: object) -> None:
    """A Note that drops every event."""


class Orphan(Struct, frozen=True):
    """A process that an earlier kvsim started and left running.

    Only its identity is known; its exit status went to its parent.
    """

    identity: Identity

    @property
    def pid(self) -> int:
        return self.identity.pid

    def poll(self) -> ExitStatus | None:
        return None if self.identity.alive() else ExitStatus()


class Preload(Struct, frozen=True):
    """A library that is loaded into a node before its own, and the variables that it reads.

    `preparing` is entered around what is done in the data directory before the node starts.
    """

    library: Path
    variables: Mapping[str, str]
    preparing: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


class Node(Struct):
    """A node. `incarnation` counts its starts from 1; `process` is None before the first start.

    `preload` is for the node's process, not for the commands beside it. `net` is a handle of its
    network namespace; None is kvsim's own. `known` are processes that belonged to this incarnation
    and may have left its tree (the parent of a daemon). `marks`: what the files in the data
    directory held when this incarnation began. `stop_steps`: how it is stopped, as decided when it
    was started. `look`: how the process table is read.

    How its end is judged: `end_requested`, kvsim requested it; `end_tolerated`, why its end by
    itself is not its failure; `end_noted`, the journal has it; `flooded`, kvsim killed it
    because its log grew without limit.
    """

    address: NodeAddress
    tag: ProcessTag
    folder: Path
    preload: Preload | None = None
    incarnation: int = 0
    process: Child | Orphan | None = None
    end_requested: bool = False
    end_tolerated: str = ""
    end_noted: bool = True
    flooded: bool = False
    marks: FileMarks = NO_MARKS
    known: list[Identity] = field(default_factory=list)
    net: int | None = None
    stop_steps: tuple[PlannedStopStep, ...] = ()
    look: Callable[[], Snapshot] = Snapshot
    _logs: dict[Path, LogFile] = field(default_factory=dict)

    @property
    def spec(self) -> NodeSpec:
        return self.address.node

    @property
    def name(self) -> str:
        return self.address.node.name

    @property
    def program(self) -> Program:
        return self.address.node.program

    @property
    def data(self) -> Path:
        return Path(self.address.data_dir)

    @property
    def started_process(self) -> Child | Orphan:
        """The process of the present incarnation. Raises KvsimError before the first start."""
        if self.process is None:
            raise KvsimError(f"node {self.name} was never started")
        return self.process

    @property
    def up(self) -> bool:
        """The process of the present incarnation runs. It may not serve yet, or no longer."""
        return self.process is not None and self.process.poll() is None

    def tree(
        self, known: list[Identity] | None = None, snapshot: Snapshot | None = None
    ) -> list[Identity]:
        """The living processes of the present incarnation, its own first; now, or in `snapshot`."""
        if self.process is None:
            return []
        return (snapshot or self.look()).members(self.process.identity, self.tag, known or ())

    def in_network_namespace(self) -> contextlib.AbstractContextManager[None]:
        """Inside, this thread is in the node's namespace: there it finds the node's listeners, and
        connects without any link."""
        return in_namespace(self.net)

    # --- actions that happen once for each data directory -----------------------------------------

    def is_done(self, action: str) -> bool:
        """Whether `mark_done(action)` was called for this data directory, by any kvsim."""
        return self._done_file(action).exists()

    def mark_done(self, action: str) -> None:
        self._done_file(action).touch()

    def _done_file(self, action: str) -> Path:
        return self.data.with_name(f"{self.data.name}.{action}")

    # --- logs -------------------------------------------------------------------------------------

    def next_incarnation(self) -> None:
        """Count another start.

        Skips the number of a log that exists already (of an earlier `up`): it is never written to
        again.
        """
        self.incarnation += 1
        while self.log_path.exists():
            self.incarnation += 1
        self.marks = mark_files(self.data) if self.program.logs_to_files else NO_MARKS
        self._logs = {}

    @property
    def log_path(self) -> Path:
        return self.folder / f"{self.incarnation}.log"

    @property
    def log(self) -> LogFile:
        """The output of the present incarnation."""
        return self.log_at(self.log_path)

    def extra_logs(self) -> list[LogFile]:
        """The logs in the data directory that `log: {extra: …}` names and that exist now."""
        return [self.log_at(path) for path in self.extra_log_paths()]

    def log_at(self, path: Path) -> LogFile:
        """This incarnation's part of a file, as a log. It remembers how far it was searched."""
        return self._logs.setdefault(path, LogFile(path, self.marks))

    def search(self, pattern: str) -> bool:
        """Whether a log of this incarnation has a line with the pattern."""
        logs = [] if self.process is None else [self.log, *self.extra_logs()]
        return any(log.search(pattern) is not None for log in logs)

    def keep_extra_logs(self) -> None:
        """Copy this incarnation's part of the extra logs, because the data directory is removed."""
        for path in self.extra_log_paths():
            name = str(path.relative_to(self.data)).replace("/", "_").removesuffix(".log")
            copy = self.folder / f"{self.incarnation}-{name}.log"
            with contextlib.suppress(OSError), path.open("rb") as file:
                found = os.fstat(file.fileno())
                first = self.marks.begin(file.fileno(), found)
                file.seek(max(first, found.st_size - KEPT_BYTES_MAX))
                copy.write_bytes(file.read(KEPT_BYTES_MAX))

    def drain(self, deadline: Deadline) -> None:
        """Wait until all output of a node on a pseudo-terminal has reached its log."""
        if isinstance(self.process, Child):
            self.process.drained(deadline)

    def last_lines(self, count: int = LAST_LINES) -> str:
        """The end of its logs, for an error message."""
        return "\n".join(describe_end(log, count) for log in (self.log, *self.extra_logs()))

    def extra_log_paths(self) -> list[Path]:
        """The files in the data directory that are logs, as far as they exist now."""
        found = {path for glob in self.program.log.extra for path in find_paths(self.data, glob)}
        return sorted(path for path in found if path.is_file())


def describe_end(log: LogFile, count: int = LAST_LINES) -> str:
    """The last lines of a log, indented, for an error message."""
    lines = log.last(count)
    if not lines:
        return f"{log.path} is empty"
    return f"last lines of {log.path}:\n" + "\n".join(f"    {line}" for line in lines)
