"""What the commands that make many runs share: their common options, and progress on a terminal."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator

from kvsim.cli.terminal import is_terminal
from kvsim.errors import UsageError
from kvsim.limits import CALIBRATED
from kvsim.trials.trial import Result

LIMIT_S = 120.0
Progress = Callable[[int, Result], None]


def add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-j",
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="J",
        help="so many at a time (default: one a core)",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT_S,
        metavar="SECONDS",
        help=f"end a run that takes longer (default: {LIMIT_S:g})",
    )


def words_for_run(arguments: argparse.Namespace) -> tuple[str, ...]:
    """`--program`, `-o`, `--cluster` and `--time-limits` again, for `kvsim run`."""
    words = [word for option in arguments.option for word in ("-o", option)]
    words += ["--program", arguments.program] if arguments.program else []
    words += ["--cluster", str(arguments.cluster)] if arguments.cluster else []
    words += ["--time-limits", arguments.time_limits] if arguments.time_limits != CALIBRATED else []
    return tuple(words)


def at_least(arguments: argparse.Namespace, **least: float) -> None:
    """Raises UsageError for an option below its least sensible value."""
    for name, bound in least.items():
        value = getattr(arguments, name)
        if value is not None and value < bound:
            raise UsageError(f"--{name.replace('_', '-')} {value:g}: expected at least {bound:g}")


@contextlib.contextmanager
def progress(wanted: int) -> Iterator[Progress]:
    """A callable that shows how many runs are made and how they ended; silent where nobody watches."""
    if not is_terminal(sys.stderr):
        yield lambda made, newest: None
        return
    from rich.console import Console

    counts: Counter[str] = Counter()
    with Console(stderr=True).status("starting the first runs") as status:

        def tell(made: int, newest: Result) -> None:
            counts[str(newest.ending)] += 1
            seen = "  ".join(f"{word} {count}" for word, count in counts.items())
            status.update(f"{made}{f' of {wanted}' if wanted else ''} runs: {seen}")

        yield tell
