"""The verb `fault`: turn its words into a fault, and run the held steps inside its scope. One builder a kind, in one table."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Step
from kvsim.errors import NodeFailed
from kvsim.faults import down
from kvsim.faults.crash import Crash
from kvsim.faults.fault import Fault, FaultFailed
from kvsim.faults.into import KillInto
from kvsim.faults.pause import Pause
from kvsim.faults.scope import scope
from kvsim.faults.subject import Subject
from kvsim.scenario import inside_faults, link_faults
from kvsim.scenario.context import PASSED, Context, StepResult, failed, worst_result
from kvsim.scenario.meaning import NoTarget, who
from kvsim.scenario.subjects import subject

Settings = Mapping[str, Any]


def fault(context: Context, step: Step, nodes: list[str]) -> StepResult:
    """Begin, run the held steps, heal. A fault that does not heal fails the step; a missing receipt is the check's to judge."""
    try:
        broken = build(context, step)
    except NoTarget as error:
        return failed(str(error))
    try:
        with scope(
            broken, context.journal.write, step=step.id, required=step.fields["receipt"] == "required"
        ) as found:
            inner = context.run_held(step)
            context.sessions.strike = None  # armed, and nobody asked
    except (NodeFailed, FaultFailed) as error:
        return failed(str(error))
    return worst_result([inner, *([failed("; ".join(found.unhealed))] if found.unhealed else [])])


def build(context: Context, step: Step) -> Fault:
    """The fault that a step's words mean now. Raises NoTarget."""
    kind = next(name for name in FAULTS if step.fields.get(name) is not None)
    return FAULTS[kind](context, step, step.fields[kind])


def _subjects(context: Context, step: Step, settings: Settings) -> tuple[Subject, ...]:
    return tuple(subject(context, name) for name in who(context, step, settings["at"]))


def _kill(context: Context, step: Step, settings: Settings) -> Fault:
    if settings["into"] is not None:
        return _kill_into(context, step, settings)
    return down.kill(_subjects(context, step, settings), settings["signal"])


def _kill_into(context: Context, step: Step, settings: Settings) -> Fault:
    """Struck by the next request of a step: the first one that the held steps send."""
    fault = KillInto(_subjects(context, step, settings), settings["into"], settings["signal"])
    context.sessions.strike = fault.around
    return fault


def _restart(context: Context, step: Step, settings: Settings) -> Fault:
    return down.restart(_subjects(context, step, settings))


def _pause(context: Context, step: Step, settings: Settings) -> Fault:
    return Pause(_subjects(context, step, settings))


def _crash(context: Context, step: Step, settings: Settings) -> Fault:
    seed = f"{context.seed}:{step.id}:damage"
    size = random.Random(seed).randint(1, settings["most"])
    return Crash(_subjects(context, step, settings), settings["file"], settings["how"], size, seed)


FAULTS: dict[str, Callable[[Context, Step, Settings], Fault]] = {
    "kill": _kill,
    "pause": _pause,
    "restart": _restart,
    "crash": _crash,
    **inside_faults.BUILDERS,
    **link_faults.BUILDERS,
}


def inner_result(results: list[tuple[str, StepResult]]) -> StepResult:
    """What the held steps come to: the worst of them, named."""
    bad = [(id_, one) for id_, one in results if one.verdict is not Verdict.PASS]
    if not bad:
        return PASSED
    return worst_result([StepResult(one.verdict, f"step {id_} inside it did not pass") for id_, one in bad])
