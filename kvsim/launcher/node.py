"""One node as the launcher holds it: its place, the process of its present incarnation, its log. Starts and stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.config.cluster import NodeSpec
from kvsim.config.names import Place
from kvsim.config.program import Program
from kvsim.logs.tail import LogFile
from kvsim.process.child import Child, Ended
from kvsim.process.environment import Mark
from kvsim.process.identity import Identity


@dataclass(frozen=True)
class Orphan:
    """A process that an earlier kvsim started and left running: known by its identity, its exit status lost with its parent."""

    identity: Identity

    @property
    def pid(self) -> int:
        return self.identity.pid

    def poll(self) -> Ended | None:
        return None if self.identity.alive() else Ended()


@dataclass
class Node:
    """`process` is None before the first start. `incarnation` counts starts from 1."""

    place: Place
    mark: Mark
    folder: Path
    incarnation: int = 0
    process: Child | Orphan | None = None
    log: LogFile | None = None
    end_wanted: bool = False  # its end was asked for by kvsim
    end_noted: bool = True  # its end is in the journal
    flooded: bool = False
    initialised: bool = False
    known: list[Identity] = field(default_factory=list)

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
    def up(self) -> bool:
        """The process of the present incarnation lives; says nothing about whether it serves."""
        return self.process is not None and self.process.poll() is None

    def next_incarnation(self) -> None:
        """Count one start more; a log that is there already (of an `up` long ago) is never written to again."""
        self.incarnation += 1
        while self.log_path.exists():
            self.incarnation += 1

    @property
    def log_path(self) -> Path:
        return self.folder / f"{self.incarnation}.log"

    def last_lines(self, count: int = 12) -> str:
        """The end of its log, indented, for an error; says so when there is none."""
        lines = self.log.last(count) if self.log else []
        if not lines:
            return f"{self.log_path} is empty"
        return f"last lines of {self.log_path}:\n" + "\n".join(f"    {line}" for line in lines)


Note = Callable[..., None]  # journal.write, or nothing
