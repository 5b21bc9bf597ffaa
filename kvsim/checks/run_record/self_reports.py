"""Checks of what a node says of itself in its status: its number of keys, its index, its process.

Only a node that has led from its first start is judged by the writes that it has acknowledged: what
another node has is a matter of replication.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding, warning
from kvsim.history.journal import Event
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import RequestRecord, RunRecord

# Requests whose effect on the keys is not known.
OPAQUE = frozenset({"raw"})


class KnownKeys(Struct):
    """The keys that a leader certainly has, and those that it may have, by what was requested."""

    node: str
    present: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)

    def add(self, write: RequestRecord) -> None:
        key, outcome = write.key or "", write.outcome
        if outcome.kind is OutcomeKind.REFUSED or write.missed:
            return
        if outcome.kind is not OutcomeKind.OK or write.node != self.node:
            # It may happen at any time from now on, or on another node only.
            self.uncertain.add(key)
        elif write.verb == "delete":
            self.present.discard(key)
        else:
            self.present.add(key)

    @property
    def least(self) -> int:
        return len(self.present - self.uncertain)

    @property
    def most(self) -> int:
        return len(self.present | self.uncertain)


@run_check(
    "The number of keys in a leader's status is that of the keys it acknowledged",
    subject=Subject.VALUES,
    order=115,
)
def status_counts_keys(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every status of a node that has led since its first start, where nothing but steps has
    written, and no fault damaged data.
    """
    if not _is_plain(record):
        return 0, []
    judged, findings = 0, []
    known: KnownKeys | None = None
    for event, writes in _reports_of_leader(record):
        known = known or KnownKeys(event["node"])
        for write in writes:
            known.add(write)
        count = event["fields"].get("keys", "")
        if not count.isdecimal():
            continue
        judged += 1
        low, high = known.least, known.most
        if not low <= int(count) <= high:
            expected = str(low) if low == high else f"{low} to {high}"
            text = (
                f"{event['node']} reports {count} keys; by what it acknowledged it has {expected}"
            )
            findings.append(Finding(text, event["step"], event["node"]))
    return judged, findings[:1]


@run_check(
    "The index in a leader's status rises when it acknowledges a write, and never falls",
    subject=Subject.REPLICATION,
    order=165,
)
def status_index_rises(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every status after another one of a node that has led since its first start."""
    judged, findings = 0, []
    last: Event | None = None
    values: dict[str, str | None] = {}
    for event, writes in _reports_of_leader(record):
        index = event["fields"].get("index", "")
        if not index.isdecimal():
            continue
        wrote = [write for write in writes if _has_changed(write, event["node"], values)]
        if last is not None:
            judged += 1
            before = int(last["fields"]["index"])
            if int(index) < before or (wrote and int(index) == before):
                why = f" although it acknowledged `{wrote[0].verb} {wrote[0].key}`" if wrote else ""
                text = f"{event['node']} reports index {index} after index {before}{why}"
                findings.append(Finding(text, event["step"], event["node"]))
        last = event
    return judged, findings[:1]


@run_check("A status names the process id of its own node", order=236)
def status_names_own_pid(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every status with a `pid`, by the processes that kvsim has seen of the node. Another
    number is a warning: in a namespace of its own a process has another number.
    """
    pids = _pids_of(record)
    judged, texts = 0, dict[str, str]()
    for event in record.of_kind("role"):
        pid, node = event["fields"].get("pid", ""), event["node"]
        if not pid.isdecimal() or node not in pids:
            continue
        judged += 1
        if int(pid) not in pids[node]:
            seen = " and ".join(map(str, sorted(pids[node])))
            texts.setdefault(node, f"{node} reports pid {pid}; its processes had pid {seen}")
    return judged, [warning(text, node=node) for node, text in texts.items()]


def _pids_of(record: RunRecord) -> Mapping[str, set[int]]:
    found: dict[str, set[int]] = {}
    for event in record.of_kind("spawn", "adopted", "owner"):
        if event["pid"] is not None:
            found.setdefault(event["node"], set()).add(event["pid"])
    return found


def _is_plain(record: RunRecord) -> bool:
    """Whether the requests of steps explain all keys."""
    others = any(record.of_kind("load_start")) or any(
        request.verb in OPAQUE for request in record.operations
    )
    damaged = any(fault.traits.damages_data for fault in record.faults)
    return not (others or damaged or record.meta["attached"])


def _reports_of_leader(record: RunRecord) -> Iterator[tuple[Event, list[RequestRecord]]]:
    """The statuses of the only node that ever led, until it is started again, each with the writes
    to all nodes since the one before.
    """
    roles = list(record.of_kind("role"))
    leading = {event["node"] for event in roles if event.get("role") == "leader"}
    if len(leading) != 1:
        return
    (node,) = leading
    ended_s = min((event.at_s for event in record.of_kind("exit")), default=float("inf"))
    since_s = 0.0
    for event in roles:
        if event["node"] != node or event["how"] != "reports" or event.at_s >= ended_s:
            continue
        yield (
            event,
            [write for write in record.writes if since_s < write.completed_s <= event.at_s],
        )
        since_s = event.at_s


def _has_changed(write: RequestRecord, node: str, values: dict[str, str | None]) -> bool:
    """Whether a put to the node was acknowledged that changed its key. Updates `values`, the last
    of each key.
    """
    done = write.outcome.kind is OutcomeKind.OK and write.node == node
    if write.verb != "put" or not done:
        values.pop(write.key or "", None)
        return False
    changed = values.get(write.key or "", "") != write.value
    values[write.key or ""] = write.value
    return changed
