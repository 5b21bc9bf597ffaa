"""Live progress of a run on a terminal, on stderr: step, fault, nodes and roles, requests a second, time. Nothing when stderr is piped.

Hears of the run's events as they are journaled; asks nobody anything.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kvsim.cli.terminal import is_terminal
from kvsim.config.lint import every_step
from kvsim.config.scenario import Scenario, Step
from kvsim.history.journal import Listen
from kvsim.scenario.context import StepResult

Show = Callable[[Step, str, StepResult | None], None]

RATE_OVER_S = 1.0
REFRESH_HZ = 10


def _no_step(step: Step, targets: str, result: StepResult | None) -> None:
    """No progress."""


@dataclass
class View:
    """What a run is told to call: `show` for steps, `listen` for everything that is journaled (None: nobody listens)."""

    show: Show = _no_step
    listen: Listen | None = None


@contextlib.contextmanager
def progress(scenario: Scenario) -> Iterator[View]:
    """The view of one run, drawn until the run is over and then wiped away."""
    if not is_terminal(sys.stderr):
        yield View()
        return
    from rich.console import Console
    from rich.live import Live

    seen = Seen(scenario.label, sum(1 for _ in every_step(scenario.steps)))
    console = Console(stderr=True)
    with Live(
        get_renderable=lambda: drawn(seen), console=console, refresh_per_second=REFRESH_HZ, transient=True
    ):
        yield View(seen.show, seen.listen)


@dataclass
class Seen:
    """What is known of the run at this moment. Pure but for the clock, which is handed in."""

    name: str
    total: int
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    failed: int = 0
    step: str = "starting the nodes"
    nodes: dict[str, str] = field(default_factory=dict)  # name → role, or how it is
    faults: dict[str, str] = field(default_factory=dict)  # those that last now
    loads: set[str] = field(default_factory=set)
    requests: deque[float] = field(default_factory=deque)  # the times of the last ones

    def __post_init__(self) -> None:
        self.began_s = self.clock()

    def show(self, step: Step, targets: str, result: StepResult | None) -> None:
        """A step begins, or is over."""
        if result is not None:
            self.done += 1
            self.failed += bool(result.why)
        self.step = f"{step.id} {step.verb}{f' at {targets}' if targets else ''}"

    def listen(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Something was journaled."""
        heard = HEARD.get(kind)
        if heard:
            heard(self, fields)

    def per_second(self) -> float:
        """Requests in the last second; those of a load are not among them."""
        now = self.clock()
        while self.requests and self.requests[0] < now - RATE_OVER_S:
            self.requests.popleft()
        return len(self.requests) / RATE_OVER_S

    def elapsed_s(self) -> float:
        return self.clock() - self.began_s


def _operation(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.requests.append(seen.clock())


def _spawn(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.nodes[fields["node"]] = "starting"


def _ready(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.nodes[fields["node"]] = "ready"


def _role(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.nodes[fields["node"]] = str(fields["role"] or fields["how"])


def _exit(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.nodes[fields["node"]] = "down"


def _fault_plan(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.faults[fields["id"]] = f"{fields['fault']} {', '.join(fields['nodes'])}".strip()


def _fault_end(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.faults.pop(fields["id"], None)


def _load_start(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.loads.add(fields["name"])


def _load_stop(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.loads.discard(fields["name"])


HEARD: dict[str, Callable[[Seen, Mapping[str, Any]], None]] = {
    "operation": _operation,
    "spawn": _spawn,
    "ready": _ready,
    "role": _role,
    "exit": _exit,
    "fault_plan": _fault_plan,
    "fault_end": _fault_end,
    "load_start": _load_start,
    "load_stop": _load_stop,
}

STYLES = {"leader": "bold cyan", "follower": "", "down": "red", "does not say": "yellow", "starting": "dim"}


def drawn(seen: Seen):
    """Two or three lines of text."""
    from rich.text import Text

    failed = (f"  {seen.failed} failed", "bold red") if seen.failed else ""
    parts = [
        (seen.name, "bold"),
        f"  {seen.done}/{seen.total} steps",
        failed,
        f"  {seen.elapsed_s():.1f} s  ",
        (seen.step, "cyan"),
        "\n",
    ]
    for name, state in list(seen.nodes.items()):  # the guard's thread may add one meanwhile
        parts += [f"  {name} ", (state, STYLES.get(state, ""))]
    parts.append((f"  {seen.per_second():.0f} requests/s", "dim"))
    if seen.loads:
        parts.append(f"  load {', '.join(sorted(seen.loads))}")
    if seen.faults:
        parts.append((f"\n  fault: {'; '.join(list(seen.faults.values()))}", "red"))
    return Text.assemble(*[part for part in parts if part])
