"""The language of faults as a table: every kind, what it does, its settings. Bottom layer; what a kind does stands in kvsim/faults/.

A new kind is one row here and one file there; docs/adding-a-fault.md walks through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kvsim.config.program_words import Signal
from kvsim.config.shape import Field, Int, Record, Text, Word
from kvsim.config.target_shape import OneTarget


@dataclass(frozen=True)
class Kind:
    """One row: what the fault does while its steps run, its settings, and the setting that a bare word stands for."""

    says: str
    fields: Mapping[str, Field]
    bare: str = "at"

    def record(self, name: str) -> Record:
        """The shape of what stands behind the kind."""
        return Record(name, self.fields, bare=self.bare)


AT = Field(OneTarget(), "whom it hits", required=True)
HOW = Word({"cut": "bytes are taken off the end", "garble": "bytes at the end are overwritten with others"})

FAULTS: dict[str, Kind] = {
    "kill": Kind(
        "kill the nodes; they are started again when the scope ends",
        {"at": AT, "signal": Field(Signal(), "the signal", default="KILL", shows="KILL")},
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
}


def fields() -> dict[str, Field]:
    """A field for each kind, for the verb `fault`."""
    return {name: Field(kind.record(name), kind.says) for name, kind in FAULTS.items()}
