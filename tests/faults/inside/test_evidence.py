"""What counters say of a broken disk: it bit, it did not, or nobody tried."""

from __future__ import annotations

import errno

import pytest

from kvsim.faults.disk.evidence import tell
from kvsim.faults.disk.rule import Rule
from kvsim.faults.preload.page import COUNTERS


def counts(**some: int) -> dict[str, int]:
    return {**dict.fromkeys(COUNTERS, 0), **some}


@pytest.mark.parametrize(
    ("rule", "seen", "bit", "says"),
    [
        (Rule("full"), {}, None, "nobody wrote"),
        (Rule("full"), {"writes_offered": 3}, None, "3 writes, none of which needed new room"),
        (
            Rule("full"),
            {"writes_offered": 3, "writes_refused": 1, "last_error": errno.ENOSPC},
            True,
            "1 of 3 writes refused: ENOSPC (No space left on device)",
        ),
        (Rule("failing"), {}, None, "nobody tried: 0 writes and 0 syncs"),
        (Rule("failing", percent=1), {"syncs_offered": 1}, None, "0 writes and 1 sync, none drawn to fail"),
        (
            Rule("failing", ("sync",)),
            {"syncs_offered": 2, "syncs_refused": 2, "last_error": errno.EIO},
            True,
            "2 of 2 syncs failed: EIO (Input/output error)",
        ),
        (Rule("slow", delay_s=0.02), {"writes_offered": 9}, None, "nobody synced"),
        (
            Rule("slow", delay_s=0.02),
            {"syncs_delayed": 2, "delayed_ns": 41_000_000},
            True,
            "2 syncs held, for 20.5 ms each",
        ),
        (
            Rule("slow", delay_s=0.02),
            {"syncs_delayed": 2, "delayed_ns": 2_000_000},
            False,
            "2 syncs held, for 1.0 ms each",
        ),
    ],
)
def test_a_receipt_is_what_was_counted(rule, seen, bit, says):
    assert tell(rule, counts(**seen)) == (bit, says)
