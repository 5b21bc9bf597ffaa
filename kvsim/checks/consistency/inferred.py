"""Without the leader's log: prefix and session guarantees against any order of the writes that the leader's
own operations and all observations allow. Pure.

Key by key that is exact (`precedence`), as long as a key has no deletes; over all keys together it is sound
(`together`): what overlapped may go unseen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.chains import node_chains, session_chains
from kvsim.checks.consistency.clusters import Writes, writes_of
from kvsim.checks.consistency.lives import Lives
from kvsim.checks.consistency.picture import picture
from kvsim.checks.consistency.precedence import Circle, circle
from kvsim.checks.consistency.prefix import NAME as PREFIX
from kvsim.checks.consistency.prefix import NEVER_WRITTEN, NO_LIFE
from kvsim.checks.consistency.sessions import GUARANTEES
from kvsim.checks.consistency.together import Nodes, Seen, finding_of, lapses_of_session
from kvsim.checks.consistency.walked import Walked, walked
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, NEVER, OK, READS

ABOUT_PREFIX = (
    "each node's reads walk forward along some order of the writes that the leader's own operations allow"
)
NAMES = (PREFIX, *GUARANTEES)
OUTSIDE = "operations on keys with appends, values written twice or a value at the start, whose order only a log tells"
DELETED = "deletes, and reads that found nothing, of keys with deletes, whose order only a log tells"
NOT_LINEAR = "operations on keys for which the leader's own operations already have no order"


def by_key(
    history: History, followers: Sequence[int], sessions: Sequence[int], leader_rows: Collection[int]
) -> dict[str, Answer]:
    """`prefix` for the reads at `followers`, and every session guarantee for the operations at `sessions`.

    `leader_rows` are the reads that the leader served and that its order rests on. A key that satisfies all
    guarantees together, as keys mostly do, satisfies each, so that one graph decides it.
    """
    judging = _Judging(history, followers, sessions, leader_rows)
    for key, rows in history.operations.rows_by_key().items():
        judging.key(key, rows)
    judging.all_keys()
    return {name: judging.answer(name) for name in NAMES}


class _Judging:
    """All guarantees over one history: what was judged, found and left."""

    def __init__(
        self,
        history: History,
        followers: Sequence[int],
        sessions: Sequence[int],
        leader_rows: Collection[int],
    ) -> None:
        self.history, self.operations, self.lives = history, history.operations, Lives(history)
        self.followers = _marked(len(self.operations), followers)
        self.leaders = _marked(len(self.operations), leader_rows)
        self.walked: Walked = walked(self.operations, sessions)
        self.judged = Counter[str]()
        self.unjudged = {
            name: {OUTSIDE: 0, DELETED: 0, NOT_LINEAR: 0, NEVER_WRITTEN: 0, NO_LIFE: 0} for name in NAMES
        }
        self.findings: dict[str, list[Finding]] = {name: [] for name in NAMES}
        self.accused: dict[str, set[int]] = {name: set() for name in NAMES}  # keys with a finding
        self.seen: dict[int, Seen] = {}
        self.sessions_with: set[int] = set()  # clients whose times do not tell everything

    # --- one key

    def key(self, key: int, rows: Sequence[int]) -> None:
        operations, leaders = self.operations, self.leaders
        kinds, outcomes = operations.kind, operations.outcome
        reads = [row for row in rows if kinds[row] in READS and outcomes[row] == OK]
        writes = writes_of(operations, [row for row in reads if leaders[row]], rows)
        if writes is None or self.history.initial_number(key) != ABSENT:
            self._leave(rows, OUTSIDE)
        elif not writes.row and not writes.deletes:
            self._leave(rows, NEVER_WRITTEN)
        elif not writes.have_an_order():
            self._leave(rows, NOT_LINEAR)
        else:
            self._judge(key, rows, reads, writes)

    def _leave(self, rows: Sequence[int], why: str) -> None:
        self.unjudged[PREFIX][why] += sum(map(self.followers.__getitem__, rows))
        for name, count in self.walked.counts(rows).items():
            self.unjudged[name][why] += count

    def _judge(self, key: int, rows: Sequence[int], reads: Sequence[int], writes: Writes) -> None:
        values, leaders = self.operations.value, self.leaders
        left = [row for row in rows if values[row] not in writes.first]
        if left:  # on a key without deletes: a value that nobody wrote, as `genuine_reads` says
            self._leave(left, DELETED)
            rows = [row for row in rows if values[row] in writes.first]
            reads = [row for row in reads if values[row] in writes.first]
        for name, count in self.walked.counts(rows).items():
            self.judged[name] += count
        loose = [row for row in reads if not leaders[row]]
        self._see(loose, writes)
        self._circles(key, rows, loose, writes)

    def _see(self, reads: Sequence[int], writes: Writes) -> None:
        """Note what real time says of reads that the leader did not serve."""
        if not reads:
            return
        values, calls = self.operations.value, self.operations.call_ns
        over = writes.overwritten(self.operations, {values[row] for row in reads})
        for row in reads:
            value = values[row]
            writer = writes.row.get(value, -1)
            self.seen[row] = Seen(calls[writer] if writer >= 0 else -NEVER, writer, *over[value])

    def _circles(self, key: int, rows: Sequence[int], loose: Sequence[int], writes: Writes) -> None:
        process = self.operations.process
        clients = {process[row] for row in loose if self.walked.has(row)} | self.walked.tangled
        self.sessions_with |= clients
        mine = [row for row in rows if process[row] in clients and self.walked.has(row)] if clients else []
        if not loose and not mine:
            return
        untimed = {*loose, *(row for row in mine if process[row] in self.walked.tangled)}
        chains = {
            PREFIX: node_chains(self.operations, [row for row in loose if self.followers[row]], self.lives)
        }
        strongest = session_chains(self.operations, mine, "sequential", untimed)
        if circle(writes, [*chains[PREFIX], *strongest]) is None:
            return
        chains |= {name: session_chains(self.operations, mine, name, untimed) for name in GUARANTEES}
        for name, one in chains.items():
            found = circle(writes, one)
            if found is not None:
                self.accused[name].add(key)
                self.findings[name].append(_told(self.history, found))

    # --- all keys together

    def all_keys(self) -> None:
        operations = self.operations
        reads = [row for row in self.seen if self.followers[row]]
        nodes = Nodes(operations, self.seen, self.lives)
        self._tell(PREFIX, nodes.lapses(reads))
        self.judged[PREFIX] = nodes.judged
        self.unjudged[PREFIX][NO_LIFE] += nodes.left
        alone = self.sessions_with - self.walked.tangled
        sessions: dict[int, list[int]] = defaultdict(list)
        for row in self.walked.rows:
            if operations.process[row] in alone:
                sessions[operations.process[row]].append(row)
        for name, rule in GUARANTEES.items():
            if rule.reads_bound:
                for rows in sessions.values():
                    self._tell(name, lapses_of_session(rows, operations, self.seen, rule))

    def _tell(self, name: str, lapses) -> None:
        for lapse in lapses:
            if self.operations.key[lapse.read] not in self.accused[name]:
                self.findings[name].append(finding_of(self.history, lapse, len(self.findings[name])))

    def answer(self, name: str) -> Answer:
        judged = self.judged[name]
        about = ABOUT_PREFIX if name == PREFIX else GUARANTEES[name].about + ", by real time and observation"
        measured = {"order": "inferred from real time and what was observed"} if judged else {}
        unit = "reads" if name == PREFIX else "operations"
        return answer(
            name,
            about,
            judged,
            self.findings[name],
            unit=unit,
            unjudged=self.unjudged[name],
            measured=measured,
        )


def _marked(count: int, rows: Collection[int]) -> bytearray:
    marks = bytearray(count)
    for row in rows:
        marks[row] = 1
    return marks


def _told(history: History, found: Circle) -> Finding:
    operations = history.operations
    rows = sorted({row for pair in found.pairs for row in pair}, key=operations.call_ns.__getitem__)
    key = operations.keys[operations.key[rows[0]]] or ""
    values = " before ".join(_name(operations.values[value]) for value in (*found.values, found.values[0]))
    said = "; ".join(
        f"{whom(operations, before)} came before {whom(operations, after)}"
        for before, after in found.pairs[:3]
    )
    message = f"key {key!r}: its writes would have to be in a circle, {values}: {said}"
    return Violation(message, key=key, rows=tuple(rows), picture=picture(history, rows))


def _name(value: str | None) -> str:
    return "absent" if value is None else repr(value)
