"""What the commands that make many runs share: common options, and progress at a terminal."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections import Counter
from collections.abc import Iterator

from kvsim.argument_types import DAY_S, JOBS, Seconds
from kvsim.cli.waiting_line import waiting_for
from kvsim.timeouts import CALIBRATED
from kvsim.trials.trial import OnProgress, TrialResult

LIMIT_S = 120.0


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """`--jobs`: how many runs at a time."""
    parser.add_argument(
        "-j",
        "--jobs",
        type=JOBS,
        default=os.cpu_count() or 1,
        metavar="J",
        help="runs at a time (default: one per core)",
    )


def add_limit(parser: argparse.ArgumentParser) -> None:
    """`--limit`: how long a run may take."""
    parser.add_argument(
        "--limit",
        type=Seconds(high=7 * DAY_S),
        default=LIMIT_S,
        metavar="SECONDS",
        help=f"end a run that takes longer (default: {LIMIT_S:g})",
    )


def run_arguments(arguments: argparse.Namespace) -> tuple[str, ...]:
    """`--program`, `-o`, `--cluster` and `--time-limits` again, for `kvsim run`."""
    words = [word for option in arguments.option for word in ("-o", option)]
    words += ["--program", arguments.program] if arguments.program else []
    words += ["--cluster", str(arguments.cluster)] if arguments.cluster else []
    words += ["--time-limits", arguments.time_limits] if arguments.time_limits != CALIBRATED else []
    return tuple(words)


@contextlib.contextmanager
def batch_progress(planned: int) -> Iterator[OnProgress]:
    """Say how many runs are made and how they ended, at a terminal; otherwise print nothing.

    `planned` is the number of runs, 0 where it is not known.
    """
    counts: Counter[str] = Counter()
    total = f" of {planned}" if planned else ""
    with waiting_for("the first runs") as wait:

        def on_result(made: int, newest: TrialResult) -> None:
            counts[str(newest.ending)] += 1
            endings = "  ".join(f"{ending} {count}" for ending, count in counts.items())
            wait.text = f"{made}{total} runs: {endings}"

        yield on_result
