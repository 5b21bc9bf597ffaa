"""What is tried and what came of it: frozen values, which travel as JSON between machines and into databases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from kvsim.errors import Exit


class Ending(StrEnum):
    """How one trial ended: a run's four verdicts, and what else may become of a process that was to make a run."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    INVALID = "invalid"
    SKIPPED = "skipped"  # the program lacks what the scenario needs
    OVERTIME = "overtime"  # it did not end within the time that was allowed, and was stopped
    ERROR = "error"  # kvsim itself gave no verdict: a mistake in the files, or its own fault
    INTERRUPTED = "interrupted"  # the user ended it


EXITS = {
    Ending.PASS: Exit.PASS,
    Ending.SKIPPED: Exit.INVALID,  # where nothing else was tried; nothing tested is not a pass
    Ending.INTERRUPTED: Exit.UNKNOWN,
    Ending.UNKNOWN: Exit.UNKNOWN,
    Ending.OVERTIME: Exit.UNKNOWN,
    Ending.INVALID: Exit.INVALID,
    Ending.ERROR: Exit.INTERNAL,
    Ending.FAIL: Exit.FAIL,
}
_ORDERLY = (Ending.PASS, Ending.UNKNOWN, Ending.INVALID, Ending.ERROR, Ending.FAIL)  # one a status
_BADNESS = list(EXITS)  # from best to worst: a violation that was found stays found
BAD = frozenset({Ending.FAIL, Ending.UNKNOWN, Ending.INVALID, Ending.OVERTIME, Ending.ERROR})


def worst_exit(exits: Iterable[Exit]) -> Exit:
    """The worst of several exit statuses, in the same order. Of none: invalid."""
    order = list(dict.fromkeys(EXITS[ending] for ending in _ORDERLY))
    return max(exits, key=order.index, default=Exit.INVALID)


def exit_of(endings: Mapping[str, int]) -> Exit:
    """The exit status of many trials, from how often each ending came: the worst one's. Of none: invalid."""
    seen = [Ending(word) for word, count in endings.items() if count]
    return EXITS[max(seen, key=_BADNESS.index)] if seen else Exit.INVALID


@dataclass(frozen=True)
class Trial:
    """One run to make: `kvsim run SCENARIO --seed SEED ARGUMENTS…`. `about` holds labels for tables (program, faults, …)."""

    scenario: str  # the file
    seed: int
    arguments: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for the same command line: what makes a trial one that was already made."""
        plain = json.dumps([self.scenario, self.seed, list(self.arguments)])
        return hashlib.sha256(plain.encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "arguments": list(self.arguments), "about": dict(self.about)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Trial:
        return cls(**{**fields, "arguments": tuple(fields["arguments"])})


@dataclass(frozen=True)
class Result:
    """What came of one trial.

    `place` is where it first went wrong (`step 2.1`, `check exits_clean`), `what` says it there without the run's own keys,
    ports and times, so that equal failures read the same; `why` is the message itself. `run` is the run directory, while it is kept.
    `digest` is the SHA-256 of the recorded history, `checks` each check's verdict. `limits` tell how time limits were meant (`how`),
    how far kvsim's own were stretched (`own`) and which one was used most (`closest`).
    """

    ending: Ending
    took_s: float
    exit: int | None = None
    place: str = ""
    what: str = ""
    why: str = ""
    run: str = ""
    digest: str = ""
    again: str = ""
    held: int = 0  # steps that passed …
    asked: int = 0  # … of so many steps, and one more for each check that was not held
    checks: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ending": str(self.ending), "checks": dict(self.checks)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Result:
        return cls(**{**fields, "ending": Ending(fields["ending"])})
