"""What is known so far of a program that is being described: values, and the Program they make. Tries nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.config.program import Log, Probe, Program, Ready, Role, Rule, Speak

Request = str | tuple[str, ...]
TRIAL_READY_S = 3.0


@dataclass(frozen=True)
class Draft:
    """A node.yaml in the making. `rules` holds a verb's rules, `common` those of any verb."""

    name: str
    start: tuple[str, ...]
    follower: tuple[str, ...] = ()
    ready_log: str = ""
    log_mode: str = "file"
    speak: str = ""
    requests: Mapping[str, Request] = field(default_factory=dict)
    rules: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    common: tuple[Rule, ...] = ()
    role_log: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ("roles",)
    remarks: tuple[str, ...] = ()  # what could not be learned, for the author


def program_of(draft: Draft, folder: Path) -> Program:
    """The program as far as it is known; ready as soon as it listens."""
    return Program(
        name=draft.name,
        folder=folder,
        start={Role.LEADER: draft.start, Role.FOLLOWER: (*draft.start, *draft.follower)},
        ready=Ready(all_of=(Probe("port", {"state": "owned"}),), within_s=TRIAL_READY_S),
        log=Log(draft.log_mode),
        speak=Speak(draft.speak or "lines"),
        requests=draft.requests,
        replies={**draft.rules, "any": draft.common},
        capabilities=frozenset(draft.capabilities),
    )
