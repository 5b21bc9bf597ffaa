"""What the targets inside a fault's words mean now: nodes. Shared by the builders of faults."""

from __future__ import annotations

import random

from kvsim.config.scenario import Step
from kvsim.config.target import Target
from kvsim.scenario.context import Context
from kvsim.scenario.targets import resolve


class NoTarget(Exception):
    """The words of a fault mean nobody now."""


def who(context: Context, step: Step, target: Target, salt: str = "") -> tuple[str, ...]:
    """The nodes a target means now. Raises NoTarget."""
    resolved = resolve(target, context.seen, random.Random(f"{context.seed}:{step.id}{salt}"))
    if resolved.problem:
        raise NoTarget(resolved.problem)
    return resolved.nodes
