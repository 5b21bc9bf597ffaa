"""Time limits: whether a limit is a default or a user's, and its factor on a slow machine.

Pure numbers; measures nothing and waits for nothing. A default limit is only how long kvsim waits:
on a machine that is ten times as slow it has to be ten times as long. A limit that a user writes is
a requirement on the store; it changes only when the user asks for a factor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import asdict, replace

T = TypeVar("T")

CALIBRATED, AS_WRITTEN = "calibrated", "as-written"
FACTOR = re.compile(r"x([0-9]{1,4}(?:\.[0-9]{1,3})?)")
EXPECTED = f"{CALIBRATED}, {AS_WRITTEN}, or a factor such as x3"


class DefaultTimeout(float):
    """Seconds that no user wrote: a default limit of kvsim."""


class UserTimeout(float):
    """Seconds that a user wrote as a limit."""


class Timeouts(Struct, frozen=True):
    """The factors of time limits in one run.

    `how` is what the user asked for: `calibrated`, `as-written` or a factor. `measured` are the
    results of a calibration, by name.
    """

    how: str = AS_WRITTEN
    default_factor: float = 1.0
    user_factor: float = 1.0
    measured: Mapping[str, float] = field(default_factory=dict)

    def of(self, limit: float) -> float:
        """The limit, scaled for this run. Seconds that are no limit (a pause) do not change."""
        factor = 1.0
        if isinstance(limit, DefaultTimeout):
            factor = self.default_factor
        elif isinstance(limit, UserTimeout):
            factor = self.user_factor
        return limit if factor == 1.0 else type(limit)(round(limit * factor, 3))

    def scaled(self, value: T) -> T:
        """A frozen value (Structs, mappings, tuples) with every limit in it scaled.

        The same object where nothing in it changes.
        """
        scaled: T = self._scaled(value)
        return scaled

    def _scaled(self, value: Any) -> Any:
        if isinstance(value, float):
            return self.of(value)
        if isinstance(value, Struct):
            changed = self._changed(asdict(value))
            return replace(value, **changed) if changed else value
        if isinstance(value, Mapping):
            changed = self._changed(value)
            return {**value, **changed} if changed else value
        if type(value) in (tuple, list):
            changed = self._changed(dict(enumerate(value)))
            items = (changed.get(index, item) for index, item in enumerate(value))
            return type(value)(items) if changed else value
        return value

    def _changed(self, parts: Mapping[Any, Any]) -> dict[Any, Any]:
        scaled = {name: self._scaled(part) for name, part in parts.items()}
        return {name: part for name, part in scaled.items() if part is not parts[name]}

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "measured": dict(self.measured)}


PLAIN = Timeouts()


def parse_time_limits(text: str) -> str:
    """Check the value of `--time-limits`, and return it. Raises ValueError."""
    match = FACTOR.fullmatch(text)
    if text in (CALIBRATED, AS_WRITTEN) or (match and float(match[1]) > 0):
        return text
    raise ValueError(f"{text!r}: expected {EXPECTED}")


def timeouts_for(how: str, measure: Callable[[], tuple[float, Mapping[str, float]]]) -> Timeouts:
    """The factors for a value of `--time-limits`. Raises ValueError.

    `measure` returns a factor for this machine and the figures that it is computed from; it is
    called only for `calibrated`. A factor such as `x3` applies to all limits.
    """
    match = FACTOR.fullmatch(parse_time_limits(how))
    if match:
        return Timeouts(how, float(match[1]), float(match[1]))
    if how == AS_WRITTEN:
        return Timeouts(how)
    factor, measured = measure()
    return Timeouts(how, default_factor=factor, measured=measured)


def timeout_usage(what: str, subject: str, used_s: float, limit: float) -> dict[str, Any]:
    """The fields of a `limit` event: how much of a time limit was used, by which node or step."""
    return {"what": what, "of": subject, "used_s": round(used_s, 4), "allowed_s": round(limit, 4)}
