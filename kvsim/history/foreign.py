"""What the readers of other tools' histories share: the error that names a line, and the pairing of
beginnings with ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kvsim.errors import UsageError
from kvsim.history.operations import NEVER, OUTCOMES, Operations


class FormatError(UsageError):
    """A line of somebody's history that cannot be read. The message names file, line and what is wrong."""

    def __init__(self, file: str, line: int, what: str) -> None:
        self.file, self.line = file, line
        super().__init__(f"{file}:{line}: {what}")


@dataclass
class Pairing:
    """Operations whose beginning and end stand on different lines. One operation at a time for each process."""

    file: str
    operations: Operations = field(default_factory=Operations)
    open: dict[str, int] = field(default_factory=dict)  # process → row
    numbers: dict[str, int] = field(default_factory=dict)

    def begin(
        self, line: int, process: str, time: int, key: str, kind: str, value: str | None, expected: str | None
    ) -> None:
        """An invocation. Raises FormatError when the process is still busy."""
        if process in self.open:
            raise FormatError(
                self.file, line, f"process {process} begins an operation before its last one has ended"
            )
        number = self.numbers.setdefault(process, len(self.numbers))
        row = self.operations.add(time, None, number, key, kind, value, expected=expected, outcome="unknown")
        self.open[process] = row

    def end(
        self, line: int, process: str, time: int, outcome: str, key: str, kind: str, value: str | None
    ) -> None:
        """A completion; `value` is what a read saw. Raises FormatError when nothing like it has begun."""
        row = self.open.pop(process, None)
        if row is None:
            raise FormatError(self.file, line, f"process {process} ends an operation that it did not begin")
        begun = self.operations.operation(row)
        if (begun.key, begun.kind) != (key, kind):
            raise FormatError(
                self.file, line, f"process {process} began {begun.kind} {begun.key!r} but ends {kind} {key!r}"
            )
        if time < begun.call_ns:
            raise FormatError(self.file, line, f"process {process} ends an operation before it began")
        if kind == "get" and outcome == "ok":
            self.operations.value[row] = self.operations.values.number(value)
        self.operations.outcome[row] = OUTCOMES.index(outcome)
        self.operations.return_ns[row] = time
        return row

    def key_of(self, process: str) -> str | None:
        """The key of what a process is busy with."""
        row = self.open.get(process)
        return None if row is None else self.operations.operation(row).key

    def finished(self) -> Operations:
        """All operations; those that never ended stay unknown, without a return."""
        for row in self.open.values():
            self.operations.return_ns[row] = NEVER
        return self.operations
