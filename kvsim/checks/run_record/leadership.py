"""Checks of roles: a term has one leader; only it accepts writes; the others name it."""

from __future__ import annotations

from itertools import combinations

from msgspec import Struct

from kvsim.checks.expectations import describe
from kvsim.checks.run_record.elections import falling_terms
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding, Verdict
from kvsim.checks.write_effect import WriteEffect, effect_of
from kvsim.history.journal import Event
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.history.run_record import RequestRecord, RunRecord

# A default limit of kvsim, which a slow machine extends like the others.
STEP_DOWN_WITHIN_S = 3.0


@run_check(
    "At no moment do two nodes lead the same term, and the leader of an older term steps down",
    subject=Subject.FAILOVER,
    order=50,
)
def one_leader(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every round in which the nodes were asked for their roles. One answer proves nothing,
    because its fields may be of two moments: a node leads a term once it has reported that twice in
    a row. Without terms, two nodes must lead at the same time. A node that still leads an older
    term has three seconds to step down.
    """
    rounds = {
        event["step"]
        for event in record.of_kind("role")
        if event["how"] == "reports" and event.get("role") == "leader"
    }
    spans = [span for span in _leading_spans(record) if span.reports >= REPORTS_MIN]
    found = {
        (frozenset((span.node, other.node)), span.term): max(span, other, key=_begin_of).step
        for span, other in combinations(spans, 2)
        if span.conflicts_with(other)
    }
    findings = [
        Finding(f"{' and '.join(sorted(nodes))} both report that they are the leader", step)
        for (nodes, _), step in found.items()
    ]
    return len(rounds), findings + _never_stepped_down(record)


# One status answer is no single moment.
REPORTS_MIN = 2


class LeadingSpan(Struct):
    """Answers in a row in which a node reported that it leads a term; `step` is that of the first.

    `term` is empty where the program reports none.
    """

    node: str
    term: str
    step: str
    begin_s: float
    end_s: float
    reports: int = 1

    def conflicts_with(self, other: LeadingSpan) -> bool:
        """Whether both lead one term, or without terms, at one time."""
        if self.node == other.node or self.term != other.term:
            return False
        overlap_s = min(self.end_s, other.end_s) - max(self.begin_s, other.begin_s)
        return bool(self.term) or overlap_s > 0


def _begin_of(span: LeadingSpan) -> float:
    return span.begin_s


def _leading_spans(record: RunRecord) -> list[LeadingSpan]:
    spans: list[LeadingSpan] = []
    current: dict[str, LeadingSpan] = {}
    for event in record.of_kind("role", "exit"):
        node = event["node"]
        if event.kind == "exit" or event["how"] != "reports" or event.get("role") != "leader":
            current.pop(node, None)
            continue
        term, span = event["fields"].get("term", ""), current.get(node)
        if span is not None and span.term == term:
            span.end_s, span.reports = event.at_s, span.reports + 1
        else:
            current[node] = LeadingSpan(node, term, event["step"], event.at_s, event.at_s)
            spans.append(current[node])
    return spans


def _never_stepped_down(record: RunRecord) -> list[Finding]:
    """Nodes that led an older term for longer than the limit, beside the leader of a newer term."""
    within_s = STEP_DOWN_WITHIN_S * record.meta.get("time_limits", {}).get("default_factor", 1.0)
    since: dict[str, float] = {}
    leading: dict[str, tuple[int, Event]] = {}
    found: dict[str, Finding] = {}
    for event in record.of_kind("role"):
        node, term = event["node"], event["fields"].get("term", "")
        leading.pop(node, None)
        if event.get("role") != "leader" or event["how"] != "reports" or not term.isdecimal():
            since.pop(node, None)
            continue
        leading[node] = (int(term), event)
        newer = [other for other, (other_term, _) in leading.items() if other_term > int(term)]
        if newer and event.at_s - since.setdefault(node, event.at_s) > within_s:
            text = (
                f"{node} still reports that it is the leader, of term {term}, "
                f"though {newer[0]} leads {leading[newer[0]][0]}"
            )
            found.setdefault(node, Finding(text, event["step"], node))
    return list(found.values())


@run_check("The leader accepts writes", subject=Subject.ROLES, order=60)
def leader_accepts_writes(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every write of the scenario to a node that was up and reported that it is the leader,
    where no fault on the node explains its answer.
    """
    writes = [
        write
        for write in record.writes
        if record.role_at(write.node, write.invoked_s) == "leader" and _is_judged(record, write)
    ]
    findings = [
        Finding(
            f"{write.node} (leader) did not accept `{write.verb} {write.key}`: "
            f"{describe(write.outcome)}",
            write.step,
            write.node,
            Verdict.UNKNOWN if write.outcome.kind is OutcomeKind.UNKNOWN else Verdict.FAIL,
        )
        for write in writes
        if write.outcome.kind is not OutcomeKind.OK and not _explained_by_fault(record, write)
    ]
    return len(writes), findings


def _is_judged(record: RunRecord, write: RequestRecord) -> bool:
    # A mismatch of a compare-and-set neither accepts nor refuses.
    if write.missed:
        return False
    # A store that replicates may report an unknown outcome when nodes are missing.
    uncertain = write.outcome.reason is Reason.UNCERTAIN
    allowed = uncertain and "replicates" in record.capabilities(write.node)
    return not allowed and write.outcome.reason is not Reason.UNREACHABLE


def _explained_by_fault(record: RunRecord, write: RequestRecord) -> bool:
    """Any fault explains a missing answer, a disk fault any refusal but `read_only`."""
    outcome = write.outcome
    if outcome.kind is OutcomeKind.UNKNOWN:
        return record.touched(write)
    return outcome.reason is not Reason.READ_ONLY and any(
        fault.traits.may_refuse
        and write.node in fault.nodes
        and fault.lasted(write.invoked_s, write.completed_s)
        for fault in record.faults
    )


@run_check(
    "Only the leader accepts writes; a write that a follower accepts was forwarded, or the "
    "replicas diverged",
    subject=Subject.ROLES,
    order=70,
)
def writes_only_at_leader(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every write of the scenario to a follower, once the cluster's lag is over. A program
    with the capability `forwards` may forward, but not diverge; an acknowledged write whose effect
    is unclear is no finding there. Where nothing says which node leads, it judges the writes that
    every node shows afterwards, and those that none shows.
    """
    judged, findings = 0, []
    for write in record.writes:
        role = record.role_at(write.node, write.invoked_s)
        if write.outcome.reason is Reason.UNREACHABLE or role == "leader":
            continue
        if role is None and effect_of(record, write) not in {
            WriteEffect.EVERYWHERE,
            WriteEffect.NO_EFFECT,
        }:
            continue
        judged += 1
        if finding := _not_at_leader(record, write, role):
            findings.append(finding)
    return judged, findings


# What a follower of a program that forwards writes may do with a write.
FORWARDING = {
    WriteEffect.FORWARDED,
    WriteEffect.EVERYWHERE,
    WriteEffect.PARTIAL,
    WriteEffect.PENDING,
    WriteEffect.MISMATCHED,
    WriteEffect.UNCLEAR,
}


def _not_at_leader(record: RunRecord, write: RequestRecord, role: str | None) -> Finding | None:
    if write.outcome.kind is OutcomeKind.REFUSED:
        return None
    effect = effect_of(record, write)
    may_accept = role is None or "forwards" in record.capabilities(write.node)
    if effect in FORWARDING and may_accept:
        return None
    return Finding(
        f"`{write.verb} {write.key}` on {write.node} ({role or 'role unknown'}): {effect}",
        write.step,
        write.node,
        Verdict.FAIL if write.outcome.kind is OutcomeKind.OK else Verdict.UNKNOWN,
    )


@run_check("A refusal that names a leader names the true leader", subject=Subject.ROLES, order=90)
def redirects_name_the_leader(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every refusal that names a node. The true leader is the one node that reports at that
    time that it is the leader. While no node leads, the leader that has ended may be named.
    """
    redirects = [
        request
        for request in record.operations
        if request.outcome.kind is OutcomeKind.REFUSED and request.outcome.leader
    ]
    findings = [_redirect(record, request) for request in redirects]
    return len(redirects), [finding for finding in findings if finding]


def _redirect(record: RunRecord, request: RequestRecord) -> Finding | None:
    node, step = request.node, request.step
    named = record.node_named(request.outcome.leader)
    leader = record.leader_at(request.invoked_s)
    if leader is None and named and record.led_until_its_end(named, request.invoked_s):
        return None
    if leader is None:
        text = f"{node} names {named}, but no single leader is known"
        return Finding(text, step, node, Verdict.UNKNOWN)
    if named == leader:
        return None
    return Finding(f"{node} names {named} as the leader; the leader is {leader}", step, node)


@run_check(
    "A node's term never decreases, not even over a restart", subject=Subject.FAILOVER, order=150
)
def terms_only_rise(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every answer in which a node reported its term and had reported a term before, and
    every line of its log that says which term it is in (`elections: {logs: …}` of node.yaml), over
    restarts where that is on disk before it is logged.
    """
    highest: dict[str, int] = {}
    judged, findings = 0, []
    for event in record.of_kind("role"):
        node, reported = event["node"], event["fields"].get("term", "")
        if not reported.isdecimal():
            continue
        term, before = int(reported), highest.get(node)
        judged += before is not None
        if before is not None and term < before:
            text = f"{node} reported term {before}, and later {term}"
            findings.append(Finding(text, event["step"], node))
        highest[node] = max(term, before or 0)
    lines, of_lines = falling_terms(record)
    return judged + lines, findings + of_lines
