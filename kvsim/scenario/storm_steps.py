"""The verb `storm`: draw its schedule, write it down as an ordinary scenario, then run it like any held steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import yaml

from kvsim.config.lint import every_step
from kvsim.config.scenario import Step
from kvsim.config.scenario_file import read_steps
from kvsim.config.scenario_text import standing_alone, text_of
from kvsim.rundir import write_whole
from kvsim.scenario.context import Context, StepResult
from kvsim.scenario.weather import StepWords, schedule


def storm(context: Context, step: Step, nodes: list[str]) -> StepResult:
    """Run the faults that the seed gives. Their schedule stands in the run directory as a scenario that can be run again."""
    words = _drawn(context, step)
    context.journal.write("storm", id=step.id, schedule=[_line(one) for one in words])
    write_whole(context.run.replay, replay(context))
    text = yaml.safe_dump(words, sort_keys=False)
    steps = context.launcher.limits.stretched(read_steps(text, f"storm {step.id}", f"{step.id}."))
    return context.run_held(replace(step, steps=steps))


def replay(context: Context) -> str:
    """The scenario's text with every storm written out."""
    scenario = context.scenario
    storms = iter([_drawn(context, step) for step in every_step(scenario.steps) if step.verb == "storm"])
    document: dict[str, Any] = yaml.load(text_of(standing_alone(scenario)), Loader=yaml.BaseLoader)
    document["steps"] = list(_written_out(document["steps"], storms))
    head = f"# {scenario.label} with its storms as seed {context.seed} drew them; run it with --seed {context.seed}\n"
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _drawn(context: Context, step: Step) -> list[StepWords]:
    return schedule(step.fields, context.cluster, f"{context.seed}:{step.id}:storm")


def _written_out(steps: Iterable[Any], storms: Iterator[list[StepWords]]) -> Iterator[Any]:
    """The same steps, each storm replaced by its own, in the order in which storms stand in the file."""
    for step in steps:
        if "storm" in step:
            yield from next(storms)
        elif "steps" in step:
            yield {**step, "steps": list(_written_out(step["steps"], storms))}
        elif isinstance(step.get("fault"), dict):
            yield {"fault": {**step["fault"], "do": list(_written_out(step["fault"]["do"], storms))}}
        else:
            yield step


def _line(words: StepWords) -> str:
    return yaml.safe_dump(words, default_flow_style=True, sort_keys=False, width=1000).strip()
