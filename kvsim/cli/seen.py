"""What is known of a run while it goes, from its steps and from what is journaled, and how that is told in text. Draws nothing.

Pure but for the clock, which is handed in.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kvsim.config.lint import every_step
from kvsim.config.scenario import Scenario, Step
from kvsim.scenario.context import StepResult

RATE_OVER_S = 1.0
Part = tuple[str, str]  # a piece of text, and its style


@dataclass
class Doing:
    """Something that is under way, and how long it may take or lasts; None: nobody knows."""

    text: str
    began_s: float
    limit_s: float | None = None
    id: str = ""  # of a step
    storm: bool = False  # it is a storm, or inside one: its steps stand in no file

    def said(self, now_s: float) -> str:
        took_s = now_s - self.began_s
        return f"{self.text} {took_s:.1f} of {self.limit_s:g} s" if self.limit_s else self.text


@dataclass
class Going:
    """A load that runs: how many operations it has made, and how many a second."""

    heard_s: float
    made: int = 0
    per_s: float = 0.0

    def hear(self, made: int, now_s: float) -> None:
        took_s = now_s - self.heard_s
        self.per_s = (made - self.made) / took_s if took_s > 0 else self.per_s
        self.made, self.heard_s = made, now_s


@dataclass
class Seen:
    """A run at this moment."""

    name: str
    total: int  # steps of its file
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    failed: int = 0
    doing: list[Doing] = field(default_factory=list)  # the innermost last
    nodes: dict[str, str] = field(default_factory=dict)  # name → role, or how it is
    faults: dict[str, str] = field(default_factory=dict)  # those that last now
    loads: dict[str, Going] = field(default_factory=dict)
    requests: deque[float] = field(default_factory=deque)  # the times of the last ones

    def __post_init__(self) -> None:
        self.began_s = self.clock()
        self.doing.append(Doing("starting the nodes", self.began_s))

    @classmethod
    def of(cls, scenario: Scenario) -> Seen:
        return cls(scenario.label, sum(1 for _ in every_step(scenario.steps)))

    def show(self, step: Step, targets: str, result: StepResult | None) -> None:
        """A step begins, or is over."""
        if result is None:
            self._begin(step, targets)
            return
        over = next((one for one in self.doing if one.id == step.id), None)
        if step.verb == "storm" or over is None or not over.storm:
            self.done += 1
        self.failed += bool(result.why)
        if over is not None:
            del self.doing[self.doing.index(over) :]

    def _begin(self, step: Step, targets: str) -> None:
        """What is no step has come to its end by then."""
        self.doing = [one for one in self.doing if one.id]
        storm = step.verb == "storm" or any(one.storm for one in self.doing)
        text = f"{step.id} {step.verb}{f' at {targets}' if targets else ''}"
        self.doing.append(Doing(text, self.clock(), _limit_of(step), step.id, storm))

    def listen(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Something was journaled."""
        heard = HEARD.get(kind)
        if heard:
            heard(self, fields)

    def per_second(self) -> float:
        """Requests of kvsim's own in the last second."""
        now = self.clock()
        while self.requests and self.requests[0] < now - RATE_OVER_S:
            self.requests.popleft()
        return len(self.requests) / RATE_OVER_S

    def elapsed_s(self) -> float:
        return self.clock() - self.began_s


def _limit_of(step: Step) -> float | None:
    """How long a step may take, or lasts by its own words."""
    timing = step.timing
    lasts = step.fields.get("for")
    given = timing.eventually_s or timing.always_s or timing.within_s or lasts
    return float(given) if isinstance(given, float) else None


def _operation(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.requests.append(seen.clock())


def _spawn(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.nodes[fields["node"]] = "starting"
    if seen.doing and not seen.doing[-1].id:
        seen.doing[-1].limit_s = fields.get("ready_within_s")


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
    seen.loads[fields["name"]] = Going(seen.clock())


def _load_made(seen: Seen, fields: Mapping[str, Any]) -> None:
    going = seen.loads.get(fields["name"])
    if going:
        going.hear(fields["made"], seen.clock())


def _load_stop(seen: Seen, fields: Mapping[str, Any]) -> None:
    seen.loads.pop(fields["name"], None)


HEARD: dict[str, Callable[[Seen, Mapping[str, Any]], None]] = {
    "operation": _operation,
    "spawn": _spawn,
    "ready": _ready,
    "role": _role,
    "exit": _exit,
    "fault_plan": _fault_plan,
    "fault_end": _fault_end,
    "load_start": _load_start,
    "load_made": _load_made,
    "load_stop": _load_stop,
}

STYLES = {"leader": "bold cyan", "follower": "", "down": "red", "does not say": "yellow", "starting": "dim"}


def lines(seen: Seen) -> list[list[Part]]:
    """What there is to say, as lines of styled pieces. Others may add to `seen` meanwhile."""
    now_s = seen.clock()
    first: list[Part] = [
        (seen.name, "bold"),
        (f"  {seen.done}/{seen.total} steps", ""),
        (f"  {seen.failed} failed" if seen.failed else "", "bold red"),
        (f"  {seen.elapsed_s():.1f} s  ", ""),
        (" > ".join(one.said(now_s) for one in list(seen.doing)), "cyan"),
    ]
    second: list[Part] = []
    for name, state in list(seen.nodes.items()):
        second += [(f"  {name} ", ""), (state, STYLES.get(state, ""))]
    second.append((f"  {seen.per_second():.0f} requests/s", "dim"))
    for name, going in sorted(seen.loads.items()):
        second.append((f"  load {name} {going.per_s:,.0f}/s, {going.made:,} so far", ""))
    third: list[Part] = []
    if seen.faults:
        third = [(f"  fault: {'; '.join(list(seen.faults.values()))}", "red")]
    return [[part for part in line if part[0]] for line in (first, second, third) if line]


def plain(seen: Seen) -> str:
    """The same on one line, without styles."""
    told = ("".join(text for text, _ in line).strip() for line in lines(seen))
    return "; ".join(told)
