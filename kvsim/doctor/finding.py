"""What one examination found: values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """`odd` works, and will surprise somebody; `ill` is to be mended; `not looked` says why in `seen`."""

    WELL = "well"
    ODD = "odd"
    ILL = "ill"
    NOT_LOOKED = "not looked"


@dataclass(frozen=True)
class Finding:
    """What was seen, what that means and what to do about it, in a sentence each (the last two are empty when all is well)."""

    health: Health
    seen: str
    meaning: str = ""
    cure: str = ""


def well(seen: str) -> Finding:
    return Finding(Health.WELL, seen)


def odd(seen: str, meaning: str, cure: str) -> Finding:
    return Finding(Health.ODD, seen, meaning, cure)


def ill(seen: str, meaning: str, cure: str) -> Finding:
    return Finding(Health.ILL, seen, meaning, cure)


def not_looked(why: str) -> Finding:
    return Finding(Health.NOT_LOOKED, why)
