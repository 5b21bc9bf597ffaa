"""Checks of elections by who could take part: a leader has the votes of a majority of the members,
and the writes that were acknowledged in a term were acknowledged by one node.

Source: Ongaro, "Consensus: Bridging Theory and Practice", 2014, chapters 3 and 4.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

from kvsim.checks.connectivity import Period, periods_alone
from kvsim.checks.consistency.masks import mask_of, rows_in
from kvsim.checks.run_record.elections import StatusFact, data_last, status_facts
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.step_at import step_at
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding
from kvsim.history.build import build_history, epoch_ns_of
from kvsim.history.history import RoleSample
from kvsim.history.operations import CHANGES_KEY
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import RunRecord

FINDINGS_MAX = 5
# A name in a status that lists them: `["n1", "n2"]`, `n1,n2`.
MEMBER = re.compile(r"[^\s,\[\]\"']+")


# --- members ----------------------------------------------------------------------------------


@run_check(
    "A node becomes the leader by the votes of a majority of the members, and of no other node",
    subject=Subject.FAILOVER,
    order=163,
)
def leaders_have_a_majority(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every node that reported first that it is in an older term, and then that it leads a
    newer one: between the two answers a majority of its members must have been able to vote. A node
    that was down could not, nor one at which nothing arrived that another node sent. Which nodes
    are members, `members` of the status says; without it all are, as long as no step changes that.
    """
    before: dict[str, StatusFact] = {}
    judged, findings = 0, []
    outages = [*_downtimes(record), *periods_alone(record)]
    for fact in _reports(record):
        earlier, before[fact.node] = before.get(fact.node), fact
        if earlier is None or not _begins_to_lead(earlier, fact):
            continue
        members = _members(record, fact)
        if not members or members != _members(record, earlier):
            continue
        judged += 1
        out = [name for name in members if _was_out(outages, name, earlier, fact)]
        able = len(members) - len(out)
        if able < len(members) // 2 + 1:
            text = (
                f"{fact} leads term {fact.fields['term']}; it was in term {earlier.fields['term']} "
                f"at {earlier.event.at_s:.3f}s. Its members are {', '.join(sorted(members))}, and "
                f"{', '.join(sorted(out))} could not vote between: {able} of {len(members)} is no "
                "majority"
            )
            findings.append(Finding(text, fact.event["step"], fact.node))
    return judged, findings[:FINDINGS_MAX]


def _reports(record: RunRecord) -> list[StatusFact]:
    if all("members" in _status_fields(record, node) for node in record.nodes):
        return status_facts(record, ("term", "members"))
    changed = any(request.verb.startswith("member_") for request in record.operations)
    return [] if changed else status_facts(record, ("term",))


def _status_fields(record: RunRecord, node: str) -> Mapping[str, str]:
    last = record.last_role(node)
    return last["fields"] if last else {}


def _begins_to_lead(earlier: StatusFact, fact: StatusFact) -> bool:
    old, new = earlier.number("term"), fact.number("term")
    return (
        fact.role == "leader"
        and earlier.incarnation == fact.incarnation
        and old is not None
        and new is not None
        and old < new
    )


def _members(record: RunRecord, fact: StatusFact) -> frozenset[str]:
    """The names of the nodes that a status calls members; empty: it calls a name of no node."""
    if "members" not in fact.fields:
        return frozenset(record.nodes)
    names = {record.node_named(word) or word for word in MEMBER.findall(fact.fields["members"])}
    return frozenset(names) if names <= record.nodes.keys() else frozenset()


def _was_out(outages: Sequence[Period], name: str, earlier: StatusFact, fact: StatusFact) -> bool:
    """Whether a node could not vote at any time between two answers of another one."""
    return name != fact.node and any(
        name in period.nodes
        and period.begin_s <= earlier.event.at_s
        and fact.event.at_s <= period.end_s
        for period in outages
    )


def _downtimes(record: RunRecord) -> Iterator[Period]:
    """When a node certainly had no process: from its end until the next one is started."""
    since: dict[str, float] = {}
    for event in record.of_kind("exit", "spawn"):
        node = event["node"]
        if event.kind == "exit":
            since[node] = event.at_s
        elif node in since:
            yield Period((node,), since.pop(node), event.at_s)
    for node, begin_s in since.items():
        yield Period((node,), begin_s, float("inf"))


# --- acknowledged writes ----------------------------------------------------------------------


class _Acknowledged(Struct, frozen=True):
    """A write that a node acknowledged while it was in one term."""

    node: str
    at_s: float


@run_check(
    "The writes that are acknowledged in one term are acknowledged by one node, its leader",
    subject=Subject.FAILOVER,
    order=164,
)
def acknowledgements_name_one_leader_per_term(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every acknowledged write, of steps and of load, at a node that reported the same term
    before the write began and after it was acknowledged. What the nodes say of their roles does not
    matter. Of a program that forwards writes (`forwards`) nothing is judged.
    """
    plain = [
        node
        for node in record.nodes
        if "elects" in record.capabilities(node) and "forwards" not in record.capabilities(node)
    ]
    by_term: dict[int, dict[str, _Acknowledged]] = defaultdict(dict)
    judged = 0
    if data_last(record) and plain:
        for term, written in (*_of_steps(record), *_of_loads(record)):
            if written.node in plain:
                judged += 1
                by_term[term].setdefault(written.node, written)
    findings = [
        Finding(
            " and ".join(
                f"{each.node} acknowledged a write at {each.at_s:.3f}s"
                for each in sorted(nodes.values(), key=lambda each: each.at_s)
            )
            + f": both were in term {term} before and after it",
            step_at(record, max(each.at_s for each in nodes.values())),
        )
        for term, nodes in sorted(by_term.items())
        if len(nodes) > 1
    ]
    return judged, findings[:FINDINGS_MAX]


def _of_steps(record: RunRecord) -> Iterator[tuple[int, _Acknowledged]]:
    """By what nodes answered to steps, which are one after the other."""
    reports: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for event in record.of_kind("role"):
        term = event["fields"].get("term", "") if event["fields"] else ""
        if term.isascii() and term.isdecimal():
            reports[event["node"]].append((event.at_s, int(term)))
    for write in record.writes:
        if write.outcome.kind is not OutcomeKind.OK:
            continue
        of_node = reports[write.node]
        after = bisect_left(of_node, (write.completed_s,))
        before = bisect_right(of_node, (write.invoked_s,)) - 1
        if before >= 0 and after < len(of_node) and of_node[before][1] == of_node[after][1]:
            yield of_node[before][1], _Acknowledged(write.node, write.completed_s)


def _of_loads(record: RunRecord) -> Iterator[tuple[int, _Acknowledged]]:
    """By the samples that a load takes of the nodes beside its clients."""
    history, epoch_ns = build_history(record), epoch_ns_of(record)
    if history is None or epoch_ns is None:
        return
    spans = _terms_by_samples(history.samples)
    operations = history.operations
    for row in rows_in(mask_of(operations, CHANGES_KEY)):
        number = operations.node[row]
        if number < 0:
            continue
        node = operations.nodes[number]
        begins = spans.get(node, ())
        at = bisect_right(begins, (operations.call_ns[row], float("inf"), 0)) - 1
        if at >= 0 and operations.return_ns[row] <= begins[at][1]:
            at_s = (operations.return_ns[row] - epoch_ns) / 1e9
            yield begins[at][2], _Acknowledged(node, at_s)


def _terms_by_samples(
    samples: Sequence[RoleSample],
) -> Mapping[str, list[tuple[int, float, int]]]:
    """Node → (from, until, term) between two samples in a row that name one term.

    From the answer to the first one until the second one was asked for.
    """
    of_node: dict[str, list[RoleSample]] = defaultdict(list)
    for sample in samples:
        if sample.term is not None and sample.asked_ns is not None:
            of_node[sample.node].append(sample)
    return {
        node: _same_terms(sorted(several, key=lambda sample: sample.at_ns))
        for node, several in of_node.items()
    }


def _same_terms(samples: Sequence[RoleSample]) -> list[tuple[int, float, int]]:
    found: list[tuple[int, float, int]] = []
    for one, two in pairwise(samples):
        if one.term is None or one.term != two.term or two.asked_ns is None:
            continue
        if found and found[-1][2] == one.term and found[-1][1] == one.asked_ns:
            found[-1] = (found[-1][0], two.asked_ns, one.term)
        else:
            found.append((one.at_ns, two.asked_ns, one.term))
    return found
