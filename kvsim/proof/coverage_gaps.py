"""What a run does not prove, derived from what it did not do.

A reader must not take silence for a guarantee, so the proof states its gaps.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsim.checks.run_record.protocol import closed_when_idle
from kvsim.checks.verdict import CheckResult
from kvsim.history.outcome import Reason
from kvsim.history.run_record import RunRecord
from kvsim.text import plural


def coverage_gaps(record: RunRecord, checks: Sequence[CheckResult]) -> tuple[str, ...]:
    """One line for each gap."""
    lines = [text for was_tested, text in GAPS if not was_tested(record)]
    idle = [check for check in checks if not check.exercised and not check.findings]
    lines += [
        f"{check.name}: nothing in this run could show whether {_lower_first(check.about)}"
        for check in idle
        if not shown_by_loads(check, checks)
    ]
    lines += [
        f"{gap}, from {gap.began_s:.1f} s on: what was measured across that is not known"
        for gap in record.clock_gaps
    ]
    _, closed = closed_when_idle(record, "usual")
    lines += [
        f"{node} closed an idle connection {plural(count, 'time')}, which is judged only where "
        "node.yaml says `connection: persistent`"
        for node, count in closed.items()
    ]
    lines += [
        f"how {node} ended is not known: kvsim was not the parent of its process"
        for node in _unknown_ends(record)
    ]
    return (*lines, "all processes ran on one machine")


# Check of steps → the check that judges the same of what the clients of loads did.
OF_LOADS = {
    "leader_accepts_writes": "load_available",
    "reads_are_served": "load_available",
    "acknowledged_writes_are_read": "load_linearizable",
    "acknowledged_writes_survive": "load_lost_writes",
    "replicas_agree": "load_converged",
}


def shown_by_loads(check: CheckResult, checks: Sequence[CheckResult]) -> bool:
    """Whether loads have exercised what a check of steps had nothing to judge for."""
    same = OF_LOADS.get(check.name)
    return any(other.name == same and other.exercised for other in checks)


def _unknown_ends(record: RunRecord) -> list[str]:
    """The nodes of which a process has ended without a status that kvsim could take."""
    ends = (
        event["node"]
        for event in record.of_kind("exit")
        if event.get("status") is None and event.get("signal") is None
    )
    return list(dict.fromkeys(ends))


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _killed(record: RunRecord) -> bool:
    return any(event["why"] != "stopping" for event in record.of_kind("signal"))


def _restarted(record: RunRecord) -> bool:
    return any(event["incarnation"] > 1 for event in record.of_kind("spawn"))


def _leader_down(record: RunRecord) -> bool:
    unreachable = {
        operation.node
        for operation in record.operations
        if operation.outcome.reason is Reason.UNREACHABLE
    }
    by_step = any(record.nodes[node]["role"] == "leader" for node in unreachable)
    return by_step or _load_while_leader_down(record)


def _load_while_leader_down(record: RunRecord) -> bool:
    """Whether clients of a load made requests while a node that led was down."""
    starts = [event.at_s for event in record.of_kind("load_start")]
    stops = [event.at_s for event in record.of_kind("load_stop") if event["counts"].get("ok")]
    if not (starts and stops):
        return False
    return any(
        min(starts) <= end.at_s <= max(stops)
        for end in record.of_kind("exit")
        if record.led_until_its_end(end["node"], end.at_s)
    )


def _loaded(record: RunRecord) -> bool:
    return any(record.of_kind("load_start"))


def _link_broken(record: RunRecord) -> bool:
    return any(
        item["subject"] not in record.nodes for fault in record.faults for item in fault.evidence
    )


def _disk_or_clock_broken(record: RunRecord) -> bool:
    return any(fault.traits.preloads and fault.took_effect for fault in record.faults)


GAPS = (
    (_killed, "no node was killed: crashes were not tested"),
    (_restarted, "no node was started twice: what a restart keeps was not tested"),
    (_leader_down, "no request was made while the leader was down"),
    (_loaded, "one client made one request at a time: concurrent clients were not tested"),
    (_link_broken, "no link between nodes was broken"),
    (_disk_or_clock_broken, "no disk was full, failing or slow, and no clock was wrong"),
)
