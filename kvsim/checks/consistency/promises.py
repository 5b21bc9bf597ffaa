"""The vocabulary of promises that a program makes in its node.yaml, and which checks judge each. One table;
pure.

    promises: {writes: durable_at_majority, leader_reads: linearizable, follower_reads: prefix}

What a program does not promise is measured, and told, but never failed. `writes` also says which faults the
promises stand under: when a run had a fault that they do not cover, everything that follows from a lost
write is measured only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kvsim.errors import UsageError


@dataclass(frozen=True)
class Word:
    """One word a promise can be: what it means, and the checks that judge it."""

    means: str
    checks: tuple[str, ...] = ()


SESSION = ("read_your_writes", "monotonic_reads", "monotonic_writes", "writes_follow_reads", "sequential")

PROMISES: dict[str, dict[str, Word]] = {
    "writes": {
        "acked_by_leader": Word(
            "the leader has it in memory: lost when the leader is killed, or another node becomes leader",
            ("lost_writes",),
        ),
        "durable_at_leader": Word(
            "the leader has it on disk: survives a restart of the leader, not another node in its place",
            ("lost_writes",),
        ),
        "durable_at_majority": Word(
            "a majority has it on disk: survives any minority, and a change of leader",
            ("lost_writes",),
        ),
        "durable_at_all": Word(
            "every node has it on disk: survives as long as one node does",
            ("lost_writes",),
        ),
    },
    "leader_reads": {
        "linearizable": Word("what the leader serves behaves as one copy", ("linearizable",)),
        "sequential": Word("each client sees the leader's order, perhaps late", ("sequential",)),
        "none": Word("nothing is promised"),
    },
    "follower_reads": {
        "linearizable": Word("any node's reads behave as one copy", ("linearizable", "prefix", "converged")),
        "sequential": Word(
            "each client sees the leader's order, perhaps late", ("prefix", "sequential", "converged")
        ),
        "read_your_writes": Word(
            "a client sees its own acknowledged writes", ("prefix", "read_your_writes", "converged")
        ),
        "monotonic_reads": Word("a client never goes back", ("prefix", "monotonic_reads", "converged")),
        "prefix": Word(
            "each follower shows ever longer prefixes of the leader's order", ("prefix", "converged")
        ),
        "none": Word("nothing is promised; a follower may have nothing at all"),
    },
}

# what each word of `writes` stands under; a change of leader is found in the role samples
LEADER_CHANGE = "a change of leader"
ALWAYS_COVERED = frozenset(
    {"cut", "blackhole", "delay", "bandwidth", "stall", "slice", "drop", "pause", "partition", "clock"}
)
COVERED: dict[str, frozenset[str]] = {
    "acked_by_leader": ALWAYS_COVERED,
    "durable_at_leader": ALWAYS_COVERED | {"kill", "restart", "disk"},
    "durable_at_majority": ALWAYS_COVERED | {"kill", "restart", "disk", LEADER_CHANGE},
    "durable_at_all": ALWAYS_COVERED | {"kill", "restart", "disk", LEADER_CHANGE},
}
MINORITY_ONLY = frozenset({"durable_at_majority"})


def checked_promises(promises: Mapping[str, str]) -> dict[str, str]:
    """`promises` with every promise in it (`none`, or `acked_by_leader` for writes). Raises UsageError for
    other words.
    """
    whole = {"writes": "acked_by_leader", "leader_reads": "none", "follower_reads": "none"}
    for promise, word in promises.items():
        if promise not in PROMISES:
            raise UsageError(f"promises: there is no {promise!r}; promises are {', '.join(PROMISES)}")
        if word not in PROMISES[promise]:
            raise UsageError(
                f"promises: {promise} cannot be {word!r}; it is one of {', '.join(PROMISES[promise])}"
            )
        whole[promise] = word
    return whole


def table() -> str:
    """The vocabulary as a table of text, for help and documentation."""
    rows = [
        f"{promise:15} {word:20} {meaning.means}"
        for promise, words in PROMISES.items()
        for word, meaning in words.items()
    ]
    return "\n".join(rows)
