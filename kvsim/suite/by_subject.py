"""What the parts of a test show, by subject: holds, broken, not known, not exercised.

From results to a table; starts nothing. The worst result wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from kvsim.errors import Exit
from kvsim.suite.parts import Part
from kvsim.suite.subjects import DIAGNOSTICS, SCENARIOS, SUBJECTS, entry_of, subject_of_check
from kvsim.trials.trial import Ending, TrialResult, exit_of

EXPECTATIONS = "expectations"
NO_EFFECT = "faults_have_evidence"
NO_TIME = "no time"
MESSAGE_MAX = 1200
# What differs between runs: the name of a node, numbers, and folders.
NUMBERED = re.compile(r"\bn\d+\b|\d+|/[^ ]*/")
DOCTOR = "doctor"


class State(StrEnum):
    """What a test shows of one subject, from best to worst."""

    NOT_EXERCISED = "not exercised"
    HOLDS = "holds"
    UNKNOWN = "not known"
    INVALID = "invalid"
    BROKEN = "broken"


ENDINGS = {
    State.HOLDS: Ending.PASS,
    State.NOT_EXERCISED: Ending.SKIPPED,
    State.UNKNOWN: Ending.UNKNOWN,
    State.INVALID: Ending.INVALID,
    State.BROKEN: Ending.FAIL,
}
STATES = list(State)
OF_VERDICT = {
    "pass": State.HOLDS,
    "fail": State.BROKEN,
    "unknown": State.UNKNOWN,
    "invalid": State.INVALID,
}


class Observed(Struct, frozen=True):
    """What one part shows of one subject. `what`: the check or diagnostic that shows it.

    `command` shows it again.
    """

    subject: str
    state: State
    part: str
    what: str
    message: str = ""
    command: str = ""

    def to_json(self) -> dict[str, str]:
        return {**asdict(self), "state": str(self.state)}


class SuiteResult(Struct):
    """Everything that a test has shown so far. `not_reached` are parts for which no time was left.

    `warnings` are for the user; no verdict depends on them.
    """

    observed: list[Observed] = field(default_factory=list)
    skipped: list[Part] = field(default_factory=list)
    not_reached: list[Part] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)

    def state_of(self, subject: str) -> State:
        """The worst of what was observed of a subject.

        That a check passed in runs which are about something else does not exercise a subject.
        """
        states = [one.state for one in self.observed if one.subject == subject]
        state = max(states, key=STATES.index, default=State.NOT_EXERCISED)
        if state is State.HOLDS and not self._is_exercised(subject):
            return State.NOT_EXERCISED
        return state

    def _is_exercised(self, subject: str) -> bool:
        about = {entry_of(one.part).subject for one in self.observed if one.part != DOCTOR}
        return subject in about or subject not in {one.subject for one in SCENARIOS.values()}

    def add_warnings(self, warnings: Iterable[str]) -> None:
        """Those that say the same, but for numbers (ports, paths of runs), are one warning."""
        for text in warnings:
            if self._without_numbers(text) not in map(self._without_numbers, self.warnings):
                self.warnings.append(text)

    @staticmethod
    def _without_numbers(text: str) -> str:
        return NUMBERED.sub("…", text)

    def of_subject(self, subject: str, *states: State) -> list[Observed]:
        """What was observed of a subject, each message once."""
        found = {
            (one.what, one.message): one
            for one in reversed(self.observed)
            if one.subject == subject and one.state in states
        }
        return list(reversed(found.values()))

    def reasons(self, subject: str) -> list[str]:
        """Why parts of a subject were not run, and what would exercise it."""
        skipped = (
            f"{part.name}: {part.skipped}" for part in self.skipped if part.subject == subject
        )
        late = (f"{part.name}: {NO_TIME}" for part in self.not_reached if part.subject == subject)
        quiet = (
            f"{one.part}: {one.message}"
            for one in self.observed
            if one.subject == subject and one.state is State.NOT_EXERCISED
        )
        return list(dict.fromkeys((*skipped, *quiet, *late)))

    @property
    def exit(self) -> Exit:
        """That of the worst part; invalid when nothing was tested."""
        endings = [ENDINGS[self.state_of(subject)] for subject in SUBJECTS]
        tested = [ending for ending in (*endings, *self.endings) if ending is not Ending.SKIPPED]
        return exit_of(tested)

    def to_json(self) -> dict[str, Any]:
        return {
            "exit": int(self.exit),
            "subjects": [
                {
                    "subject": subject,
                    "state": str(self.state_of(subject)),
                    "findings": [
                        one.to_json()
                        for one in self.of_subject(
                            subject, State.BROKEN, State.UNKNOWN, State.INVALID
                        )
                    ],
                    "not_exercised": self.reasons(subject),
                }
                for subject in SUBJECTS
            ],
            "warnings": self.warnings,
            "not_reached": len(self.not_reached),
        }


def observe_run(part: Part, result: TrialResult, proof: Any) -> Iterable[Observed]:
    """What one run shows. `proof` is its proof.json; None when it left none."""
    command = result.repeat_command
    if proof is None:
        yield Observed(part.subject, _without_proof(result), part.name, "", result.symptom, command)
        return
    for check in proof["checks"]:
        subject = subject_of_check(check["name"], part.name)
        if check["verdict"] == "not exercised":
            continue
        state, message = OF_VERDICT[check["verdict"]], _message(check)
        if _had_no_effect(check):
            state = State.NOT_EXERCISED
        yield Observed(subject, state, part.name, check["name"], message, command)


def is_settled(result: TrialResult, proof: Any) -> bool:
    """Whether a run need not be made again: it passed, failed, or would end so again."""
    if result.ending in {Ending.PASS, Ending.FAIL, Ending.SKIPPED, Ending.INTERRUPTED}:
        return True
    return proof is not None and any(map(_had_no_effect, proof["checks"]))


def observe_doctor(diagnoses: Sequence[Mapping[str, Any]], command: str) -> Iterable[Observed]:
    """What the doctor's diagnostics show."""
    for row in diagnoses:
        state = State.BROKEN if row["status"] == "error" else State.HOLDS
        if row["status"] == "skipped":
            continue
        text = "; ".join(filter(None, (row["observation"], row["meaning"], row["fix"])))
        message = text if state is State.BROKEN else ""
        subject = DIAGNOSTICS.get(row.get("module", ""), "manners")
        yield Observed(subject, state, DOCTOR, row["diagnostic"], message, command)


def warnings_of_run(proof: Any) -> list[str]:
    """What its checks warn of. `proof` as in `observe_run`."""
    checks = proof["checks"] if proof is not None else ()
    return [
        f"{check['name']}: {row['message']}"
        for check in checks
        for row in check.get("warnings", ())
    ]


def warnings_of(diagnoses: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{row['diagnostic']}: {row['observation']}; {row['fix']}"
        for row in diagnoses
        if row["status"] == "warning"
    ]


def _without_proof(result: TrialResult) -> State:
    return State.NOT_EXERCISED if result.ending is Ending.SKIPPED else State.UNKNOWN


def _had_no_effect(check: Mapping[str, Any]) -> bool:
    """Whether a fault could not be made to bite this program: then nothing of it was tested."""
    return bool(check["name"] == NO_EFFECT and check["verdict"] == "invalid")


def _message(check: Mapping[str, Any]) -> str:
    findings = [row for row in check["findings"] if row["verdict"] == check["verdict"]]
    if not findings:
        return ""
    first, more = findings[0], len(findings) - 1
    step = f"step {first['step']}: " if first["step"] else ""
    also = f" (and {more} more)" if more else ""
    return f"{step}{first['message']}"[:MESSAGE_MAX] + also
