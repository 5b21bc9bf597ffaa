"""The limit on the size of a node's files."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kvsim.faults.fault import FaultFailed
from kvsim.faults.file_size_limit import FileSizeLimit

# Above every pid.
GONE = 2**22 + 1


def test_a_process_that_ends_meanwhile_fails_the_fault_only(tmp_path):
    handle = SimpleNamespace(
        name="n1",
        data_dir=tmp_path,
        tree=lambda: [SimpleNamespace(pid=GONE)],
        logged=lambda pattern: False,
    )
    with pytest.raises(FaultFailed, match="n1: its files cannot be limited: No such process"):
        FileSizeLimit(handle).begin()
