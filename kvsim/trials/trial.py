"""A trial is one `kvsim run`; its result is what came of it.

Frozen values that travel as JSON between machines and into databases.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from kvsim.errors import Exit
from kvsim.structs import to_dict


class Ending(StrEnum):
    """How one trial ended: the four verdicts of a run, and what else can happen to its process.

    `skipped`: the program lacks what the scenario needs. `overtime`: it was stopped because it did
    not end within its time limit. `error`: kvsim gave no verdict, because of a mistake in the files
    or its own fault. `interrupted`: the user ended it.
    """

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    INVALID = "invalid"
    SKIPPED = "skipped"
    OVERTIME = "overtime"
    ERROR = "error"
    INTERRUPTED = "interrupted"


# From best to worst: nothing outweighs a violation that was found.
EXITS = {
    Ending.PASS: Exit.PASS,
    # Of skipped trials only: nothing was tested, and that is not a pass.
    Ending.SKIPPED: Exit.INVALID,
    Ending.INTERRUPTED: Exit.UNKNOWN,
    Ending.UNKNOWN: Exit.UNKNOWN,
    Ending.OVERTIME: Exit.UNKNOWN,
    Ending.INVALID: Exit.INVALID,
    Ending.ERROR: Exit.INTERNAL,
    Ending.FAIL: Exit.FAIL,
}
_SEVERITY = list(EXITS)
# The same order for exit statuses, each of which several endings may share.
_EXIT_SEVERITY = (Exit.PASS, Exit.UNKNOWN, Exit.INVALID, Exit.INTERNAL, Exit.FAIL)
BAD = frozenset({Ending.FAIL, Ending.UNKNOWN, Ending.INVALID, Ending.OVERTIME, Ending.ERROR})


def worst_exit(exits: Iterable[Exit]) -> Exit:
    """The worst of several exit statuses; invalid when there are none."""
    return max(exits, key=_EXIT_SEVERITY.index, default=Exit.INVALID)


def exit_of(endings: Iterable[Ending]) -> Exit:
    """The exit status of many trials, from their endings: that of the worst ending.

    Invalid when there are none.
    """
    worst = max(endings, key=_SEVERITY.index, default=None)
    return Exit.INVALID if worst is None else EXITS[worst]


class Trial(Struct, frozen=True):
    """One run to make: `kvsim run SCENARIO --seed SEED ARGUMENTS…`; `scenario` is its file.

    `labels` are for tables (program, faults, …).
    """

    scenario: str
    seed: int
    arguments: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal for equal command lines: it identifies a trial that was already made."""
        command = json.dumps([self.scenario, self.seed, list(self.arguments)])
        return hashlib.sha256(command.encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        return {**to_dict(self), "arguments": list(self.arguments), "labels": dict(self.labels)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Trial:
        return cls(**{**fields, "arguments": tuple(fields["arguments"])})


class TrialResult(Struct, frozen=True):
    """What came of one trial. `exit` is its exit status, None after a signal.

    `failed_at`: where it first went wrong (`step 2.1 (put at n1)`, `check exits_clean`).
    `message`: what was wrong there. `symptom`: the message without the run's own keys, ports and
    times, so that equal failures have equal symptoms.

    `run`: the run directory, while it is kept. `digest`: the SHA-256 of the recorded history.
    `steps_passed` of `steps_total`; each check that failed counts as one more step. `checks`: each
    check's verdict. `time_limits`: how kvsim set its own time limits (`how`), their factor (`own`),
    and the limit that came closest (`closest`). `limits_reached`: limits of its sandbox, in words.
    """

    ending: Ending
    took_s: float
    exit: int | None = None
    failed_at: str = ""
    symptom: str = ""
    message: str = ""
    run: str = ""
    digest: str = ""
    repeat_command: str = ""
    steps_passed: int = 0
    steps_total: int = 0
    checks: Mapping[str, str] = field(default_factory=dict)
    time_limits: Mapping[str, Any] = field(default_factory=dict)
    limits_reached: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**to_dict(self), "ending": str(self.ending), "checks": dict(self.checks)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> TrialResult:
        reached = tuple(fields.get("limits_reached", ()))
        return cls(**{**fields, "ending": Ending(fields["ending"]), "limits_reached": reached})


# Called after each run with the number of runs made and the newest result.
OnProgress = Callable[[int, TrialResult], None]
