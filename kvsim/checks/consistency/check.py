"""Judge a history by what its program guarantees: the entry of this package. Pure.

A guarantee decides which checks judge; all others measure.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from kvsim.checks import consistency
from kvsim.checks.consistency.case import CheckOptions, ConsistencyCheck, HistoryCase
from kvsim.checks.consistency.guarantees import GUARANTEES, complete_guarantees
from kvsim.checks.consistency.report import GuaranteeResult, GuaranteeStatus, Report
from kvsim.checks.consistency.result import ConsistencyResult
from kvsim.checks.verdict import Verdict
from kvsim.discovery import discover
from kvsim.history.history import History

NO_OPTIONS = CheckOptions()


def check(
    history: History, guarantees: Mapping[str, str], options: CheckOptions = NO_OPTIONS
) -> Report:
    """Judge `history` by `guarantees`: guarantee → level, as in a node.yaml.

    Raises UsageError for a guarantee or level that is not in the vocabulary.
    """
    levels = complete_guarantees(guarantees)
    case = HistoryCase(history, levels, options)
    results = {name: check.judge(case) for name, check in CHECKS.items()}
    judging = _judging(case)
    return Report(
        tuple(_guarantee(case, guarantee, level, results) for guarantee, level in levels.items()),
        tuple(
            replace(result, measures_only=name not in judging) for name, result in results.items()
        ),
        len(history.operations),
        history.origin,
    )


CHECKS: dict[str, ConsistencyCheck] = discover(consistency, ConsistencyCheck)


def _judging(case: HistoryCase) -> set[str]:
    """Names of the checks that judge; the others measure."""
    names = {name for name, check in CHECKS.items() if check.demanded(case)}
    for guarantee, level in case.guarantees.items():
        if not case.uncovered(guarantee):
            names.update(GUARANTEES[guarantee][level].checks)
    return names


def _guarantee(
    case: HistoryCase, guarantee: str, level: str, results: Mapping[str, ConsistencyResult]
) -> GuaranteeResult:
    """Whether one guarantee was kept, by the checks that judge it."""
    judged = [results[name] for name in GUARANTEES[guarantee][level].checks]
    status, why = _status(case.uncovered(guarantee), GUARANTEES[guarantee][level].means, judged)
    return GuaranteeResult(guarantee, level, status, why)


def _status(
    uncovered: str, means: str, judged: list[ConsistencyResult]
) -> tuple[GuaranteeStatus, str]:
    verdicts = [result.verdict for result in judged]
    if not judged:
        return GuaranteeStatus.NOTHING, means
    if uncovered and any(result.findings for result in judged):
        return GuaranteeStatus.NOT_GUARANTEED, f"it does not cover {uncovered}"
    if Verdict.FAIL in verdicts:
        broken = [result.name for result in judged if result.verdict is Verdict.FAIL]
        return GuaranteeStatus.BROKEN, f"see {', '.join(broken)}"
    if Verdict.UNKNOWN in verdicts:
        return GuaranteeStatus.UNDECIDED, "a check could not decide"
    exercised = [result for result in judged if result.exercised]
    if not exercised:
        return GuaranteeStatus.NOT_EXERCISED, "nothing happened that it is about"
    counts = [f"{result.name} judged {result.judged:,} {result.unit}" for result in exercised]
    missing = [result.name for result in judged if not result.exercised]
    also = f"; not exercised: {', '.join(missing)}" if missing else ""
    return GuaranteeStatus.KEPT, ", ".join(counts) + also
