"""Store or machine? The same runs against the reference store, under the same load."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from kvsim.trials.confidence import Rate
from kvsim.trials.repeat_summary import RepeatSummary
from kvsim.trials.trial import Ending


class Attribution(Struct, frozen=True):
    """Both failure rates and the conclusion. `cause` is store, machine or unclear."""

    cause: str
    sentence: str
    mine: Rate
    reference: Rate

    def to_json(self) -> dict[str, Any]:
        return {
            "cause": self.cause,
            "sentence": self.sentence,
            "failed": self.mine.to_json(),
            "reference_failed": self.reference.to_json(),
        }


def attribute(mine: RepeatSummary, reference: RepeatSummary, name: str) -> Attribution:
    """What causes failures that come and go; `name` is the reference store's.

    A cause is named only where the confidence bounds of the two rates do not overlap.
    """
    rates = Rate(mine.bad, mine.made), Rate(reference.bad, reference.made)
    if reference.counts.get(Ending.SKIPPED):
        sentence = f"unclear: the program {name} cannot run this scenario"
        return Attribution("unclear", sentence, *rates)
    cause, sentence = _conclude(*rates, name)
    slowdown = max(mine.slowdown, reference.slowdown)
    if slowdown > 1.0:
        sentence += f"; meanwhile this machine was up to {slowdown:g} times slower than when quiet"
    return Attribution(cause, sentence, *rates)


def _conclude(mine: Rate, reference: Rate, name: str) -> tuple[str, str]:
    fact = (
        f"{name} failed {reference.count} of {reference.total} runs of the same list "
        "under the same load"
    )
    overlap = mine.bounds[0] <= reference.bounds[1]
    if reference.count and overlap:
        return "machine", f"this machine or the scenario, most likely: {fact}, too"
    if reference.count:
        return "unclear", f"both: {fact}; your store failed {mine.count} of {mine.total}"
    if overlap:
        return (
            "unclear",
            f"unclear: {fact}, but yours failed only {mine.count} of {mine.total}; "
            "make more runs (-n)",
        )
    return "store", f"your store, most likely: {fact}"
