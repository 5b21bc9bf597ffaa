"""Operations as a picture of text: one line each on an axis of ranks, faults as bands above them. Pure.

The axis has equal steps between the moments at which something began or ended, so that microseconds beside
seconds stay readable; the real times stand in the labels, counted from the first call. `>` means
that nobody knows the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsim.checks.consistency.answer import name_operation, plural
from kvsim.checks.consistency.roles import Roles
from kvsim.history.history import FaultSpan, History
from kvsim.history.operations import NEVER, UNKNOWN, Operations

WIDTH = 56
ROWS_DRAWN = 24  # more is not a picture any more


def picture(history: History, rows: Sequence[int]) -> str:
    """The operations at `rows` as lines of text, in the order given; empty for no rows."""
    if not rows:
        return ""
    operations = history.operations
    hidden, rows = rows[ROWS_DRAWN:], rows[:ROWS_DRAWN]
    ends = [_end(operations, row) for row in rows]
    begin_ns = min(operations.call_ns[row] for row in rows)
    end_ns = max((end for end in ends if end != NEVER), default=begin_ns)
    faults = [fault for fault in history.faults if fault.began_ns <= end_ns and fault.ended_ns >= begin_ns]
    axis = _Axis(operations, rows, ends, faults, (begin_ns, end_ns))
    several = len({operations.key[row] for row in rows}) > 1
    roles, positions = Roles(history.samples), log_positions(history, rows)
    labels = [_who(operations, roles, row) for row in rows]
    names = [f"fault {fault.name}" for fault in faults]
    left = max(map(len, labels + names))
    lines = [f"{name:>{left}}  {axis.band(fault)}" for name, fault in zip(names, faults, strict=True)]
    for row, end, label, position in zip(rows, ends, labels, positions, strict=True):
        bar = axis.bar(operations.call_ns[row], end)
        logged = "" if position is None else f"  log {position}"
        key = f"{operations.keys[operations.key[row]]}: " if several else ""
        lines.append(f"{label:>{left}}  {bar}  {key}{_what(operations, row, end, begin_ns)}{logged}")
    if hidden:
        lines.append(f"{'':>{left}}  … and {plural(len(hidden), 'operation')} more")
    return "\n".join(line.rstrip() for line in lines)


def log_positions(history: History, rows: Sequence[int]) -> tuple[int | None, ...]:
    """Where the writes among `rows` stand in the leader's log; None for what is no write, or is not in it
    just once.
    """
    wanted: dict[tuple[str, str | None], list[int]] = {}
    written = [history.operations.operation(row) for row in rows]
    for operation in written:
        if operation.kind in ("put", "cas"):
            wanted[operation.key, operation.value] = []
    for position, write in enumerate(history.leader_log or (), 1):
        if write in wanted:
            wanted[write].append(position)
    places = [wanted.get((operation.key, operation.value), []) for operation in written]
    return tuple(
        found[0] if len(found) == 1 and operation.kind in ("put", "cas") else None
        for found, operation in zip(places, written, strict=True)
    )


def _end(operations: Operations, row: int) -> int:
    return NEVER if operations.outcome[row] == UNKNOWN else operations.return_ns[row]


def _who(operations: Operations, roles: Roles, row: int) -> str:
    operation = operations.operation(row)
    role = roles.label(operation.node, operation.call_ns)
    where = f" {operation.node}" if operation.node else ""
    return f"client {operation.process}{where}" + (f" ({role})" if role else "")


def _what(operations: Operations, row: int, end: int, origin_ns: int) -> str:
    begin = _time(operations.call_ns[row] - origin_ns)
    until = "?" if end == NEVER else _time(end - origin_ns)
    return f"{name_operation(operations, row)}  [{begin}..{until}]"


def _time(nanoseconds: int) -> str:
    """Milliseconds; bare numbers below a microsecond, where a history counts lines rather than time."""
    return f"{nanoseconds / 1e6:.3f} ms" if nanoseconds >= 1_000 else str(nanoseconds)


class _Axis:
    """Columns of moments: equal steps between neighbouring ones."""

    def __init__(
        self,
        operations: Operations,
        rows: Sequence[int],
        ends: Sequence[int],
        faults: Sequence[FaultSpan],
        window: tuple[int, int],
    ) -> None:
        self.window = window
        moments = {operations.call_ns[row] for row in rows} | {end for end in ends if end != NEVER}
        moments |= {self._inside(time) for fault in faults for time in (fault.began_ns, fault.ended_ns)}
        steps = max(1, len(moments) - 1)
        width = min(WIDTH, 1 + 8 * steps)
        self.column = {time: rank * (width - 1) // steps for rank, time in enumerate(sorted(moments))}
        self.width = width + 1

    def _inside(self, time: int) -> int:
        return min(max(time, self.window[0]), self.window[1])

    def bar(self, begin: int, end: int) -> str:
        start = self.column[begin]
        stop = self.width - 1 if end == NEVER else self.column[end]
        tip = ">" if end == NEVER else "|"
        return (" " * start + "|" + "-" * (stop - start - 1) + tip * (stop > start)).ljust(self.width)

    def band(self, fault: FaultSpan) -> str:
        start, stop = self.column[self._inside(fault.began_ns)], self.column[self._inside(fault.ended_ns)]
        return (" " * start + "▒" * (stop - start + 1)).ljust(self.width)
