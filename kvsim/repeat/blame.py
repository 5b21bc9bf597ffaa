"""Your store or my machine? The same runs against the reference store, under the same load, and what the two results mean. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvsim.repeat.summary import Summary
from kvsim.trials.rates import Rate
from kvsim.trials.trial import Ending


@dataclass(frozen=True)
class Blame:
    """Both results side by side, and the sentence that follows. `who` is store, machine or unclear."""

    who: str
    sentence: str
    mine: Rate
    reference: Rate

    def to_json(self) -> dict[str, Any]:
        return {
            "who": self.who,
            "sentence": self.sentence,
            "failed": self.mine.to_json(),
            "reference_failed": self.reference.to_json(),
        }


def blame(mine: Summary, reference: Summary, name: str) -> Blame:
    """Who is to blame for failures that come and go. An answer is given only where the two rates' confidence bounds do not meet."""
    rates = Rate(mine.bad, mine.made), Rate(reference.bad, reference.made)
    if reference.counts.get(Ending.SKIPPED):
        return Blame("unclear", f"unclear: the program {name} cannot run this scenario", *rates)
    who, sentence = _answer(*rates, name)
    slow = max(mine.slow, reference.slow)
    if slow > 1.0:
        sentence += f"; meanwhile this machine was up to {slow:g} times as slow as a quiet one"
    return Blame(who, sentence, *rates)


def _answer(mine: Rate, reference: Rate, name: str) -> tuple[str, str]:
    seen = f"{name} failed {reference.count} of {reference.total} runs of the same list under the same load"
    if not reference.count and mine.bounds[0] > reference.bounds[1]:
        return "store", f"your store, most likely: {seen}"
    if reference.count and mine.bounds[0] <= reference.bounds[1]:
        return "machine", f"this machine or the scenario, most likely: {seen}, too"
    if reference.count:
        return "unclear", f"both: {seen}; your store failed {mine.count} of {mine.total}"
    return (
        "unclear",
        f"unclear: {seen}, but yours failed only {mine.count} of {mine.total}; make more runs (-n)",
    )
