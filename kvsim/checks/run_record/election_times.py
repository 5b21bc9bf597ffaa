"""Checks of elections in time: a connected majority elects; a node that is alone disturbs nobody;
what a link that passes bytes one way only costs.

They accuse only by what nodes answered while kvsim did nothing to them: a node that was paused, cut
off, starting or silent says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from kvsim.checks.connectivity import (
    Period,
    connected_majorities,
    measured_periods,
    periods_alone,
    severed_flows,
    was_out,
)
from kvsim.checks.consistency.masks import mask_of, rows_in
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.step_at import step_at
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding, warning
from kvsim.history.build import build_history, epoch_ns_of
from kvsim.history.history import History
from kvsim.history.operations import CHANGES_KEY, OK
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import FaultRecord, RunRecord
from kvsim.text import even_members, plural

# How long a majority may be without a leader, in election timeouts of the program.
TIMEOUTS_MAX = 5
# The longest time between two answers of a node that still show that nothing was between them.
ANSWERS_APART_S = 1.0
# A term that rises once may have been decided before; a node that is alone goes on raising it.
RAISES_MIN = 2


class Sign(Struct, frozen=True):
    """What shows that a node leads (an answer, a write that was acknowledged), or that it does not.

    `node` is None for an acknowledged write: which node led is not known.
    """

    at_s: float
    node: str | None
    leads: bool
    term: int | None = None


@run_check(
    "Nodes that are up and connected, and are a majority, have a leader in time",
    subject=Subject.FAILOVER,
    order=158,
)
def elects_in_time(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every period in which a majority ran and no fault was on its nodes and links, for as
    long as `elections: {serves_within: …}` of node.yaml says (five election timeouts), by what
    its nodes answered and by acknowledged writes. A slow machine extends the time.
    """
    limit_s = _limit_s(record)
    if limit_s is None:
        return 0, []
    signs = record.built(_signs)
    judged, findings = 0, []
    for period in connected_majorities(record):
        inside = [sign for sign in signs if period.begin_s <= sign.at_s <= period.end_s]
        if period.length_s < limit_s or not inside:
            continue
        longest = _longest_without_leader(record, period, inside)
        judged += any(sign.leads for sign in inside) or longest is not None
        if longest is not None and longest.length_s > limit_s:
            names = ", ".join(period.nodes)
            text = (
                f"{names} were up and connected from {period.begin_s:.3f}s to "
                f"{period.end_s:.3f}s; from {longest.begin_s:.3f}s to {longest.end_s:.3f}s each of "
                f"them answered that it does not lead, and no write was acknowledged "
                f"({longest.length_s:.2f} s; at most {limit_s:.2f} s)"
            )
            findings.append(Finding(text, step_at(record, longest.end_s), period.nodes[0]))
    return judged, findings[:1]


def _limit_s(record: RunRecord) -> float | None:
    """How long a majority may be without a leader; None: node.yaml does not say."""
    plans = [plan.get("elections") for plan in record.nodes.values()]
    if not plans or not all(plan and plan["timeout_s"] for plan in plans):
        return None
    factor = float(record.meta.get("time_limits", {}).get("default_factor", 1.0))
    limits = [
        float(plan["serves_within_s"] or TIMEOUTS_MAX * plan["timeout_s"]) for plan in plans if plan
    ]
    return factor * max(limits)


def _signs(record: RunRecord) -> list[Sign]:
    """All of them, in order."""
    found = [*_answers(record), *_steps_writes(record)]
    history, epoch_ns = build_history(record), epoch_ns_of(record)
    if history is not None and epoch_ns is not None:
        found += _of_loads(history, epoch_ns)
    return sorted(found, key=lambda sign: sign.at_s)


def _answers(record: RunRecord) -> Iterator[Sign]:
    for event in record.of_kind("role"):
        if event["how"] in {"reports", "reports no role"} and event["fields"]:
            term = event["fields"].get("term", "")
            number = int(term) if term.isascii() and term.isdecimal() else None
            yield Sign(event.at_s, event["node"], event.get("role") == "leader", number)


def _steps_writes(record: RunRecord) -> Iterator[Sign]:
    for write in record.writes:
        if write.outcome.kind is OutcomeKind.OK:
            yield Sign(write.completed_s, None, leads=True)


def _of_loads(history: History, epoch_ns: int) -> Iterator[Sign]:
    operations = history.operations
    for row in rows_in(mask_of(operations, CHANGES_KEY, frozenset({OK}))):
        yield Sign((operations.return_ns[row] - epoch_ns) / 1e9, None, leads=True)
    for sample in history.samples:
        at_s = (sample.at_ns - epoch_ns) / 1e9
        yield Sign(at_s, sample.node, sample.role == "leader", sample.term)


def _longest_without_leader(
    record: RunRecord, period: Period, signs: Sequence[Sign]
) -> Period | None:
    """The longest time in which every node of a majority said, again and again, that it does not
    lead, and nothing showed that another node leads: it said so too, or was out.
    """
    longest: Period | None = None
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for sign in signs:
        if sign.leads:
            first.clear()
            last.clear()
        elif sign.node is not None:
            if sign.at_s - last.get(sign.node, sign.at_s) > ANSWERS_APART_S:
                del first[sign.node]
            first.setdefault(sign.node, sign.at_s)
            last[sign.node] = sign.at_s
        if not first.keys() >= set(period.nodes):
            continue
        begin_s = max(first[node] for node in period.nodes)
        end_s = min(last[node] for node in period.nodes)
        without = Period(period.nodes, begin_s, end_s)
        if longest is not None and without.length_s <= longest.length_s:
            continue
        others = record.nodes.keys() - set(period.nodes)
        answered = {
            node
            for node in first
            if first[node] <= begin_s + ANSWERS_APART_S and last[node] >= end_s - ANSWERS_APART_S
        }
        others = record.nodes.keys() - set(period.nodes) - answered
        if all(was_out(record, node, without) for node in others):
            longest = without
    return longest


@run_check(
    "A node that is alone does not raise its term, so that it disturbs no leader when it returns",
    subject=Subject.FAILOVER,
    order=159,
)
def no_disruption(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every node at which nothing arrived that another node sent, of a program with the
    capability `pre_vote`. Of another program that elects, it is measured: a warning says by how
    much the node raised its term.
    """
    judged, findings = 0, []
    for period in periods_alone(record):
        (node,) = period.nodes
        capabilities = record.capabilities(node)
        terms = _terms(record, period)
        if "elects" not in capabilities or len(terms) < RAISES_MIN:
            continue
        judged += "pre_vote" in capabilities
        before, after = terms[0][1], terms[-1][1]
        if after - before < RAISES_MIN:
            continue
        text = (
            f"{node} raised its term from {before} (at {terms[0][0]:.3f}s) to {after} (at "
            f"{terms[-1][0]:.3f}s) while nothing arrived at it: when it returns, the leader has to "
            "step down"
        )
        step = step_at(record, terms[-1][0])
        if "pre_vote" in capabilities:
            findings.append(Finding(text, step, node))
        else:
            findings.append(warning(f"{text} (a pre-vote prevents that)", step=step, node=node))
    return judged, findings


def _terms(record: RunRecord, period: Period) -> list[tuple[float, int]]:
    """What a node reported as its term while it was alone, from two election timeouts on.

    Until then what had arrived before may count.
    """
    (node,) = period.nodes
    timeout_s = (record.nodes[node].get("elections") or {}).get("timeout_s") or 0.0
    return [
        (sign.at_s, sign.term)
        for sign in record.built(_signs)
        if sign.node == node
        and sign.term is not None
        and period.begin_s + 2 * timeout_s <= sign.at_s <= period.end_s
    ]


@run_check(
    "While a link passes bytes one way only, a cluster serves (measured; Raft promises nothing)",
    subject=Subject.FAILOVER,
    order=161,
)
def one_way_links(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every fault in which bytes passed one way only between two nodes that elect. It
    measures, and fails nothing: Raft promises no progress then.
    """
    if not all("elects" in record.capabilities(node) for node in record.nodes):
        return 0, []
    findings = [
        _measured(record, fault, begin_s, end_s)
        for fault, begin_s, end_s in measured_periods(record)
        if _is_one_way(fault)
    ]
    return len(findings), findings


def _is_one_way(fault: FaultRecord) -> bool:
    severed = severed_flows(fault)
    return any((target, source) not in severed for source, target in severed)


def _measured(record: RunRecord, fault: FaultRecord, begin_s: float, end_s: float) -> Finding:
    inside = [sign for sign in record.built(_signs) if begin_s <= sign.at_s <= end_s]
    leaders = [sign for sign in inside if sign.leads and sign.node]
    led = list(dict.fromkeys(f"{sign.node} in term {sign.term}" for sign in leaders))
    writes = [sign.at_s for sign in inside if sign.leads and sign.node is None]
    times = [begin_s, *writes, end_s]
    longest_s = max(after - before for before, after in pairwise(times))
    flows = ", ".join(f"{source} to {target}" for source, target in sorted(severed_flows(fault)))
    terms = {sign.term for sign in inside if sign.term is not None}
    text = (
        f"for {end_s - begin_s:.2f} s nothing passed from {flows}: "
        f"{', '.join(led) or 'no node'} led, {plural(len(terms), 'term')}, "
        f"{plural(len(writes), 'write')} acknowledged, at most {longest_s:.2f} s without one"
    )
    return warning(text, step=fault.id)


@run_check("A cluster that elects has an odd number of nodes", subject=Subject.FAILOVER, order=162)
def members_are_odd(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges the number of nodes where all of them elect. An even number is a warning."""
    if not all("elects" in record.capabilities(node) for node in record.nodes):
        return 0, []
    text = even_members(len(record.nodes))
    return 1, [warning(text)] if text else []
