"""Time limits: whose a limit is, and how far it is stretched to fit a slow machine. Pure numbers; measures nothing, waits for nothing.

A limit of kvsim's own only says how long kvsim waits for something; on a machine that is ten times as slow it has to be ten times
as long. A limit that a user wrote is a promise about the store, and stands as it was written unless the user wants otherwise.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

CALIBRATED, AS_WRITTEN = "calibrated", "as-written"
TIMES = re.compile(r"x([0-9]{1,4}(?:\.[0-9]{1,3})?)")
MEANS = f"{CALIBRATED}, {AS_WRITTEN}, or a factor such as x3"


class Own(float):
    """Seconds that nobody wrote: kvsim's own limit for something."""


class Written(float):
    """Seconds that a user wrote as the limit of something."""


@dataclass(frozen=True)
class Limits:
    """How time limits are meant in one run: the factors for kvsim's own and for written ones.

    `how` is the word that asked for it; `measured` what a calibration found, by name.
    """

    how: str = AS_WRITTEN
    own: float = 1.0
    written: float = 1.0
    measured: Mapping[str, float] = field(default_factory=dict)

    def of(self, limit: float) -> float:
        """A limit as it holds in this run. Seconds that are no limit (a pause, a period) stay as they are."""
        factor = self.own if isinstance(limit, Own) else self.written if isinstance(limit, Written) else 1.0
        return limit if factor == 1.0 else type(limit)(round(limit * factor, 3))

    def stretched(self, value: T) -> T:
        """A frozen value (dataclasses, mappings, tuples) with every limit in it as it holds in this run."""
        return self._of_tree(value)

    def _of_tree(self, value: Any) -> Any:
        """The very same object where nothing in it changes."""
        if isinstance(value, float):
            return self.of(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if one.init}
            changed = self._changed(parts)
            return dataclasses.replace(value, **changed) if changed else value
        if isinstance(value, Mapping):
            changed = self._changed(value)
            return {**value, **changed} if changed else value
        if type(value) in (tuple, list):
            changed = self._changed(dict(enumerate(value)))
            return type(value)(changed.get(at, one) for at, one in enumerate(value)) if changed else value
        return value

    def _changed(self, parts: Mapping[Any, Any]) -> dict[Any, Any]:
        now = {name: self._of_tree(part) for name, part in parts.items()}
        return {name: part for name, part in now.items() if part is not parts[name]}

    def to_json(self) -> dict[str, Any]:
        return {"how": self.how, "own": self.own, "written": self.written, "measured": dict(self.measured)}


PLAIN = Limits()


def checked(word: str) -> str:
    """A word that says how time limits are meant. Raises ValueError for any other."""
    match = TIMES.fullmatch(word)
    if word in (CALIBRATED, AS_WRITTEN) or (match and float(match[1]) > 0):
        return word
    raise ValueError(f"{word!r}: expected {MEANS}")


def settled(word: str, measure: Callable[[], tuple[float, Mapping[str, float]]]) -> Limits:
    """The limits that a word asks for. `measure` gives a factor for this machine and what it comes from; it is called only
    where the word wants it. `x3` is pinned, and for all limits. Raises ValueError."""
    match = TIMES.fullmatch(checked(word))
    if match:
        return Limits(word, float(match[1]), float(match[1]))
    if word == AS_WRITTEN:
        return Limits(word)
    factor, measured = measure()
    return Limits(word, own=factor, measured=measured)


def spent(what: str, whose: str, used_s: float, limit: float) -> dict[str, Any]:
    """The fields of a `limit` event: something that had a time limit is over."""
    return {"what": what, "of": whose, "used_s": round(used_s, 4), "allowed_s": round(limit, 4)}
