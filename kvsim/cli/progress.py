"""Progress of a run on stderr: drawn at a terminal and removed afterwards; elsewhere plain lines.

`RunProgress` is the state of a run, made from its steps and from the events of its journal. It
sends no requests to nodes. The functions below it format it, as styled pieces or as one line.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from kvsim.cli.output import is_terminal, styled
from kvsim.cli.streams import note_line_begin, trusted
from kvsim.config.scenario import Scenario, Step, walk_steps
from kvsim.history.journal import OnEvent
from kvsim.runner.context import OnProgress, StepResult
from kvsim.text import escape, one_line, truncate

if TYPE_CHECKING:
    from rich.text import Text

RATE_OVER_S = 1.0
REFRESH_HZ = 10

# A run that ends sooner prints only its proof.
PLAIN_AFTER_S, PLAIN_EVERY_S = 1.0, 5.0

# A piece of text, and its style.
Part = tuple[str, str]


class Activity(Struct):
    """Something that is under way. `limit_s`: how long it may take or lasts; None: not known."""

    text: str
    began_s: float
    limit_s: float | None = None
    # Empty for what is not a step.
    step: str = ""
    # A storm, or a step that a storm makes: such a step is in no file.
    storm: bool = False

    def describe(self, now_s: float) -> str:
        took_s = now_s - self.began_s
        return f"{self.text} {took_s:.1f} of {self.limit_s:g} s" if self.limit_s else self.text


class LoadRate(Struct):
    """A load that runs: how many operations it has made, and how many per second."""

    updated_s: float
    made: int = 0
    per_s: float = 0.0

    def update(self, made: int, now_s: float) -> None:
        took_s = now_s - self.updated_s
        self.per_s = (made - self.made) / took_s if took_s > 0 else self.per_s
        self.made, self.updated_s = made, now_s


class RunProgress(Struct):
    """The state of a run at this moment. Times are those of `clock`, in seconds."""

    name: str
    # Steps of the scenario's file.
    total: int
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    failed: int = 0
    # The innermost last.
    activities: list[Activity] = field(default_factory=list)
    # Name -> role or state.
    nodes: dict[str, str] = field(default_factory=dict)
    # Faults that are in effect now, by the id of their step.
    faults: dict[str, str] = field(default_factory=dict)
    loads: dict[str, LoadRate] = field(default_factory=dict)
    # The times of the requests of the last second.
    requests: deque[float] = field(default_factory=deque)
    # Title of the group -> its steps, not those that steps hold.
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Called with one line when a group is over.
    on_group_end: Callable[[str], None] = lambda line: None
    began_s: float = 0.0

    def __post_init__(self) -> None:
        self.began_s = self.clock()
        self.activities.append(Activity("starting the nodes", self.began_s))

    @classmethod
    def of(cls, scenario: Scenario) -> RunProgress:
        groups = {group.title: tuple(step.id for step in group.steps) for group in scenario.groups}
        return cls(scenario.label, sum(1 for _ in walk_steps(scenario.steps)), groups=groups)

    def show(self, step: Step, targets: str, result: StepResult | None) -> None:
        """A step begins (no result), or is over."""
        if result is None:
            self._begin(step, targets)
            return
        ended = next((activity for activity in self.activities if activity.step == step.id), None)
        if step.verb == "storm" or ended is None or not ended.storm:
            self.done += 1
        self.failed += bool(result.why)
        if ended is not None:
            del self.activities[self.activities.index(ended) :]
        self._end_group(step, result)

    def _end_group(self, step: Step, result: StepResult) -> None:
        """A group is over after its last step, and after one that did not pass."""
        for title, steps in self.groups.items():
            if title and step.id in steps and (result.why or step.id == steps[-1]):
                verdict = str(result.verdict).upper() if result.why else "ok"
                why = f": step {step.id}, {one_line(result.why)}" if result.why else ""
                self.on_group_end(f"  {verdict:<7} {title}{why}")

    def _begin(self, step: Step, targets: str) -> None:
        # The start of the nodes is over when the first step begins.
        self.activities = [activity for activity in self.activities if activity.step]
        storm = step.verb == "storm" or any(activity.storm for activity in self.activities)
        text = f"{step.id} {step.verb}{f' at {targets}' if targets else ''}"
        self.activities.append(Activity(text, self.clock(), _limit_of(step), step.id, storm))

    def on_event(self, kind: str, fields: Mapping[str, Any]) -> None:
        """An event was journaled. Unknown kinds are ignored."""
        handler = HANDLERS.get(kind)
        if handler:
            handler(self, fields)

    def requests_per_s(self) -> float:
        """Requests of kvsim's own in the last second."""
        now_s = self.clock()
        while self.requests and self.requests[0] < now_s - RATE_OVER_S:
            self.requests.popleft()
        return len(self.requests) / RATE_OVER_S

    def elapsed_s(self) -> float:
        return self.clock() - self.began_s


def _limit_of(step: Step) -> float | None:
    """How long a step may take, or how long it lasts."""
    timing = step.timing
    return timing.eventually_s or timing.always_s or timing.within_s or step.lasts_s()


def _operation(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.requests.append(progress.clock())


def _spawn(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.nodes[fields["node"]] = "starting"
    if progress.activities and not progress.activities[-1].step:
        progress.activities[-1].limit_s = fields.get("ready_within_s")


def _ready(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.nodes[fields["node"]] = "ready"


def _role(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.nodes[fields["node"]] = str(fields["role"] or fields["how"])


def _exit(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.nodes[fields["node"]] = "down"


def _fault_plan(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.faults[fields["id"]] = f"{fields['fault']} {', '.join(fields['nodes'])}".strip()


def _fault_end(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.faults.pop(fields["id"], None)


def _load_start(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.loads[fields["name"]] = LoadRate(progress.clock())


def _load_made(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    rate = progress.loads.get(fields["name"])
    if rate:
        rate.update(fields["made"], progress.clock())


def _load_stop(progress: RunProgress, fields: Mapping[str, Any]) -> None:
    progress.loads.pop(fields["name"], None)


HANDLERS: dict[str, Callable[[RunProgress, Mapping[str, Any]], None]] = {
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

STATE_STYLES = {
    "leader": "bold cyan",
    "follower": "",
    "down": "red",
    "reports no role": "yellow",
    "starting": "dim",
}


def styled_lines(progress: RunProgress) -> list[list[Part]]:
    """Two or three lines of styled pieces. Other threads may change `progress` meanwhile."""
    now_s = progress.clock()
    activities = list(progress.activities)
    first: list[Part] = [
        (progress.name, "bold"),
        (f"  {progress.done}/{progress.total} steps", ""),
        (f"  {progress.failed} failed" if progress.failed else "", "bold red"),
        (f"  {progress.elapsed_s():.1f} s  ", ""),
        (" > ".join(activity.describe(now_s) for activity in activities), "cyan"),
    ]
    second: list[Part] = []
    for name, state in list(progress.nodes.items()):
        second += [(f"  {name} ", ""), (state, STATE_STYLES.get(state, ""))]
    second.append((f"  {progress.requests_per_s():.0f} requests/s", "dim"))
    for name, rate in sorted(progress.loads.items()):
        second.append((f"  load {name} {rate.per_s:,.0f}/s, {rate.made:,} so far", ""))
    third: list[Part] = []
    if progress.faults:
        third = [(f"  fault: {'; '.join(list(progress.faults.values()))}", "red")]
    return [[part for part in line if part[0]] for line in (first, second, third) if line]


def plain_line(progress: RunProgress) -> str:
    """The same on one line, without styles."""
    texts = ("".join(text for text, _ in line).strip() for line in styled_lines(progress))
    return "; ".join(texts)


def rich_text(progress: RunProgress) -> Text:
    """The same as rich's text."""
    from rich.text import Text

    lines = [
        Text.assemble(*((escape(text), style) for text, style in line))
        for line in styled_lines(progress)
    ]
    return Text("\n").join(lines)


class ProgressCallbacks(Struct, frozen=True):
    """What a run calls: `show` for its steps, `on_event` for everything that is journaled."""

    show: OnProgress
    on_event: OnEvent


@contextlib.contextmanager
def run_progress(
    scenario: Scenario, after_s: float = PLAIN_AFTER_S, every_s: float = PLAIN_EVERY_S
) -> Iterator[ProgressCallbacks]:
    """Show the progress of one run, until it is over.

    Plain lines are printed `after_s` after it began, and then each `every_s`.
    """
    progress = RunProgress.of(scenario)
    with _drawn(progress) if is_terminal(sys.stderr) else _printed(progress, after_s, every_s):
        yield ProgressCallbacks(progress.show, progress.on_event)


@contextlib.contextmanager
def _drawn(progress: RunProgress) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=trusted(sys.stderr), highlight=False)
    with Live(
        get_renderable=lambda: rich_text(progress),
        console=console,
        refresh_per_second=REFRESH_HZ,
        transient=True,
    ):
        progress.on_group_end = lambda line: console.print(
            styled(truncate(line, console.width)), soft_wrap=True
        )
        yield
    # What was drawn is removed.
    note_line_begin(sys.stderr)


@contextlib.contextmanager
def _printed(progress: RunProgress, after_s: float, every_s: float) -> Iterator[None]:
    over = threading.Event()

    def print_lines() -> None:
        wait_s = after_s
        while not over.wait(wait_s):
            wait_s = every_s
            # The reader of stderr may have closed it.
            with contextlib.suppress(OSError, ValueError):
                print(plain_line(progress), file=sys.stderr, flush=True)

    printer = threading.Thread(target=print_lines, name="progress", daemon=True)
    printer.start()
    try:
        yield
    finally:
        over.set()
        printer.join()
