"""What a check is about, in one word: how summaries group checks."""

from __future__ import annotations

from enum import StrEnum


class Subject(StrEnum):
    """In the order of summaries."""

    ROLES = "roles"
    VALUES = "values"
    DURABILITY = "durability"
    REPLICATION = "replication"
    FAILOVER = "failover"
    CONSISTENCY = "consistency"
    RESOURCES = "resources"
    MANNERS = "manners"
