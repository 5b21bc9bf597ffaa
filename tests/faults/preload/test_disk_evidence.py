"""What counters show of a broken disk: an effect, no effect, or no traffic."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from kvsim.faults.disk import DiskRule, PreloadedLibrary, disk_effect
from kvsim.faults.preload.shared_memory import COUNTERS
from kvsim.process.usage import file_sizes


def counts(**not_zero: int) -> dict[str, int]:
    return {**dict.fromkeys(COUNTERS, 0), **not_zero}


@pytest.mark.parametrize(
    ("rule", "counted", "took_effect", "message"),
    [
        (DiskRule("full"), {}, None, "no writes"),
        (DiskRule("full"), {"writes_offered": 3}, None, "3 writes, none of which needed new space"),
        (
            DiskRule("full"),
            {"writes_offered": 3, "writes_refused": 1, "last_error": errno.ENOSPC},
            True,
            "1 of 3 writes refused: ENOSPC (No space left on device)",
        ),
        (DiskRule("failing"), {}, None, "0 writes and 0 syncs"),
        (
            DiskRule("failing", percent=1),
            {"syncs_offered": 1},
            None,
            "0 writes and 1 sync, none drawn to fail",
        ),
        (
            DiskRule("failing", ("sync",)),
            {"syncs_offered": 2, "syncs_refused": 2, "last_error": errno.EIO},
            True,
            "2 of 2 syncs failed: EIO (Input/output error)",
        ),
        (DiskRule("slow", delay_s=0.02), {"writes_offered": 9}, None, "no syncs"),
        (
            DiskRule("slow", delay_s=0.02),
            {"syncs_delayed": 2, "delayed_ns": 41_000_000},
            True,
            "2 syncs held, for 20.5 ms each",
        ),
        (
            DiskRule("slow", delay_s=0.02),
            {"syncs_delayed": 2, "delayed_ns": 2_000_000},
            False,
            "2 syncs held, for 1.0 ms each",
        ),
    ],
)
def test_the_evidence_is_what_was_counted(rule, counted, took_effect, message):
    assert disk_effect(rule, counts(**counted)) == (took_effect, message)


@pytest.mark.parametrize(
    ("rule", "offered", "took_effect"),
    [
        (DiskRule("full"), 0, False),
        (DiskRule("failing", calls=("write",)), 0, False),
        (DiskRule("full"), 1, None),
        (DiskRule("failing", calls=("sync",)), 0, None),
        (DiskRule("slow"), 0, None),
    ],
)
def test_a_file_that_grew_unseen_was_written_past_the_library(tmp_path, rule, offered, took_effect):
    page = dict.fromkeys(COUNTERS, 0)
    handle = SimpleNamespace(name="n1", data_dir=tmp_path)
    (tmp_path / "wal").write_bytes(b"old")
    method = PreloadedLibrary(handle, page, rule, file_sizes(tmp_path))
    assert "past the library" not in method.evidence().message
    (tmp_path / "wal").write_bytes(b"old and new")
    page["writes_offered"] = offered
    evidence = method.evidence()
    assert evidence.took_effect is took_effect
    assert ("wal grew: written past the library" in evidence.message) == (took_effect is False)
