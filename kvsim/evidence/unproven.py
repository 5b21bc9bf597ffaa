"""What a run does not prove, said from what it did not do. A reader of a proof must not take silence for a promise."""

from __future__ import annotations

from kvsim.checks.verdict import CheckResult
from kvsim.history.outcome import Reason
from kvsim.history.record import Record


def not_proven(record: Record, checks: list[CheckResult]) -> tuple[str, ...]:
    """One line each, in the reader's words."""
    lines = [text for test, text in ABSENT if not test(record)]
    idle = [check for check in checks if not check.exercised and not check.findings]
    lines += [f"{check.name}: nothing in this run could tell whether {_lower(check.about)}" for check in idle]
    return (*lines, "all processes ran on one machine")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _killed(record: Record) -> bool:
    return any(event["why"] != "stopping" for event in record.of_kind("signal"))


def _restarted(record: Record) -> bool:
    return any(event["incarnation"] > 1 for event in record.of_kind("spawn"))


def _leader_down(record: Record) -> bool:
    unreachable = {o.node for o in record.operations if o.outcome.reason is Reason.UNREACHABLE}
    return any(record.nodes[node]["role"] == "leader" for node in unreachable)


def _loaded(record: Record) -> bool:
    return any(record.of_kind("load_start"))


def _link_broken(record: Record) -> bool:
    return any(
        receipt["subject"] not in record.nodes for fault in record.faults for receipt in fault.receipts
    )


def _disk_or_clock_broken(record: Record) -> bool:
    return any(fault.kind in ("disk", "clock") and fault.bit for fault in record.faults)


ABSENT = (
    (_killed, "no node was killed: nothing is said of crashes"),
    (_restarted, "no node was started twice: nothing is said of what a restart keeps"),
    (_leader_down, "no request was made while the leader was down"),
    (_loaded, "one client asked one thing at a time: nothing is said of concurrent clients"),
    (_link_broken, "no link between nodes was broken"),
    (_disk_or_clock_broken, "no disk was full, failing or slow, and no clock was wrong"),
)
