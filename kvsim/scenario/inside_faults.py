"""Faults inside nodes out of their words: disks and clocks. One builder a kind; carries nothing out."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from kvsim.config.scenario import Step
from kvsim.faults.clock import Clock
from kvsim.faults.disk.fault import Disk
from kvsim.faults.disk.rule import CALLS, SLOW_S, Rule
from kvsim.faults.fault import Fault
from kvsim.faults.preload.control import Control
from kvsim.scenario.context import Context
from kvsim.scenario.meaning import NoTarget, who
from kvsim.scenario.subjects import subject

Settings = Mapping[str, Any]


def disk(context: Context, step: Step, settings: Settings) -> Fault:
    """The disks of some nodes. Raises NoTarget."""
    subjects = tuple(subject(context, name) for name in who(context, step, settings["at"]))
    rule = Rule(
        settings["how"],
        tuple(call for call in CALLS if call in (settings["calls"] or CALLS)),
        settings["percent"] or 100,
        SLOW_S if settings["by"] is None else settings["by"],
        zlib.crc32(f"{context.seed}:{step.id}:disk".encode()),
    )
    return Disk(subjects, rule, _control(context))


def clock(context: Context, step: Step, settings: Settings) -> Fault:
    """The clocks of some nodes. Raises NoTarget."""
    subjects = tuple(subject(context, name) for name in who(context, step, settings["at"]))
    return Clock(subjects, settings["by"], settings["rate"], _control(context))


def _control(context: Context) -> Control:
    if context.control is None:
        raise NoTarget(
            "nothing is loaded into these nodes: faults of disks and clocks need nodes that this run starts, not --attach"
        )
    return context.control


BUILDERS = {"disk": disk, "clock": clock}
