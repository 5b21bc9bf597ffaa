"""Schemas: small tables that define what a YAML file may hold. Readers, the published JSON Schemas
and the reference pages come out of the same tables.

`read` checks a YAML node: it returns plain values and reports every mistake to a `Validation`,
never only the first one. A value with a mistake comes back as WRONG and is left out. `build` then
makes the typed, frozen value. Sits above `yaml_nodes`, below the readers of files; does not know
the keys of any file.
"""

from kvsim.config.schema.base import WRONG, ScalarSchema, Schema, Validation, hint
from kvsim.config.schema.containers import ByNodeKind, ListOf, MapOf, Named, PlainData, Unread
from kvsim.config.schema.mapping import Field, Record, Values, describe
from kvsim.config.schema.scalars import (
    SIGNALS,
    WORD,
    Choice,
    Duration,
    Factor,
    Flag,
    Int,
    Pattern,
    Shift,
    Signal,
    Text,
    TimeLimit,
    compile_pattern,
    signal_of,
)
from kvsim.config.schema.size import Size

__all__ = [
    "SIGNALS",
    "WORD",
    "WRONG",
    "ByNodeKind",
    "Choice",
    "Duration",
    "Factor",
    "Field",
    "Flag",
    "Int",
    "ListOf",
    "MapOf",
    "Named",
    "Pattern",
    "PlainData",
    "Record",
    "ScalarSchema",
    "Schema",
    "Shift",
    "Signal",
    "Size",
    "Text",
    "TimeLimit",
    "Unread",
    "Validation",
    "Values",
    "compile_pattern",
    "describe",
    "hint",
    "signal_of",
]
