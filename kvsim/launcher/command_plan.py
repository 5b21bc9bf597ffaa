"""Commands and stop sequences with their templates filled in, as values that a file can hold.

How a node is stopped is decided when it is started: a later edit of the cluster file, or its loss,
changes nothing for a process that runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from kvsim.structs import to_dict


class CommandPlan(Struct, frozen=True):
    """A command beside a node: an absolute `cwd`, and what its environment adds to the usual one.

    `inherit`: it gets the environment of kvsim.
    """

    argv: tuple[str, ...]
    cwd: str
    variables: Mapping[str, str]
    inherit: bool = False
    user: str | None = None


class PlannedStopStep(Struct, frozen=True):
    """Send `signal`, or run `command`; then wait up to `wait_s` for the process tree to end."""

    signal: str | None
    wait_s: float
    command: CommandPlan | None = None


def stop_steps_to_json(steps: tuple[PlannedStopStep, ...]) -> list[dict[str, Any]]:
    return [to_dict(step) for step in steps]


def stop_steps_from_json(value: Any) -> tuple[PlannedStopStep, ...]:
    """Raises KeyError, TypeError or ValueError when `stop_steps_to_json` did not write it."""
    return tuple(
        PlannedStopStep(
            None if entry["signal"] is None else str(entry["signal"]),
            float(entry["wait_s"]),
            None if entry["command"] is None else _command(entry["command"]),
        )
        for entry in value
    )


def _command(entry: Mapping[str, Any]) -> CommandPlan:
    return CommandPlan(**{**entry, "argv": tuple(map(str, entry["argv"]))})
