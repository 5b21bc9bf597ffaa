"""Diagnostics: what each finds, how one is declared, and a run of all of them.

A diagnostic is a function with `@diagnostic("its question?")` in any module of `diagnostics/`.
A new file in that folder is found; there is no list to edit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from msgspec import Struct

from kvsim.discovery import discover
from kvsim.doctor import diagnostics
from kvsim.doctor.program_under_test import ProgramUnderTest
from kvsim.doctor.raw_requests import NoReply
from kvsim.errors import NodeFailed, UsageError
from kvsim.process.executable import SpawnError


class Status(StrEnum):
    """A warning works and can surprise its users; an error has to be fixed."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


class Diagnosis(Struct, frozen=True):
    """What was observed, what that means and how to fix it: one sentence each.

    `meaning` and `fix` are empty when the status is ok or skipped. A skipped diagnostic gives its
    reason in `observation`. `crash` says how the program ended, where it did: diagnostics that meet
    the same end have one finding.
    """

    status: Status
    observation: str
    meaning: str = ""
    fix: str = ""
    crash: str = ""


def ok(observation: str) -> Diagnosis:
    """Nothing to fix."""
    return Diagnosis(Status.OK, observation)


def warning(observation: str, meaning: str, fix: str) -> Diagnosis:
    """It works, and can surprise its users."""
    return Diagnosis(Status.WARNING, observation, meaning, fix)


def error(observation: str, meaning: str, fix: str, crash: str = "") -> Diagnosis:
    """It has to be fixed."""
    return Diagnosis(Status.ERROR, observation, meaning, fix, crash)


def skipped(reason: str) -> Diagnosis:
    """It could not be examined, for this reason."""
    return Diagnosis(Status.SKIPPED, reason)


Run = Callable[[ProgramUnderTest], Diagnosis]

# The position of a diagnostic that states none.
LAST = 1000


class Diagnostic(Struct, frozen=True):
    """One question about a program. `run` may raise NodeFailed, SpawnError, NoReply, UsageError.

    `needs_answers`: it proves nothing about a program that does not answer a plain request.
    """

    name: str
    order: int
    question: str
    run: Run
    needs_answers: bool = False

    def __call__(self, program: ProgramUnderTest) -> Diagnosis:
        """The diagnosis. Raises nothing for what the program does."""
        try:
            return self.run(program)
        except (NodeFailed, SpawnError, NoReply) as raised:
            return error(str(raised), "the diagnostic could not go on", "read the message")
        except UsageError as raised:
            return skipped(str(raised))


def diagnostic(
    question: str, *, order: int = LAST, needs_answers: bool = False
) -> Callable[[Run], Diagnostic]:
    """Declare a function as a diagnostic; the function's name is the diagnostic's.

    `order` is its position in the output.
    """
    return lambda run: Diagnostic(run.__name__, order, question, run, needs_answers)


@functools.cache
def all_diagnostics() -> Mapping[str, Diagnostic]:
    """Every diagnostic by name, in their order; the first is `starts`, which the others need."""
    return discover(diagnostics, Diagnostic)


def diagnose(
    program: ProgramUnderTest, chosen: Mapping[str, Diagnostic] | None = None
) -> Iterator[tuple[Diagnostic, Diagnosis]]:
    """Run diagnostics, all by default, one after another. `starts` has to be the first.

    All others are skipped when the program does not serve. A program that serves and whose log
    does not show it is examined. A leader that does not start alone is started with followers.
    """
    starts, *others = (all_diagnostics() if chosen is None else chosen).values()
    program, started = _start(starts, program)
    yield starts, started
    obstacle = "" if started.status is Status.OK or _serves(program) else "it does not start"
    unanswered = ""
    crashes: dict[str, str] = {}
    for other in others:
        reason = obstacle or (unanswered if other.needs_answers else "")
        diagnosis = skipped(reason) if reason else other(program)
        if diagnosis.crash in crashes:
            name = crashes[diagnosis.crash]
            diagnosis = skipped(f"it ended as in {name} ({diagnosis.crash}): fix that first")
        elif diagnosis.crash:
            crashes[diagnosis.crash] = other.name
        if other.name == ANSWERS and diagnosis.status is Status.ERROR:
            unanswered = f"it does not answer plain requests: see {ANSWERS}"
        yield other, diagnosis


# The diagnostic that finds out whether plain requests are answered.
ANSWERS = "answers_requests"


def _start(starts: Diagnostic, program: ProgramUnderTest) -> tuple[ProgramUnderTest, Diagnosis]:
    """The program as it can be started, with followers where a leader alone cannot."""
    alone = starts(program)
    with_followers = None if alone.status is Status.OK else program.with_followers()
    if with_followers is None:
        return program, alone
    started = starts(with_followers)
    if started.status is not Status.OK:
        return program, alone
    first_line = alone.observation.partition(";")[0].splitlines()[0]
    text = f"{started.observation}, with {with_followers.followers} followers; alone, {first_line}"
    return with_followers, ok(text)


def _serves(program: ProgramUnderTest) -> bool:
    try:
        with program.start():
            return True
    except (NodeFailed, SpawnError, UsageError):
        return False
