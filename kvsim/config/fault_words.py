"""The language of faults as a table: every kind, what it does, its settings. Bottom layer; what a kind does stands in kvsim/faults/.

A new kind is one row here and one file there; docs/adding-a-fault.md walks through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kvsim.config.common_words import Signal
from kvsim.config.shape import Duration, Factor, Field, Flag, Int, ListOf, Record, Shift, Text, Word
from kvsim.config.target_shape import End, OneTarget


@dataclass(frozen=True)
class Kind:
    """One row: what the fault does while its steps run, its settings, and the setting that a bare word stands for.

    `by_traffic`: only what nodes or clients do meanwhile can show that it bites. `preloads`: nodes have to be started with a library
    of kvsim's in them. `only_with`: setting → (another setting, the values of it that this one is for).
    """

    says: str
    fields: Mapping[str, Field]
    bare: str = "at"
    by_traffic: bool = False
    preloads: bool = False
    only_with: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    def record(self, name: str) -> Record:
        """The shape of what stands behind the kind."""
        return Record(name, self.fields, bare=self.bare)


AT = Field(OneTarget(), "whom it hits", required=True)
HOW = Word({"cut": "bytes are taken off the end", "garble": "bytes at the end are overwritten with others"})

BOTH = Field(Flag(), "the way back too", default=True, shows="yes")
ENDS = {
    "from": Field(End(), "whose bytes: `client` (kvsim's own clients) or a target", required=True),
    "to": Field(End(), "for whom", required=True),
    "both": BOTH,
}
SHAPES = {
    "leader alone": "the leader on one side, all others on the other",
    "one follower alone": "one follower, drawn from the seed, on one side",
    "minority and majority": "two sides drawn from the seed",
    "ring of majorities": "each node reaches a majority, and no two the same one (of three nodes: one link is cut)",
}


def _link(says: str, fields: Mapping[str, Field] | None = None) -> Kind:
    return Kind(says, {**ENDS, **(fields or {})}, bare="", by_traffic=True)


# `links:` in the cluster file → what cannot be done to them, and why
NOT_CARRIED: dict[str, dict[str, str]] = {
    "proxied": {},
    "netns": {"slice": "packets pass whole there"},
}

LINKS: dict[str, Kind] = {
    "cut": _link("reset the connections of links, and every new one"),
    "blackhole": _link(
        "swallow all bytes on links; proxies reset connections that lost some when the scope ends"
    ),
    "stall": _link("hold all bytes on links; they arrive when the scope ends"),
    "delay": _link(
        "let bytes arrive later",
        {
            "by": Field(Duration(), "by how much", required=True),
            "jitter": Field(Duration(), "give or take up to", default=0.0, shows="0ms"),
        },
    ),
    "bandwidth": _link(
        "let no more bytes through a second",
        {"rate": Field(Int(1, 10**9, "bytes a second"), "how many", required=True)},
    ),
    "slice": _link(
        "cut what is sent into small pieces",
        {
            "bytes": Field(
                Int(1, 65536, "a number of bytes"), "at most so many a piece", default=1, shows="1"
            ),
            "gap": Field(Duration(), "time between two pieces", default=0.0, shows="0ms"),
        },
    ),
    "drop": _link(
        "reset a connection now and then",
        {
            "percent": Field(
                Int(1, 100, "a probability in percent"), "for each piece that is sent", required=True
            )
        },
    ),
    "partition": Kind(
        "part the nodes from each other; clients reach them all",
        {
            "into": Field(Word(SHAPES), "the sides", required=True),
            "how": Field(
                Word({"blackhole": "bytes are swallowed", "cut": "connections are reset"}),
                "what parted nodes meet",
                default="blackhole",
                shows="blackhole",
            ),
        },
        bare="into",
        by_traffic=True,
    ),
}

DISKS = {
    "full": "nothing new fits: what would make a file longer fails with ENOSPC",
    "failing": "calls fail with EIO",
    "slow": "each sync takes longer",
}
CALLS = {"write": "what writes, or asks for room", "sync": "fsync, fdatasync and their like"}

INSIDE: dict[str, Kind] = {
    "disk": Kind(
        "break what the nodes have under their data directories",
        {
            "at": AT,
            "how": Field(Word(DISKS), "what is wrong with it", default="full", shows="full"),
            "calls": Field(
                ListOf(Word(CALLS), least=1, one=True),
                "of a failing disk: which calls",
                shows="[write, sync]",
            ),
            "percent": Field(
                Int(1, 100, "a probability in percent"),
                "of a failing disk: how many of these calls fail, drawn from the seed",
                shows="100",
            ),
            "by": Field(Duration(), "of a slow disk: how much longer a sync takes", shows="50ms"),
        },
        by_traffic=True,
        preloads=True,
        only_with={
            "calls": ("how", ("failing",)),
            "percent": ("how", ("failing",)),
            "by": ("how", ("slow",)),
        },
    ),
    "clock": Kind(
        "move the wall clock of the nodes, or let it run fast or slow; their monotonic clock stays true",
        {
            "at": AT,
            "by": Field(Shift(), "how far ahead (+) or behind (-)", required=True),
            "rate": Field(
                Factor(0.1, 10, "how many seconds pass on it in one"),
                "how fast it goes",
                default=1.0,
                shows="1",
            ),
        },
        bare="",
        by_traffic=True,
        preloads=True,
    ),
}

FAULTS: dict[str, Kind] = {
    "kill": Kind(
        "kill the nodes; they are started again when the scope ends",
        {
            "at": AT,
            "signal": Field(Signal(), "the signal", default="KILL", shows="KILL"),
            "into": Field(
                Duration(),
                "so long after the first request of the steps in `do` has been sent, and into it if it is not answered by then",
                shows="at once",
            ),
        },
    ),
    "pause": Kind("stop every thread of the nodes; they go on when the scope ends", {"at": AT}),
    "restart": Kind("stop the nodes in order; they are started again when the scope ends", {"at": AT}),
    "crash": Kind(
        "kill the nodes and damage the end of a file in their data directory, as a torn write would",
        {
            "at": AT,
            "file": Field(
                Text("a pattern for names of files"), "which file: the newest that fits", required=True
            ),
            "how": Field(HOW, "what happens to its end", default="cut", shows="cut"),
            "most": Field(
                Int(1, 1 << 20, "bytes"), "at most so many bytes, drawn from the seed", default=64, shows="64"
            ),
        },
    ),
    **INSIDE,
    **LINKS,
}


def fields() -> dict[str, Field]:
    """A field for each kind, for the verb `fault`."""
    return {name: Field(kind.record(name), kind.says) for name, kind in FAULTS.items()}
