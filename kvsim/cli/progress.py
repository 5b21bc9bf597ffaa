"""Live progress of a run on a terminal, on stderr; nothing at all when stderr is piped."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from kvsim.cli.terminal import is_terminal
from kvsim.config.scenario import Scenario, Step
from kvsim.scenario.context import StepResult

Show = Callable[[Step, str, StepResult | None], None]


def silent(step: Step, targets: str, result: StepResult | None) -> None:
    """No progress."""


@contextlib.contextmanager
def progress(scenario: Scenario) -> Iterator[Show]:
    """A callable that shows each step as it begins and ends."""
    if not is_terminal(sys.stderr):
        yield silent
        return
    from rich.console import Console

    total = len(scenario.steps)
    with Console(stderr=True).status(f"{scenario.name}: starting the nodes") as status:
        count = 0

        def show(step: Step, targets: str, result: StepResult | None) -> None:
            nonlocal count
            count += result is not None
            status.update(f"{scenario.name}  {count}/{total}  {step.id} {step.verb} at {targets or '…'}")

        yield show
