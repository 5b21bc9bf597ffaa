"""What was counted inside a node says of its disk: it bit, it did not, or nobody tried. Pure."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping

from kvsim.faults.disk.rule import Rule

SLACK = 0.99  # of the time that a sync is held

Counts = Mapping[str, int]
Told = tuple[bool | None, str]


def tell(rule: Rule, counts: Counts) -> Told:
    """Whether a fault of this disk bit, and the sentence."""
    return TELL[rule.how](rule, counts)


def _full(rule: Rule, counts: Counts) -> Told:
    offered, refused = counts["writes_offered"], counts["writes_refused"]
    if refused:
        return True, f"{refused} of {_many(offered, 'write')} refused: {named(counts['last_error'])}"
    return None, f"{_many(offered, 'write')}, none of which needed new room" if offered else "nobody wrote"


def _failing(rule: Rule, counts: Counts) -> Told:
    offered = {"write": counts["writes_offered"], "sync": counts["syncs_offered"]}
    refused = {"write": counts["writes_refused"], "sync": counts["syncs_refused"]}
    if any(refused.values()):
        met = " and ".join(f"{refused[call]} of {_many(offered[call], call)}" for call in rule.calls)
        return True, f"{met} failed: {named(counts['last_error'])}"
    tried = " and ".join(_many(offered[call], call) for call in rule.calls)
    return None, f"{tried}, none drawn to fail" if any(offered.values()) else f"nobody tried: {tried}"


def _slow(rule: Rule, counts: Counts) -> Told:
    delayed = counts["syncs_delayed"]
    if not delayed:
        return None, "nobody synced"
    mean_s = counts["delayed_ns"] / delayed / 1e9
    return mean_s >= rule.delay_s * SLACK, f"{_many(delayed, 'sync')} held, for {mean_s * 1000:.1f} ms each"


def named(error: int) -> str:
    """An errno with its name: ENOSPC (No space left on device)."""
    return f"{errno.errorcode.get(error, str(error))} ({os.strerror(error)})"


def _many(count: int, call: str) -> str:
    return f"{count} {call}{'' if count == 1 else 's'}"


TELL: dict[str, Callable[[Rule, Counts], Told]] = {"full": _full, "failing": _failing, "slow": _slow}
