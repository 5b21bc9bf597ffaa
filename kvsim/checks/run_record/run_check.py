"""What a check of a run's record declares: its name, what it requires, how it judges."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from msgspec import Struct

from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding
from kvsim.history.run_record import RunRecord

# How many things were judged, and what was found against the run.
Judge = Callable[[RunRecord], tuple[int, list[Finding]]]

LAST = 1_000


class RunCheck(Struct, frozen=True):
    """A check. `about` states what it requires, `judges` what it judges, each as a sentence.

    `subject` is where summaries put it; `order` is its position in proofs and documentation.
    """

    name: str
    about: str
    judges: str
    judge: Judge
    subject: Subject
    order: int


def run_check(
    about: str, *, subject: Subject = Subject.MANNERS, order: int = LAST
) -> Callable[[Judge], RunCheck]:
    """Declare the decorated function as a check: its name and docstring become the check's."""

    def declare(judge: Judge) -> RunCheck:
        judges = " ".join((inspect.getdoc(judge) or "").split())
        return RunCheck(judge.__name__, about, judges, judge, subject, order)

    return declare
