"""Progress of a run while it goes, on stderr: drawn at a terminal and wiped away afterwards; a plain line now and then where piped.

Hears of the run's events as they are journaled; asks nobody anything.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kvsim.cli.seen import Seen, lines, plain
from kvsim.cli.terminal import is_terminal
from kvsim.config.scenario import Scenario, Step
from kvsim.history.journal import Listen
from kvsim.scenario.context import StepResult

Show = Callable[[Step, str, StepResult | None], None]

REFRESH_HZ = 10
PLAIN_EVERY_S = 5.0  # so a run that is over sooner says nothing but its proof


@dataclass(frozen=True)
class View:
    """What a run is told to call: `show` for steps, `listen` for everything that is journaled."""

    show: Show
    listen: Listen


@contextlib.contextmanager
def progress(scenario: Scenario, every_s: float = PLAIN_EVERY_S) -> Iterator[View]:
    """The view of one run, until the run is over. `every_s` is how often a plain line is printed."""
    seen = Seen.of(scenario)
    with _drawn(seen) if is_terminal(sys.stderr) else _printed(seen, every_s):
        yield View(seen.show, seen.listen)


@contextlib.contextmanager
def _drawn(seen: Seen) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(
        get_renderable=lambda: drawn(seen), console=console, refresh_per_second=REFRESH_HZ, transient=True
    ):
        yield


def drawn(seen: Seen):
    """Two or three lines of text, for rich."""
    from rich.text import Text

    return Text("\n").join([Text.assemble(*line) for line in lines(seen)])


@contextlib.contextmanager
def _printed(seen: Seen, every_s: float) -> Iterator[None]:
    over = threading.Event()

    def tell() -> None:
        while not over.wait(every_s):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                print(plain(seen), file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
