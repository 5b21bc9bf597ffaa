"""Which keys of a history are linearizable: all keys in one pass over the columns, with numpy.

Decides as `zones.decide` does, failed compare-and-sets aside, but answers only "yes": a key without
a "yes" is for the deciders of one key, which also name the reason. Tests hold the answers equal.

Every operation gets times on one axis, on which each key has its own section: what is true of the
zones of one key is then true of the zones of all keys together, and no key needs its own pass.
A section begins with the instant of the initial value and ends with the instant "never".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Any

from kvsim.history.numpy_module import numpy
from kvsim.history.operations import (
    ABSENT,
    CAS,
    CAS_MISSED,
    DELETE,
    OK,
    PUT,
    READS,
    REFUSED,
    UNKNOWN,
    Operations,
)

# An axis may be this long, so that sums of two times fit 64 bits.
AXIS_MAX = 1 << 61
# Not the number of a cluster: the value is absent, or no client wrote it.
NO_CLUSTER = -1
EVENTS_AT_ONCE = 1 << 16


def one_copy_keys(
    operations: Operations, initial: Mapping[int, int], mask: bytes | None = None
) -> bytes:
    """One byte a key number: 1 when the operations of that key are linearizable by exact deciders.

    `initial` maps key numbers to the value numbers that they begin with (not there: absent).
    Operations that are 0 in `mask`, one byte a row, are left out, and failed compare-and-sets that
    do not name the value that they met. A key without operations
    is linearizable. Raises RuntimeError without numpy.
    """
    np = numpy()
    if np is None:
        raise RuntimeError("numpy is not installed")
    if not len(operations):
        return b"\1" * len(operations.keys)
    return _AllKeys(np, operations, initial, mask).decide()


class _AllKeys:
    """The decision about all keys, step by step. `rejected` are the keys without a "yes".

    Clusters are numbered: first the writes, in the order of their rows, then the initial value of
    each key. `call` and `until` of a cluster are its write's, `first` the earliest return and
    `last` the latest call in it.
    """

    def __init__(
        self, np: Any, operations: Operations, initial: Mapping[int, int], mask: bytes | None
    ) -> None:
        self.np = np
        self.key_count = len(operations.keys)
        self.value_count = len(operations.values)
        self.rejected = np.zeros(self.key_count, bool)
        self.initial = np.full(self.key_count, ABSENT, np.int64)
        for key, value in initial.items():
            self.initial[key] = value
        self.key = np.frombuffer(operations.key, np.int64)
        self.kind = np.frombuffer(operations.kind, np.int8)
        self.value = np.frombuffer(operations.value, np.int64)
        self.expected = np.frombuffer(operations.expected, np.int64)
        self.outcome = np.frombuffer(operations.outcome, np.int8)
        if mask is not None:
            chosen = np.frombuffer(mask, np.bool_)
            self.outcome = np.where(chosen, self.outcome, np.int8(REFUSED))
        self._make_axis(
            np.frombuffer(operations.call_ns, np.int64),
            np.frombuffer(operations.return_ns, np.int64),
        )

    def decide(self) -> bytes:
        self._sort_operations()
        self._make_clusters()
        self._read_clusters()
        self._link_chains()
        self._make_zones()
        self._reject_conflicts()
        if self.may_be_absent.any():
            self._explain_absences()
        answers: bytes = (~self.rejected).astype(self.np.int8).tobytes()
        return answers

    def _make_axis(self, call: Any, until: Any) -> None:
        """Times on the common axis: `call`, `until`, `before` and `never` by key."""
        np = self.np
        known = self.outcome != UNKNOWN
        begin = int(call.min())
        end = max(int(call.max()), int(until.max(where=known, initial=begin)))
        if (end - begin + 3) * self.key_count >= AXIS_MAX:
            # Only the order of times counts: their ranks are as good, and short.
            times, ranks = np.unique(np.concatenate((call, until)), return_inverse=True)
            call, until = ranks[: len(call)], ranks[len(call) :]
            begin, end = 0, len(times)
        self.section = end - begin + 3
        self.before = np.arange(self.key_count, dtype=np.int64) * self.section
        self.never = self.before + (self.section - 1)
        shift = self.before[self.key] + (1 - begin)
        self.call = call + shift
        self.until = np.where(known, until, end + 1)
        self.until += shift

    def _sort_operations(self) -> None:
        """Rows by what they do. What certainly did not happen, and what has no answer, is out."""
        np, kind = self.np, self.kind
        happened = self.outcome != REFUSED
        is_write = (kind == PUT) | (kind == CAS)
        is_read = np.isin(kind, [*READS])
        is_delete = kind == DELETE
        self.writes = np.flatnonzero(is_write & happened)
        self.reads = np.flatnonzero(is_read & (self.outcome == OK))
        self.deletes = np.flatnonzero(is_delete & happened)
        known = is_write | is_read | is_delete | (kind == CAS_MISSED)
        self.rejected[self.key[happened & ~known]] = True
        self.may_be_absent = np.zeros(self.key_count, bool)
        self.may_be_absent[self.key[self.deletes]] = True
        consumes_absent = happened & (kind == CAS) & (self.expected == ABSENT)
        self.may_be_absent[self.key[consumes_absent]] = True

    def _make_clusters(self) -> None:
        """The clusters, and how a value of a key finds its own."""
        np, writes = self.np, self.writes
        self.write_key, written = self.key[writes], self.value[writes]
        is_initial = (written == ABSENT) | (written == self.initial[self.write_key])
        self.rejected[self.write_key[is_initial]] = True
        self.cluster_key = np.concatenate(
            (self.write_key, np.arange(self.key_count)), dtype=np.int32, casting="same_kind"
        )
        self.by_value = np.full(self.value_count, NO_CLUSTER, np.int32)
        self.by_value[written] = np.arange(len(writes))
        # A value that two keys have, or that is written twice, is found by (key, value) instead.
        self.values_are_unique = int((self.by_value >= 0).sum()) == len(writes)
        if not self.values_are_unique:
            pair = self.write_key * self.value_count + written
            self.by_pair = np.argsort(pair, kind="stable")
            self.pairs = pair[self.by_pair]
            twice = self.pairs[1:][self.pairs[1:] == self.pairs[:-1]]
            self.rejected[twice // self.value_count] = True
        self.cluster_call = np.concatenate((self.call[writes], self.before))
        self.cluster_until = np.concatenate((self.until[writes], self.before))

    def _clusters_of(self, key: Any, value: Any) -> Any:
        """The clusters of some values of keys. NO_CLUSTER where the value has none.

        "Absent" has one where it can only be the state before the first write.
        """
        np = self.np
        if self.values_are_unique:
            found = self.by_value[value]
        elif not len(self.pairs):
            found = np.full(len(value), NO_CLUSTER, np.int64)
        else:
            pair = key * self.value_count + value
            at = np.minimum(np.searchsorted(self.pairs, pair), len(self.pairs) - 1)
            found = np.where(self.pairs[at] == pair, self.by_pair[at], NO_CLUSTER)
        found[(found >= 0) & (self.cluster_key[found] != key)] = NO_CLUSTER
        is_initial = value == self.initial[key]
        is_initial &= (value != ABSENT) | ~self.may_be_absent[key]
        found[is_initial] = len(self.writes) + key[is_initial]
        return found

    def _read_clusters(self) -> None:
        """The earliest return and the latest call of the reads of each cluster."""
        np, reads = self.np, self.reads
        key, value = self.key[reads], self.value[reads]
        cluster = self._clusters_of(key, value)
        nowhere = cluster == NO_CLUSTER
        is_absence = nowhere & (value == ABSENT) & self.may_be_absent[key]
        self.absences = reads[is_absence]
        self.rejected[key[nowhere & ~is_absence]] = True
        del key, value, is_absence
        if nowhere.any():
            reads, cluster = reads[~nowhere], cluster[~nowhere]
        never = self.never[self.cluster_key]
        self.is_answered = self.cluster_until < never
        self.read_first, self.read_last = never.copy(), self.before[self.cluster_key]
        np.minimum.at(self.read_first, cluster, self.until[reads])
        np.maximum.at(self.read_last, cluster, self.call[reads])
        self.is_read = self.read_first < never
        # Read too early.
        self.rejected[self.cluster_key[self.read_first < self.cluster_call]] = True

    def _link_chains(self) -> None:
        """Join each compare-and-set that happened to the cluster that it consumed.

        One with an unknown outcome happened when its value was read, or was consumed itself.
        """
        np = self.np
        count = len(self.cluster_key)
        self.root = np.arange(count, dtype=np.int32)
        self.is_cas = np.zeros(count, bool)
        self.is_cas[: len(self.writes)] = self.kind[self.writes] == CAS
        self.is_kept = self.is_answered | self.is_read
        cas = np.flatnonzero(self.is_cas)
        if not len(cas):
            return
        rows = self.writes[cas]
        consumed = np.full(count, NO_CLUSTER, np.int64)
        expected = self.expected[rows]
        consumed[cas] = self._clusters_of(self.key[rows], expected)
        from_nowhere = np.zeros(count, bool)
        from_nowhere[cas] = (consumed[cas] == NO_CLUSTER) & (expected != ABSENT)
        self._keep_consumed(cas, consumed)
        kept = cas[self.is_kept[cas]]
        self.rejected[self.cluster_key[kept[from_nowhere[kept]]]] = True
        linked = kept[consumed[kept] != NO_CLUSTER]
        self.is_kept[consumed[linked]] = True
        times_consumed = np.bincount(consumed[linked], minlength=count)
        self.rejected[self.cluster_key[times_consumed > 1]] = True
        self._reject_unordered_chains(linked, consumed)

    def _keep_consumed(self, cas: Any, consumed: Any) -> None:
        """Keep the compare-and-sets that kept ones consumed, and those that these consumed."""
        np = self.np
        ahead = cas[self.is_kept[cas]]
        while len(ahead):
            before = consumed[ahead]
            before = before[before != NO_CLUSTER]
            ahead = np.unique(before[~self.is_kept[before] & self.is_cas[before]])
            self.is_kept[ahead] = True

    def _reject_unordered_chains(self, linked: Any, consumed: Any) -> None:
        """Find the first cluster of each chain, and reject chains that return before they begin.

        Every link doubles its reach in each round, so that a chain of n links takes log n rounds.
        `latest` is the latest call in what a link has reached.
        """
        np = self.np
        own_latest = np.maximum(self.cluster_call, self.read_last)
        self.root[linked] = consumed[linked]
        latest = np.full(len(self.root), np.iinfo(np.int64).min)
        latest[linked] = own_latest[consumed[linked]]
        ahead = linked
        for _ in range(len(linked).bit_length() + 1):
            reached = self.root[ahead]
            going_on = self.root[reached] != reached
            ahead, reached = ahead[going_on], reached[going_on]
            latest[ahead] = np.maximum(latest[ahead], latest[reached])
            self.root[ahead] = self.root[reached]
        # A root that is a link itself: these compare-and-sets depend on each other in a cycle.
        is_link = np.zeros(len(self.root), bool)
        is_link[linked] = True
        self.rejected[self.cluster_key[linked[is_link[self.root[linked]]]]] = True
        too_early = (self.cluster_until[linked] < latest[linked]) | (
            self.read_first[linked] < latest[linked]
        )
        self.rejected[self.cluster_key[linked[too_early]]] = True

    def _make_zones(self) -> None:
        """The zone of each chain, forward and backward ones apart, both by time."""
        np = self.np
        # Without reads and followers, initial values and unknown puts need no instant.
        needed = self.is_kept.copy()
        needed[len(self.writes) :] = False
        needed |= self.is_read
        links = np.flatnonzero(self.root != np.arange(len(self.root)))
        needed[self.root[links]] = True
        needed[links] = False
        first = np.minimum(self.cluster_until, self.read_first)
        last = np.maximum(self.cluster_call, self.read_last)
        np.minimum.at(first, self.root[links], first[links])
        np.maximum.at(last, self.root[links], last[links])
        needed &= ~self.rejected[self.cluster_key]
        forward = np.flatnonzero(needed & (first < last))
        # The axis has a section for each key: the order by time is also the order by key.
        forward = forward[np.argsort(first[forward], kind="stable")]
        backward = np.flatnonzero(needed & (first >= last))
        self.forward = _Zones(forward, first[forward], last[forward])
        self.backward = _Zones(backward, first[backward], last[backward])

    def _reject_conflicts(self) -> None:
        """Forward zones that overlap, and backward zones inside a forward one."""
        np, forward, backward = self.np, self.forward, self.backward
        overlap = forward.first[1:] < forward.last[:-1]
        self.rejected[self.cluster_key[forward.cluster[1:][overlap]]] = True
        if not len(forward.first):
            return
        at = np.searchsorted(forward.first, backward.last, side="left") - 1
        inside = (at >= 0) & (backward.first < forward.last[np.maximum(at, 0)])
        self.rejected[self.cluster_key[backward.cluster[inside]]] = True

    # Absences, see `absences`.

    def _clip(self, start: Any, end: Any) -> tuple[Any, Any]:
        """Ends of windows without the forward zones, and which windows are empty."""
        np, forward = self.np, self.forward
        if not len(forward.first):
            return end, np.zeros(len(end), bool)
        at = np.searchsorted(forward.first, start, side="left") - 1
        empty = (at >= 0) & (end < forward.last[np.maximum(at, 0)])
        at = np.maximum(np.searchsorted(forward.first, end, side="right") - 1, 0)
        inside = (forward.first[at] <= end) & (end < forward.last[at])
        return np.where(inside, forward.first[at], end), empty

    def _explain_absences(self) -> None:
        np = self.np
        judged = self.may_be_absent & ~self.rejected
        events = [self._begin_events(judged)]
        events += self._reader_events(judged)
        events += self._delete_events(judged)
        events += self._zone_events(judged)
        time = np.concatenate([event[0] for event in events])
        kind = np.concatenate([np.full(len(event[0]), event[1], np.int8) for event in events])
        item = np.concatenate([event[2] for event in events])
        other = np.concatenate([event[3] for event in events])
        del events
        order = np.lexsort((kind, time))
        self.rejected[_sweep(_in_blocks(order, (time, kind, item, other)))] = True

    def _begin_events(self, judged: Any) -> _Events:
        """The section of a key begins: `other` is 1 when the key is absent at first."""
        keys = self.np.flatnonzero(judged)
        return self.before[keys], BEGIN_KEY, keys, self.initial[keys] == ABSENT

    def _reader_events(self, judged: Any) -> list[_Events]:
        rows = self.absences[judged[self.key[self.absences]]]
        start = self.call[rows]
        end, empty = self._clip(start, self.until[rows])
        self.rejected[self.key[rows[empty]]] = True
        return [(end, END_READER, rows, start)]

    def _delete_events(self, judged: Any) -> list[_Events]:
        rows = self.deletes[judged[self.key[self.deletes]]]
        start = self.call[rows]
        end, empty = self._clip(start, self.until[rows])
        self.rejected[self.key[rows[empty]]] = True
        ends = end < self.never[self.key[rows]]
        return [
            (start, OPEN_DELETE, rows, end),
            (end[ends], END_DELETE, rows[ends], start[ends]),
        ]

    def _zone_events(self, judged: Any) -> list[_Events]:
        zones = self.backward
        chosen = judged[self.cluster_key[zones.cluster]]
        cluster, start, end = zones.cluster[chosen], zones.last[chosen], zones.first[chosen]
        clipped, empty = self._clip(start, end)
        end = self.np.where(empty, end, clipped)
        consumes = self.is_cas[cluster]
        kills = ~consumes
        forward = self.forward
        ahead = judged[self.cluster_key[forward.cluster]]
        return [
            (start[consumes], OPEN_CONSUMER, cluster[consumes], end[consumes]),
            (end[consumes], END_CONSUMER, cluster[consumes], start[consumes]),
            (end[kills], END_KILLER, cluster[kills], start[kills]),
            (
                forward.first[ahead],
                BEGIN_ZONE,
                forward.cluster[ahead],
                self.is_cas[forward.cluster[ahead]],
            ),
        ]


class _Zones:
    """Zones in columns: the first cluster of each chain, and the zone's ends."""

    def __init__(self, cluster: Any, first: Any, last: Any) -> None:
        self.cluster, self.first, self.last = cluster, first, last


# Times, the kind of event, items (rows, clusters or keys), and what else the event needs.
_Events = tuple[Any, int, Any, Any]

# In the order in which they count at one instant, as in `absences`.
(
    BEGIN_KEY,
    OPEN_DELETE,
    OPEN_CONSUMER,
    END_READER,
    END_KILLER,
    END_DELETE,
    END_CONSUMER,
    BEGIN_ZONE,
) = range(8)


def _in_blocks(order: Any, columns: tuple[Any, ...]) -> Iterator[tuple[int, ...]]:
    """The rows of some columns as Python's integers, in an order: a block of them at a time, since
    they need several times the memory of the columns.
    """
    for begin in range(0, len(order), EVENTS_AT_ONCE):
        rows = order[begin : begin + EVENTS_AT_ONCE]
        yield from zip(*(column[rows].tolist() for column in columns), strict=True)


def _sweep(events: Iterable[tuple[int, ...]]) -> list[int]:
    """The keys with an absence that nothing explains: the sweep of `absences`, all keys in turn.

    Each event is time, kind, item and what else it needs. One loop without calls: it is the only
    part that goes over the events one by one.
    """
    unexplained: list[int] = []
    key, failed, absent = -1, False, False
    # See `absences._Sweep`.
    last_absent = last_clear = -1
    deletes: list[tuple[int, int]] = []
    consumers: list[tuple[int, int]] = []
    used_deletes: set[int] = set()
    used_consumers: set[int] = set()
    for time, kind, item, other in events:
        if kind == BEGIN_KEY:
            key, failed, absent = item, False, bool(other)
            last_absent = last_clear = -1
            deletes, consumers = [], []
        elif failed:
            continue
        elif kind == END_KILLER:
            if absent and other > last_clear:
                _take(consumers, used_consumers)
                absent, last_absent = False, time
        elif kind == OPEN_DELETE:
            heappush(deletes, (other, item))
        elif kind == END_DELETE:
            if item not in used_deletes:
                if absent:
                    _take(consumers, used_consumers)
                used_deletes.add(item)
                absent, last_clear = True, time
        elif kind == OPEN_CONSUMER:
            heappush(consumers, (other, item))
        elif kind == END_READER:
            if not absent and last_absent < other:
                failed = not _take(deletes, used_deletes)
                absent, last_clear = True, time
        elif kind == END_CONSUMER:
            if item not in used_consumers:
                if not absent:
                    failed = not _take(deletes, used_deletes)
                    last_clear = time
                used_consumers.add(item)
                absent, last_absent = False, time
        elif other:
            # A forward zone that begins with a compare-and-set from "absent".
            if not absent:
                failed = not _take(deletes, used_deletes)
                last_clear = time
            absent, last_absent = False, time
        else:
            if absent:
                _take(consumers, used_consumers)
                last_absent = time
            absent = False
        if failed:
            unexplained.append(key)
    return unexplained


def _take(waiting: list[tuple[int, int]], used: set[int]) -> bool:
    """Use the waiting item with the earliest deadline; False when none waits."""
    while waiting:
        item = heappop(waiting)[1]
        if item not in used:
            used.add(item)
            return True
    return False
