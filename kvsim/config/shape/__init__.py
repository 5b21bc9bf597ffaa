"""Shapes: small tables that say what may stand in a YAML file, and from which reader, JSON Schema and docs all come.

A shape reads one tree into plain values and adds every mistake it sees to the `Reading`, never only the first. What could not
be read comes back as WRONG and is left out. Sits above `yaml_tree.py`, below the
readers of files; knows no word of their languages. `base.py` says what a shape is; then one file each for texts, for records and for
what is made of other shapes.
"""

from kvsim.config.shape.base import WRONG, OfScalar, Reading, Shape
from kvsim.config.shape.compound import ByKind, Kept, ListOf, MapOf, Named, Plain
from kvsim.config.shape.record import Field, Record, Values, described
from kvsim.config.shape.scalar import (
    Duration,
    Factor,
    Flag,
    Int,
    Pattern,
    Shift,
    Text,
    TimeLimit,
    Word,
    compile_pattern,
)

__all__ = [
    "WRONG",
    "ByKind",
    "Duration",
    "Factor",
    "Field",
    "Flag",
    "Int",
    "Kept",
    "ListOf",
    "MapOf",
    "Named",
    "OfScalar",
    "Pattern",
    "Plain",
    "Reading",
    "Record",
    "Shape",
    "Shift",
    "Text",
    "TimeLimit",
    "Values",
    "Word",
    "compile_pattern",
    "described",
]
