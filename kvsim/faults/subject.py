"""A node as a fault may touch it. The runner hands these in, so that no fault knows the launcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from kvsim.limits import PLAIN, Limits
from kvsim.process.identity import Identity


@dataclass(frozen=True)
class Subject:
    """`tree` gives the living processes of the node now; `ended` says how its process ended, None while it lives.

    `was_killed(signal, why)`: the fault itself has sent that signal; wait until the node is dead of it.
    `kill(signal)`, `stop()` and `start()` wait until it is so and raise NodeFailed when it does not become so. `ping(timeout)`
    asks once on a connection of its own: None for an answer, else what was seen instead. Inside `at_home()` the node is reached
    without any link between. `limits` say how long kvsim's own waits may take. `logged(pattern)`: the present
    incarnation has logged such a line. `tolerate(why)`: the node may end by itself from now on; "": no longer; True when it has done so.
    """

    name: str
    host: str
    port: int
    data_dir: Path
    tree: Callable[[], Sequence[Identity]]
    ended: Callable[[], str | None]
    kill: Callable[[str], None]
    was_killed: Callable[[str, str], None]
    stop: Callable[[], None]
    start: Callable[[], None]
    at_home: Callable[[], AbstractContextManager[None]]
    ping: Callable[[float], str | None]
    logged: Callable[[str], bool]
    tolerate: Callable[[str], bool]
    limits: Limits = PLAIN
