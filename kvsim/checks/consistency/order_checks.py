"""The checks that need the leader's order of writes: `prefix` and the session guarantees.

With the leader's log they are judged by `prefix` and
`session_guarantees`, without one by `inferred`.
"""

from __future__ import annotations

from kvsim.checks.consistency.case import ConsistencyCheck, HistoryCase
from kvsim.checks.consistency.prefix import NAME, prefix
from kvsim.checks.consistency.result import ConsistencyResult
from kvsim.checks.consistency.session_guarantees import session_guarantee


def _prefix(case: HistoryCase) -> ConsistencyResult:
    if case.leader_log is None:
        return case.inferred[NAME]
    return prefix(case.history, case.leader_log, case.follower_rows)


def _session(name: str, order: int) -> ConsistencyCheck:
    def judge(case: HistoryCase) -> ConsistencyResult:
        if case.leader_log is None:
            return case.inferred[name]
        return session_guarantee(name, case.history, case.leader_log, case.session_rows)

    return ConsistencyCheck(name, judge, order)


PREFIX = ConsistencyCheck(NAME, _prefix, order=60)
READ_YOUR_WRITES = _session("read_your_writes", order=61)
MONOTONIC_READS = _session("monotonic_reads", order=62)
MONOTONIC_WRITES = _session("monotonic_writes", order=63)
WRITES_FOLLOW_READS = _session("writes_follow_reads", order=64)
SEQUENTIAL = _session("sequential", order=65)
