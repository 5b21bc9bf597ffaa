"""The time modifiers: ask once, again until it is so (`eventually`), or all the time (`always`). Knows no verb."""

from __future__ import annotations

import time
from collections.abc import Callable

from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Timing
from kvsim.scenario.context import PASSED, StepResult
from kvsim.waiting import Deadline, TimedOut, wait_until

ALWAYS_PAUSE_S = 0.02


def timed(once: Callable[[], StepResult], timing: Timing, met: Callable[[Deadline], None]) -> StepResult:
    """The result of `once` under a step's time modifier; `within` is the business of whoever asks. `met` hears of a deadline
    before which it was so.
    """
    if timing.eventually_s is not None:
        deadline = Deadline.after(timing.eventually_s)
        result = _eventually(once, deadline)
        if result is PASSED:
            met(deadline)
        return result
    if timing.always_s is not None:
        return _always(once, timing.always_s)
    return once()


def _eventually(once: Callable[[], StepResult], deadline: Deadline) -> StepResult:
    results: list[StepResult] = []

    def met() -> bool:
        results.append(once())
        return results[-1].verdict is Verdict.PASS

    try:
        wait_until(met, deadline, "the expectation to be met")
    except TimedOut:
        last = results[-1]
        said = f"not within {deadline.budget_s:g}s; {len(results)} tries; last: {last.why}"
        return StepResult(last.verdict, said)
    return PASSED


def _always(once: Callable[[], StepResult], period_s: float) -> StepResult:
    deadline = Deadline.after(period_s)
    count = 0
    while True:
        result = once()
        count += 1
        if result.verdict is not Verdict.PASS:
            return StepResult(result.verdict, f"at try {count}: {result.why}")
        if deadline.passed() and count > 1:
            return PASSED
        time.sleep(min(ALWAYS_PAUSE_S, deadline.left_s()))
