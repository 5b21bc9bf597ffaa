"""`sessions` with numpy: who had read and who had written before each operation, for all clients at
once. Fills in the same as `sessions.bind`; tests hold them equal.
"""

from __future__ import annotations

from typing import Any

from kvsim.history.numpy_module import numpy
from kvsim.history.operations import Operations


def bind(
    operations: Operations, mask: bytes, is_read: bytes, of_state: bytes
) -> tuple[bytes, set[int]]:
    """A byte for each row, and the clients with two requests at once; of the rows in `mask`.

    A byte is 0 for rows that are not in `mask`, else the entry of `of_state` at twice what the
    client had done before (1: a read, 2: a write, 3: both), plus 1 for a read. `is_read` has a byte
    a row. Raises RuntimeError without numpy.
    """
    np = numpy()
    if np is None:
        raise RuntimeError("numpy is not installed")
    rows = np.flatnonzero(np.frombuffer(mask, np.int8))
    rows = rows[_by_client(np, operations, rows)]
    process = np.frombuffer(operations.process, np.int64)[rows]
    begins = np.append(True, process[1:] != process[:-1])[: len(rows)]
    late = np.frombuffer(operations.return_ns, np.int64)[rows[:-1]]
    overlap = ~begins[1:] & (np.frombuffer(operations.call_ns, np.int64)[rows[1:]] <= late)
    concurrent = set(process[1:][overlap].tolist())
    del process, late, overlap
    # The columns below are as long as the history: 32 bits are enough, and half the memory.
    reads = np.frombuffer(is_read, np.int8)[rows]
    reads_before = np.cumsum(reads, dtype=np.int32) - reads
    begin = np.flatnonzero(begins).astype(np.int32)
    lengths = np.diff(begin, append=np.int32(len(rows)))
    reads_before -= np.repeat(reads_before[begin], lengths)
    before = np.arange(len(rows), dtype=np.int32)
    before -= np.repeat(begin, lengths)
    has_read, has_written = reads_before > 0, before > reads_before
    del before, reads_before
    state = 2 * (has_read + 2 * has_written.astype(np.int8)) + reads
    bound = np.zeros(len(operations), np.uint8)
    bound[rows] = np.frombuffer(of_state, np.uint8)[state]
    filled: bytes = bound.tobytes()
    return filled, concurrent


def _by_client(np: Any, operations: Operations, rows: Any) -> Any:
    """The order of `rows` by client, and of each client's by call."""
    call = np.frombuffer(operations.call_ns, np.int64)[rows]
    process = np.frombuffer(operations.process, np.int64)[rows]
    order = np.argsort(process, kind="stable")
    if _goes_back(call[order], process[order]):
        return np.lexsort((call, process))
    return order


def _goes_back(call: Any, process: Any) -> bool:
    """Is a client's operation called before the one above it? The columns are by client."""
    return bool(((process[1:] == process[:-1]) & (call[1:] < call[:-1])).any())
