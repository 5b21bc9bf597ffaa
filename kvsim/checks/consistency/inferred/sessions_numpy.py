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
    call = np.frombuffer(operations.call_ns, np.int64)[rows]
    process = np.frombuffer(operations.process, np.int64)[rows]
    order = np.argsort(process, kind="stable")
    if _goes_back(call[order], process[order]):
        order = np.lexsort((call, process))
    rows, call, process = rows[order], call[order], process[order]
    returned = np.frombuffer(operations.return_ns, np.int64)[rows]
    reads = np.frombuffer(is_read, np.int8)[rows].astype(np.int64)
    same = process[1:] == process[:-1]
    concurrent = set(process[1:][same & (call[1:] <= returned[:-1])].tolist())
    # Where each client begins, and how much all clients had done until there.
    begin = np.concatenate(([True], ~same))[: len(rows)]
    client = np.cumsum(begin) - 1
    read_before = np.cumsum(reads) - reads
    write_before = np.cumsum(1 - reads) - (1 - reads)
    has_read = read_before > read_before[begin][client]
    has_written = write_before > write_before[begin][client]
    state = 2 * (has_read + 2 * has_written) + reads
    bound = np.zeros(len(operations), np.uint8)
    bound[rows] = np.frombuffer(of_state, np.uint8)[state]
    filled: bytes = bound.tobytes()
    return filled, concurrent


def _goes_back(call: Any, process: Any) -> bool:
    """Is a client's operation called before the one above it? The columns are by client."""
    return bool(((process[1:] == process[:-1]) & (call[1:] < call[:-1])).any())
