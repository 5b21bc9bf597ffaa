"""Checks of elections, for programs that elect: by what nodes log (`elections: {logs: …}` of
node.yaml), and by the terms, indexes and digests in their STATUS.

Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014, figure 3.
None of these checks depends on when something was observed, so that a node that was paused, cut off
or slow is never accused for answering late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from kvsim.checks.election_lines import ENTERS_TERM, ElectionLine, election_lines
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.step_at import step_at
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding
from kvsim.history.journal import Event
from kvsim.history.run_record import RunRecord

FINDINGS_MAX = 5
# A vote for itself, where a line says no more than that the node is a candidate.
ITSELF = "itself"


# --- by lines of logs -------------------------------------------------------------------------


@run_check("No two nodes log that they lead the same term", subject=Subject.FAILOVER, order=152)
def logs_name_one_leader_per_term(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every term of which a node logged that it leads it: `elections: {logs: {leader: …}}`
    in node.yaml.
    """
    by_term: dict[int, dict[str, ElectionLine]] = defaultdict(dict)
    for line in _lines_of(record, "leader"):
        if line.term is not None:
            by_term[line.term].setdefault(line.node, line)
    findings = [
        _finding(
            record,
            f"{' and '.join(sorted(lines))} both logged that they lead term {term}",
            *(lines[node] for node in sorted(lines)),
        )
        for term, lines in sorted(by_term.items())
        if len(lines) > 1
    ]
    return len(by_term), findings[:FINDINGS_MAX]


@run_check("A node votes for one candidate a term", subject=Subject.FAILOVER, order=153)
def one_vote_per_term(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every term in which a node logged a vote or reported one (`vote` in its status), over
    restarts where node.yaml says that a vote is on disk before that (`elections: {on_disk:
    [vote]}`). A candidate votes for itself, where the names in its votes are those of nodes.
    """
    first: dict[Hashable, tuple[str, ElectionLine]] = {}
    findings = []
    for line, candidate in _votes(record):
        vote = (line.node, line.term, _period(record, line, "vote"))
        before, earlier = first.setdefault(vote, (candidate, line))
        if before != candidate:
            text = f"{line.node} voted for {before} and for {candidate} in term {line.term}"
            findings.append(_finding(record, text, earlier, line))
    reported, of_status = _reported_votes(record)
    return len(first) + reported, (findings + of_status)[:FINDINGS_MAX]


def _reported_votes(record: RunRecord) -> tuple[int, list[Finding]]:
    """By STATUS: a vote of a term stays what it was."""
    first: dict[Hashable, StatusFact] = {}
    judged, findings = 0, []
    for fact in status_facts(record, ("term", "vote")):
        on_disk = (record.nodes[fact.node].get("elections") or {}).get("on_disk", ())
        kept = "vote" in on_disk and data_last(record)
        key = (fact.node, fact.fields["term"], 0 if kept else fact.incarnation)
        if key not in first:
            if fact.fields["vote"]:
                first[key] = fact
            continue
        judged += 1
        before = first[key]
        if before.fields["vote"] != fact.fields["vote"]:
            text = (
                f"{before} reported that it voted for {before.fields['vote']} in term "
                f"{fact.fields['term']}, and at {fact.event.at_s:.3f}s "
                f"{fact.fields['vote'] or 'no vote'}"
            )
            findings.append(Finding(text, fact.event["step"], fact.node))
    return judged, findings


def _votes(record: RunRecord) -> Iterator[tuple[ElectionLine, str]]:
    """Each vote with the candidate: the name of a node, ITSELF, or the program's own id."""
    for node, lines in election_lines(record).items():
        votes = [line for line in lines if line.kind == "vote" and line.term is not None]
        named = all(_is_node(record, line.candidate) for line in votes)
        for line in lines:
            if line.kind == "candidate" and line.term is not None and votes and named:
                yield line, ITSELF
            elif line.kind == "vote" and line.term is not None:
                candidate = record.node_named(line.candidate) or line.candidate
                yield line, ITSELF if candidate == node else candidate


def _is_node(record: RunRecord, candidate: str) -> bool:
    return record.node_named(candidate) in record.nodes


def falling_terms(record: RunRecord) -> tuple[int, list[Finding]]:
    """For `terms_only_rise`: the lines that say which term a node is in."""
    judged, findings = 0, []
    for node, lines in election_lines(record).items():
        highest: dict[Hashable, ElectionLine] = {}
        for line in lines:
            if line.kind not in ENTERS_TERM or line.term is None:
                continue
            period = _period(record, line, "term")
            before = highest.get(period)
            judged += before is not None
            if before is not None and line.term < (before.term or 0):
                text = f"{node} logged term {before.term}, and later {line.term}"
                findings.append(_finding(record, text, before, line))
            if before is None or line.term > (before.term or 0):
                highest[period] = line
    return judged, findings[:FINDINGS_MAX]


def _lines_of(record: RunRecord, kind: str) -> Iterator[ElectionLine]:
    for lines in election_lines(record).values():
        yield from (line for line in lines if line.kind == kind)


def _period(record: RunRecord, line: ElectionLine, what: str) -> int:
    """What is compared with each other: the lines of one incarnation, or of all (0)."""
    on_disk = record.nodes[line.node]["elections"]["on_disk"]
    return 0 if what in on_disk and data_last(record) else line.incarnation


def data_last(record: RunRecord) -> bool:
    """Whether what a node has stored is there when it starts again: its program keeps data, and no
    fault damaged them or took more than it guarantees.
    """
    survives = all(
        plan.get("survives_power") and not plan.get("power_loses_s")
        for plan in record.nodes.values()
    )
    return not any(plan.get("keeps") == "nothing" for plan in record.nodes.values()) and not any(
        fault.traits.damages_data or (fault.traits.cuts_power and not survives)
        for fault in record.faults
    )


def _finding(record: RunRecord, text: str, *lines: ElectionLine) -> Finding:
    last = max(lines, key=lambda line: line.written_s)
    shown = "".join(f"\n{line.node}: {line}" for line in lines)
    return Finding(text + shown, step_at(record, last.written_s), last.node)


# --- by STATUS --------------------------------------------------------------------------------


class StatusFact(Struct, frozen=True):
    """Numbers and texts of one STATUS that hold together.

    Of a program with the capability `atomic_status` these are the fields of one answer. An answer
    of another one may be of several moments: there they are what two answers of one incarnation
    say, one after the other.
    """

    node: str
    incarnation: int
    event: Event
    role: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        text = self.fields.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() else None

    def __str__(self) -> str:
        return f"{self.node} at {self.event.at_s:.3f}s"


@run_check(
    "The leader of a later term has every entry that was committed before (Leader Completeness)",
    subject=Subject.FAILOVER,
    order=154,
)
def leader_completeness(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every STATUS of a leader with its term and `last_index`, by the `commit` index that
    any node reported in an earlier term: it was in that term, and its log ended with an entry of
    no later one. What was acknowledged to clients is judged by `acknowledged_writes_survive` and
    `lost_writes`.
    """
    facts = status_facts(record, ("term", "commit", "last_index", "last_term"))
    if not data_last(record):
        return 0, []
    committed = _highest_commits(facts)
    judged, findings = 0, []
    for leader in facts:
        term, last = leader.number("term"), leader.number("last_index")
        if leader.role != "leader" or term is None or last is None:
            continue
        before = [fact for earlier, fact in committed.items() if earlier < term]
        if not before:
            continue
        judged += 1
        best = max(before, key=lambda fact: fact.number("commit") or 0)
        commit = best.number("commit") or 0
        if last < commit:
            text = (
                f"{leader} leads term {term}, and its log ends at index {last}; {best} reported in "
                f"term {best.number('term')} that index {commit} is committed"
            )
            findings.append(Finding(text, leader.event["step"], leader.node))
    return judged, findings[:FINDINGS_MAX]


def _highest_commits(facts: Iterable[StatusFact]) -> dict[int, StatusFact]:
    """Term → the report of the highest commit index in it."""
    found: dict[int, StatusFact] = {}
    for fact in facts:
        term, commit = fact.number("term"), fact.number("commit")
        if term is None or commit is None or (fact.number("last_term") or 0) > term:
            continue
        if term not in found or commit > (found[term].number("commit") or 0):
            found[term] = fact
    return found


@run_check(
    "Two logs that end with an entry of the same index and term are the same (Log Matching)",
    subject=Subject.REPLICATION,
    order=155,
)
def log_matching(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every two nodes whose STATUS had the same `last_index` and `last_term`, by their
    `log_digest`.
    """
    names = ("last_index", "last_term", "log_digest")
    return _agree(
        record,
        names,
        ("last_index", "last_term"),
        "log_digest",
        "ends with index {last_index} of term {last_term}, and the digest of its log is "
        "{log_digest}",
    )


@run_check(
    "Nodes that have applied the same entries hold the same (State Machine Safety)",
    subject=Subject.REPLICATION,
    order=156,
)
def state_machine_safety(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every two nodes whose STATUS had the same `applied` index, by their `digest`, and each
    node that had it twice.
    """
    return _agree(
        record,
        ("applied", "digest"),
        ("applied",),
        "digest",
        "has applied index {applied}, and its digest is {digest}",
    )


def _agree(
    record: RunRecord, names: Sequence[str], same: Sequence[str], compared: str, says: str
) -> tuple[int, list[Finding]]:
    """Facts that say the same of `same` have to say the same of `compared`."""
    if not data_last(record):
        return 0, []
    first: dict[tuple[str, ...], StatusFact] = {}
    judged, findings = 0, []
    for fact in status_facts(record, names):
        if not all(fact.fields.get(name) for name in names):
            continue
        other = first.setdefault(tuple(fact.fields[name] for name in same), fact)
        if other is fact:
            continue
        judged += other.node != fact.node or other.incarnation != fact.incarnation
        if other.fields[compared] != fact.fields[compared]:
            told = [f"{each} {says.format(**each.fields)}" for each in (other, fact)]
            findings.append(Finding("; ".join(told), fact.event["step"], fact.node))
    return judged, findings[:FINDINGS_MAX]


@run_check(
    "No node has an entry of a later term than the one that it is in: it accepts entries only from "
    "the leader of its own term",
    subject=Subject.FAILOVER,
    order=151,
)
def entries_are_not_of_later_terms(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every STATUS with a term and the term of the last entry (`last_term`)."""
    judged, findings = 0, []
    for fact in status_facts(record, ("term", "last_term")):
        term, last_term = fact.number("term"), fact.number("last_term")
        if term is None or last_term is None:
            continue
        judged += 1
        if last_term > term:
            text = f"{fact} is in term {term}, and its log ends with an entry of term {last_term}"
            findings.append(Finding(text, fact.event["step"], fact.node))
    return judged, findings[:FINDINGS_MAX]


@run_check(
    "What a node reports as committed stays committed: its commit index never falls",
    subject=Subject.FAILOVER,
    order=157,
)
def commit_index_rises(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every STATUS with a `commit` index after another one of the same node, over restarts
    where node.yaml says that it is on disk before it is reported (`elections: {on_disk:
    [commit]}`).
    """
    highest: dict[tuple[str, int], tuple[int, Event]] = {}
    judged, findings = 0, []
    for incarnation, event in _answers(record):
        node, text = event["node"], event["fields"].get("commit", "")
        if not text.isdecimal() or not record.nodes[node].get("elections"):
            continue
        kept = "commit" in record.nodes[node]["elections"]["on_disk"] and data_last(record)
        period, commit = (node, 0 if kept else incarnation), int(text)
        before, earlier = highest.get(period, (commit, event))
        judged += period in highest
        if commit < before:
            text = (
                f"{node} reported at {earlier.at_s:.3f}s that index {before} is committed, and at "
                f"{event.at_s:.3f}s index {commit}"
            )
            findings.append(Finding(text, event["step"], node))
        highest[period] = max((before, earlier), (commit, event), key=lambda item: item[0])
    return judged, findings[:FINDINGS_MAX]


def _answers(record: RunRecord) -> Iterator[tuple[int, Event]]:
    """Every answer to a status request, with the incarnation of its node."""
    incarnations: dict[str, int] = {}
    for event in record.of_kind("spawn", "role"):
        if event.kind == "spawn":
            incarnations[event["node"]] = event["incarnation"]
        elif event["fields"]:
            yield incarnations.get(event["node"], 1), event


def status_facts(record: RunRecord, names: Sequence[str]) -> list[StatusFact]:
    """What the answers say of these fields, as far as it holds together."""
    found = []
    last: dict[str, StatusFact] = {}
    for incarnation, event in _answers(record):
        node = event["node"]
        if "elects" not in record.capabilities(node):
            continue
        fields = {name: event["fields"].get(name, "") for name in names}
        fact = StatusFact(node, incarnation, event, event.get("role") or "", fields)
        before = last.get(node)
        last[node] = fact
        same = before is not None and (before.incarnation, before.role, before.fields) == (
            incarnation,
            fact.role,
            fields,
        )
        if same or "atomic_status" in record.capabilities(node):
            found.append(fact)
    return found
