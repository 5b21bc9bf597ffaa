"""Operations drawn as text: one line each on an axis of ranks, with faults as bands above. Pure.

The axis has equal steps between the times at which an operation or fault began or ended, so that
microseconds beside seconds stay readable. The labels have the real times, counted from the first
call. A bar that ends with `>` has no known end.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsim.checks.consistency.result import describe_operation
from kvsim.checks.consistency.role_periods import RolePeriods
from kvsim.history.history import FaultSpan, History
from kvsim.history.operations import NEVER, UNKNOWN, WRITES_WHOLE_VALUE, Operations
from kvsim.text import plural

WIDTH = 56
# More rows are not readable as a timeline.
ROWS_MAX = 24
# Findings of one check that get a timeline.
TIMELINES_MAX = 3


def draw_timeline(history: History, rows: Sequence[int], blocked: int | None = None) -> str:
    """The operations at `rows` as lines of text, in the order given; empty for no rows.

    `blocked` is the row of an operation that cannot happen beside the others; it is marked.
    """
    if not rows:
        return ""
    operations = history.operations
    hidden, rows = rows[ROWS_MAX:], rows[:ROWS_MAX]
    ends = [_end(operations, row) for row in rows]
    begin_ns = min(operations.call_ns[row] for row in rows)
    end_ns = max((end for end in ends if end != NEVER), default=begin_ns)
    faults = [
        fault for fault in history.faults if fault.began_ns <= end_ns and fault.ended_ns >= begin_ns
    ]
    axis = _Axis(operations, rows, ends, faults, (begin_ns, end_ns))
    several_keys = len({operations.key[row] for row in rows}) > 1
    roles, positions = RolePeriods(history.samples), log_positions(history, rows)
    labels = [_client_label(operations, roles, row) for row in rows]
    names = [f"fault {fault.name}" for fault in faults]
    left = max(map(len, labels + names))
    lines = [
        f"{name:>{left}}  {axis.band(fault)}" for name, fault in zip(names, faults, strict=True)
    ]
    for row, end, label, position in zip(rows, ends, labels, positions, strict=True):
        bar = axis.bar(operations.call_ns[row], end)
        logged = "" if position is None else f"  log {position}"
        key = f"{operations.keys[operations.key[row]]}: " if several_keys else ""
        text = _operation_label(operations, row, end, begin_ns)
        mark = "  ← cannot be placed" if row == blocked else ""
        lines.append(f"{label:>{left}}  {bar}  {key}{text}{logged}{mark}")
    if hidden:
        lines.append(f"{'':>{left}}  … and {plural(len(hidden), 'operation')} more")
    return "\n".join(line.rstrip() for line in lines)


def draw_first_timelines(history: History, rows: Sequence[int], number: int) -> str:
    """The timeline of a check's finding `number`, from 0; empty after the first few findings."""
    return draw_timeline(history, rows) if number < TIMELINES_MAX else ""


def log_positions(history: History, rows: Sequence[int]) -> tuple[int | None, ...]:
    """The position in the leader's log of each write among `rows`.

    None for an operation that is no write, or that the log does not have exactly once.
    """
    positions: dict[tuple[str, str | None], list[int]] = {}
    operations = [history.operations.operation(row) for row in rows]
    identified = [history.operations.kind[row] in WRITES_WHOLE_VALUE for row in rows]
    for operation, is_write in zip(operations, identified, strict=True):
        if is_write:
            positions[operation.key, operation.value] = []
    for position, write in enumerate(history.leader_log or (), 1):
        if write in positions:
            positions[write].append(position)
    found = [positions.get((operation.key, operation.value), []) for operation in operations]
    return tuple(
        of_write[0] if len(of_write) == 1 and is_write else None
        for of_write, is_write in zip(found, identified, strict=True)
    )


def _end(operations: Operations, row: int) -> int:
    return NEVER if operations.outcome[row] == UNKNOWN else operations.return_ns[row]


def _client_label(operations: Operations, roles: RolePeriods, row: int) -> str:
    operation = operations.operation(row)
    role = roles.label(operation.node, operation.call_ns)
    node = f" {operation.node}" if operation.node else ""
    return f"client {operation.process}{node}" + (f" ({role})" if role else "")


def _operation_label(operations: Operations, row: int, end: int, origin_ns: int) -> str:
    begin = _format_time(operations.call_ns[row] - origin_ns)
    until = "?" if end == NEVER else _format_time(end - origin_ns)
    return f"{describe_operation(operations, row)}  [{begin}..{until}]"


def _format_time(nanoseconds: int) -> str:
    """Milliseconds; a bare number below a microsecond, where a history counts lines, not time."""
    return f"{nanoseconds / 1e6:.3f} ms" if nanoseconds >= 1_000 else str(nanoseconds)


class _Axis:
    """Times as columns of text: equal steps between neighbouring times.

    `window` is the first call and the last return; faults are cut off outside it.
    """

    def __init__(
        self,
        operations: Operations,
        rows: Sequence[int],
        ends: Sequence[int],
        faults: Sequence[FaultSpan],
        window: tuple[int, int],
    ) -> None:
        self.window = window
        times = {operations.call_ns[row] for row in rows} | {end for end in ends if end != NEVER}
        times |= {self._clip(time) for fault in faults for time in (fault.began_ns, fault.ended_ns)}
        steps = max(1, len(times) - 1)
        width = min(WIDTH, 1 + 8 * steps)
        self.column = {time: rank * (width - 1) // steps for rank, time in enumerate(sorted(times))}
        self.width = width + 1

    def _clip(self, time: int) -> int:
        return min(max(time, self.window[0]), self.window[1])

    def bar(self, begin: int, end: int) -> str:
        start = self.column[begin]
        stop = self.width - 1 if end == NEVER else self.column[end]
        tip = ">" if end == NEVER else "|"
        bar = " " * start + "|" + "-" * (stop - start - 1) + tip * (stop > start)
        return bar.ljust(self.width)

    def band(self, fault: FaultSpan) -> str:
        start = self.column[self._clip(fault.began_ns)]
        stop = self.column[self._clip(fault.ended_ns)]
        return (" " * start + "▒" * (stop - start + 1)).ljust(self.width)
