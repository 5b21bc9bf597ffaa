"""Judge a history by what its program promises: the door of this package. Pure.

A promise decides which checks judge; all others measure. Reads count as the leader's when their node called
itself leader all the while, or when the history knows of one node at most. Of several nodes without roles no
read is taken for the leader's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from kvsim.checks.consistency.answer import Answer
from kvsim.checks.consistency.available import available, recovers
from kvsim.checks.consistency.converged import converged
from kvsim.checks.consistency.exercised import Minima, exercised
from kvsim.checks.consistency.genuine import genuine_reads
from kvsim.checks.consistency.inferred import by_key
from kvsim.checks.consistency.leader_only import one_leader_per_epoch, writes_only_at_leader
from kvsim.checks.consistency.linear.search import Budget
from kvsim.checks.consistency.linearizable import linearizable
from kvsim.checks.consistency.lost_writes import lost_writes
from kvsim.checks.consistency.order import Order, order_of
from kvsim.checks.consistency.prefix import prefix
from kvsim.checks.consistency.promises import (
    COVERED,
    LEADER_CHANGE,
    MINORITY_ONLY,
    PROMISES,
    SESSION,
    checked_promises,
)
from kvsim.checks.consistency.report import PromiseResult, Report, Standing
from kvsim.checks.consistency.roles import Roles
from kvsim.checks.consistency.sessions import session_guarantee
from kvsim.checks.consistency.staleness import staleness
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FaultSpan, History
from kvsim.history.operations import NOWHERE, OK, READS

CERTIFIED_UP_TO = 100_000  # operations; a proof takes two or three times as long as the answer


@dataclass(frozen=True)
class Terms:
    """What a run demands beyond the program's promises; None and False demand nothing. Times in nanoseconds.

    `followers_forward` says that a follower may accept a write because it hands it to the leader. `certify`
    asks for a replayed order behind every "yes" of the exact deciders; None does so up to CERTIFIED_UP_TO
    operations.
    """

    minima: Minima | None = None
    staleness_ns: int | None = None
    recover_within_ns: int | None = None
    available: bool = False
    settle_ns: int = 1_000_000_000
    followers_forward: bool = False
    budget: Budget = field(default_factory=Budget)
    certify: bool | None = None
    use_numpy: bool | None = None


def check(history: History, promises: Mapping[str, str], terms: Terms = Terms()) -> Report:
    """Judge `history`. Raises UsageError for a promise that is not in the vocabulary."""
    words = checked_promises(promises)
    case = _Case(history, words, terms)
    answers = {name: run(case) for name, run in CHECKS.items()}
    judging = case.judging()
    checks = tuple(replace(one, measures_only=name not in judging) for name, one in answers.items())
    results = tuple(_promise(case, promise, word, answers) for promise, word in words.items())
    return Report(results, checks, len(history.operations), history.origin)


class _Case:
    """A history with what several checks need to know about it."""

    def __init__(self, history: History, words: Mapping[str, str], terms: Terms) -> None:
        self.history, self.words, self.terms = history, words, terms
        self.order: Order | None = order_of(history)
        self.roles = Roles(history.samples)
        self.uncovered = _uncovered(history, words["writes"])
        places = set(history.operations.node)
        self.placeless = places <= {NOWHERE} or (not self.roles and len(places) == 1)
        self.leader_rows, self.follower_rows = self._split()

    def _split(self) -> tuple[list[int], list[int]]:
        """Rows judged as the leader's (all writes, and reads it certainly served), and all reads that may
        be a follower's.
        """
        operations = self.history.operations
        if self.placeless:
            return list(range(len(operations))), []
        leader, follower = [], []
        for row, (kind, outcome) in enumerate(zip(operations.kind, operations.outcome, strict=True)):
            if kind not in READS:
                leader.append(row)
            elif outcome == OK:
                (leader if self._served_by_leader(row) else follower).append(row)
        return leader, follower

    def _served_by_leader(self, row: int) -> bool:
        operations = self.history.operations
        node = operations.node[row]
        name = None if node == NOWHERE else operations.nodes[node]
        tenure = self.roles.throughout(name, operations.call_ns[row], operations.return_ns[row])
        return tenure is not None and tenure.role == "leader"

    @property
    def linearizable_rows(self) -> list[int] | None:
        """Which rows `linearizable` judges; None means all."""
        return None if self.placeless or self.words["follower_reads"] == "linearizable" else self.leader_rows

    @property
    def session_rows(self) -> list[int] | None:
        """Which rows session guarantees judge: all, unless only the leader's are promised anything."""
        return self.leader_rows if self.words["follower_reads"] == "none" and not self.placeless else None

    @cached_property
    def inferred(self) -> dict[str, Answer]:
        """Prefix and session guarantees without a log. The order of writes rests on the leader's reads only
        where they are promised to tell it.
        """
        kind, outcome = self.history.operations.kind, self.history.operations.outcome
        rows = range(len(kind)) if self.session_rows is None else self.session_rows
        one_copy = "linearizable" in (self.words["leader_reads"], self.words["follower_reads"])
        served = self.leader_rows if one_copy and not self.placeless else ()
        leader_reads = [row for row in served if kind[row] in READS and outcome[row] == OK]
        return by_key(self.history, self.follower_rows, rows, leader_reads)

    def judging(self) -> set[str]:
        """Names of the checks that judge; the others measure."""
        names = {"genuine_reads", "writes_only_at_leader", "one_leader_per_epoch"}
        if self.terms.followers_forward:
            names.discard("writes_only_at_leader")
        if not self.uncovered:
            for promise, word in self.words.items():
                names.update(PROMISES[promise][word].checks)
        demanded = {
            "exercised": self.terms.minima is not None,
            "staleness": self.terms.staleness_ns is not None,
            "recovers": self.terms.recover_within_ns is not None,
            "available": self.terms.available,
        }
        return names | {name for name, wanted in demanded.items() if wanted}


def _uncovered(history: History, writes: str) -> str:
    """What happened that the program's promise about writes does not cover; empty when it covers everything."""
    happened = {fault.kind for fault in history.faults}
    if len({sample.node for sample in history.samples if sample.role == "leader"}) > 1:
        happened.add(LEADER_CHANGE)
    beyond = sorted(happened - COVERED[writes])
    if not beyond and writes in MINORITY_ONLY and _hit_a_majority(history):
        beyond = ["a majority killed at once"]
    return ", ".join(beyond)


def _hit_a_majority(history: History) -> bool:
    """Were half of the known nodes or more killed at one moment?"""
    known = {sample.node for sample in history.samples} | set(history.operations.nodes.strings)
    kills = [fault for fault in history.faults if fault.kind in ("kill", "restart")]
    return any(2 * len(_down_at(kills, kill.began_ns)) >= len(known) > 0 for kill in kills)


def _down_at(kills: list[FaultSpan], time_ns: int) -> set[str]:
    return {node for kill in kills if kill.began_ns <= time_ns <= kill.ended_ns for node in kill.nodes}


def _linearizable(case: _Case) -> Answer:
    terms = case.terms
    certify = len(case.history.operations) <= CERTIFIED_UP_TO if terms.certify is None else terms.certify
    return linearizable(
        case.history,
        case.linearizable_rows,
        budget=terms.budget,
        certify=certify,
        use_numpy=terms.use_numpy,
    )


def _prefix(case: _Case) -> Answer:
    if case.order is not None:
        return prefix(case.history, case.order, case.follower_rows)
    return case.inferred["prefix"]


def _session(name: str) -> Callable[[_Case], Answer]:
    def run(case: _Case) -> Answer:
        if case.order is not None:
            return session_guarantee(name, case.history, case.order, case.session_rows)
        return case.inferred[name]

    return run


CHECKS: dict[str, Callable[[_Case], Answer]] = {
    "linearizable": _linearizable,
    "genuine_reads": lambda case: genuine_reads(case.history),
    "lost_writes": lambda case: lost_writes(case.history, case.order),
    "writes_only_at_leader": lambda case: writes_only_at_leader(case.history),
    "one_leader_per_epoch": lambda case: one_leader_per_epoch(case.history),
    "prefix": _prefix,
    **{name: _session(name) for name in SESSION},
    "staleness": lambda case: staleness(case.history, case.order, limit_ns=case.terms.staleness_ns),
    "converged": lambda case: converged(case.history),
    "available": lambda case: available(case.history, case.terms.settle_ns),
    "recovers": lambda case: recovers(case.history, case.terms.recover_within_ns),
    "exercised": lambda case: exercised(case.history, case.terms.minima or Minima()),
}


def _promise(case: _Case, promise: str, word: str, answers: Mapping[str, Answer]) -> PromiseResult:
    """How one promise stands, from the checks that judge it."""
    names = PROMISES[promise][word].checks
    judged = [answers[name] for name in names]
    verdicts = [one.verdict for one in judged]
    if not names:
        return PromiseResult(promise, word, Standing.NOTHING, PROMISES[promise][word].means)
    if case.uncovered and any(one.findings for one in judged):
        return PromiseResult(promise, word, Standing.NOT_PROMISED, f"it does not cover {case.uncovered}")
    if Verdict.FAIL in verdicts:
        broken = [one.name for one in judged if one.verdict is Verdict.FAIL]
        return PromiseResult(promise, word, Standing.BROKEN, f"see {', '.join(broken)}")
    if Verdict.UNKNOWN in verdicts:
        return PromiseResult(promise, word, Standing.UNDECIDED, "a check could not decide")
    seen = [one for one in judged if one.exercised]
    if not seen:
        return PromiseResult(promise, word, Standing.NOT_EXERCISED, "nothing was seen that it is about")
    counts = ", ".join(f"{one.name} judged {one.judged:,} {one.unit}" for one in seen)
    missing = [one.name for one in judged if not one.exercised]
    also = f"; not exercised: {', '.join(missing)}" if missing else ""
    return PromiseResult(promise, word, Standing.KEPT, counts + also)
