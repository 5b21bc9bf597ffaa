"""What the consistency checks judge: a history, the program's guarantees, the caller's options.

A read counts as the leader's when its node reported that it was the leader during all of it, or
when the history knows of at most one node. Of several nodes without roles, no read counts as the
leader's. Also here: what a consistency check declares. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from msgspec import Struct, field

from kvsim.checks.consistency.guarantees import uncovered_faults
from kvsim.checks.consistency.inferred.infer import infer
from kvsim.checks.consistency.leader_log import LeaderLog, leader_log_of
from kvsim.checks.consistency.masks import (
    ANY_OUTCOME,
    added,
    both,
    inverted,
    mask_of,
    rows_in,
)
from kvsim.checks.consistency.proved_keys import ProvedKeys, proved_keys
from kvsim.checks.consistency.result import ConsistencyResult
from kvsim.checks.consistency.role_periods import LEADER, RolePeriods, roles_throughout
from kvsim.checks.linearizability.budget import Budget
from kvsim.checks.linearizability.one_copy import one_copy_keys
from kvsim.checks.subject import Subject
from kvsim.history.history import History
from kvsim.history.numpy_module import numpy_pays
from kvsim.history.operations import NOWHERE, READS


class Minima(Struct, frozen=True):
    """The fewest operations that must be called in each phase of a fault, and reads of a write."""

    before: int = 1
    during: int = 1
    after: int = 1
    reads_of_writes: int = 1


class CheckOptions(Struct, frozen=True):
    """What a run demands beyond the program's guarantees; None and False demand nothing.

    Times are in nanoseconds. `available` demands an answer to every operation while no fault lasts,
    `leader_serves` only that a leader refuses none. With `followers_forward` a follower may accept
    a write, because it passes it on to the leader. `survives_power`: what was acknowledged has to
    survive power cuts, too, but for what was acknowledged within `power_loses_ns` before one: then
    the guarantees about reads do not cover power cuts. `certify` asks for a replayed order behind
    every "yes" of the exact deciders; None asks for it in a history of moderate size. `use_numpy`
    None: where it pays.
    """

    minima: Minima | None = None
    staleness_ns: int | None = None
    recover_within_ns: int | None = None
    available: bool = False
    leader_serves: bool = False
    settle_ns: int = 1_000_000_000
    followers_forward: bool = False
    survives_power: bool = False
    power_loses_ns: int = 0
    budget: Budget = field(default_factory=Budget)
    certify: bool | None = None
    use_numpy: bool | None = None


class HistoryCase:
    """A history to judge, and what several checks need to know about it.

    `guarantees` maps every guarantee to its level.
    """

    def __init__(
        self, history: History, guarantees: Mapping[str, str], options: CheckOptions
    ) -> None:
        self.history, self.guarantees, self.options = history, guarantees, options
        self.leader_log: LeaderLog | None = leader_log_of(history)
        self.roles = RolePeriods(history.samples)
        self._uncovered: dict[bool, str] = {}
        nodes = set(history.operations.node)
        self.one_store = nodes <= {NOWHERE} or (not self.roles and len(nodes) == 1)
        self.leader_mask, self.follower_mask = self._split()

    def _split(self) -> tuple[bytes, bytes]:
        """The rows judged as the leader's, and all reads that may be a follower's, as masks.

        The leader's are all writes, and the reads that it certainly served.
        """
        operations = self.history.operations
        if self.one_store:
            return b"\1" * len(operations), bytes(len(operations))
        reads = mask_of(operations, READS)
        others = inverted(mask_of(operations, READS, ANY_OUTCOME))
        throughout = roles_throughout(operations, self.roles, reads)
        served = [role == LEADER for role in throughout]
        by_leader = bytearray(map(served.__getitem__, operations.node))
        if None in throughout:
            for row in rows_in(reads):
                if throughout[operations.node[row]] is None:
                    by_leader[row] = self._served_by_leader(row)
        leader_reads = both(reads, by_leader)
        return added(others, leader_reads), both(reads, inverted(by_leader))

    def _served_by_leader(self, row: int) -> bool:
        operations = self.history.operations
        node = operations.node[row]
        name = None if node == NOWHERE else operations.nodes[node]
        period = self.roles.covering(name, operations.call_ns[row], operations.return_ns[row])
        return period is not None and period.role == LEADER

    def uncovered(self, guarantee: str) -> str:
        """What happened that a guarantee does not cover, as text; empty when it covers everything.

        All depend on what the guarantee about writes covers. Where the last writes may be lost,
        what was read of them need not be read again.
        """
        covers_power = self.options.survives_power
        if guarantee != "writes" and self.options.power_loses_ns:
            covers_power = False
        if covers_power not in self._uncovered:
            self._uncovered[covers_power] = uncovered_faults(
                self.history, self.guarantees["writes"], survives_power=covers_power
            )
        return self._uncovered[covers_power]

    @cached_property
    def leader_rows(self) -> list[int]:
        """The rows of `leader_mask`."""
        return [*rows_in(self.leader_mask)]

    @cached_property
    def follower_rows(self) -> list[int]:
        """The rows of `follower_mask`."""
        return [*rows_in(self.follower_mask)]

    @cached_property
    def use_numpy(self) -> bool:
        """Does numpy judge this history? By the options, else where it is faster."""
        if self.options.use_numpy is not None:
            return self.options.use_numpy
        return numpy_pays(len(self.history.operations))

    @cached_property
    def one_copy(self) -> bytes:
        """By key number: not 0 when all operations of the key, on whatever node, are linearizable.

        Decided once, for all checks that this implies something for. Failed compare-and-sets that
        do not name the value that they met are left out.
        """
        return one_copy_keys(
            self.history.operations, self._initial_numbers, use_numpy=self.use_numpy
        )

    @property
    def _initial_numbers(self) -> dict[int, int]:
        """Key number → value number, for the keys that were there from the start."""
        history = self.history
        numbers = history.operations.keys.numbers
        known = [numbers[key] for key in history.initial if key in numbers]
        return {key: history.initial_number(key) for key in known}

    @cached_property
    def proved_keys(self) -> ProvedKeys:
        """What `linearizable` need not decide key by key."""
        operations, answers, mask = self.history.operations, self.one_copy, self.leader_mask
        if self.linearizable_rows is None:
            mask = b"\1" * len(operations)
        elif self.use_numpy and not all(answers):
            # Keys that are not one copy on all nodes may be one at the leader.
            answers = one_copy_keys(operations, self._initial_numbers, use_numpy=True, mask=mask)
        return proved_keys(operations, answers, mask)

    @property
    def linearizable_rows(self) -> Sequence[int] | None:
        """The rows that `linearizable` judges; None means all."""
        if self.one_store or self.guarantees["follower_reads"] == "linearizable":
            return None
        return self.leader_rows

    @property
    def session_rows(self) -> Sequence[int] | None:
        """The rows that session guarantees judge; None means all.

        The leader's, when nothing is guaranteed of reads of followers.
        """
        if self.guarantees["follower_reads"] == "none" and not self.one_store:
            return self.leader_rows
        return None

    @cached_property
    def inferred(self) -> dict[str, ConsistencyResult]:
        """Prefix and session guarantees without a log, by check name.

        The order of writes rests on the leader's reads only where they are linearizable.
        """
        operations = self.history.operations
        rows = self.session_rows
        levels = (self.guarantees["leader_reads"], self.guarantees["follower_reads"])
        leader_reads: Iterable[int] = ()
        if "linearizable" in levels and not self.one_store:
            leader_reads = rows_in(both(self.leader_mask, mask_of(operations, READS)))
        if rows is None:
            rows = range(len(operations))
        return infer(
            self.history,
            self.follower_rows,
            rows,
            leader_reads,
            self.one_copy,
            use_numpy=self.use_numpy,
        )


def _never(case: HistoryCase) -> bool:
    return False


class ConsistencyCheck(Struct, frozen=True):
    """One check of a history. `order` places it among the others in reports, `subject` in
    summaries.

    It judges where a guarantee names it, or where `demanded` is true of the case; elsewhere it
    measures: its findings are reported and do not fail the run.
    """

    name: str
    judge: Callable[[HistoryCase], ConsistencyResult]
    order: int = 1_000
    demanded: Callable[[HistoryCase], bool] = _never
    subject: Subject = Subject.CONSISTENCY
