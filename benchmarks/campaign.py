"""What a campaign adds to a run, and what limits it: one table.

Measured against the same list of runs made one after another in one process (`make`), and against tasks that do nothing (the
scheduler alone), from which follows how many workers one scheduler and one database can keep busy.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from _figures import Report, median_of, parser, summary

from kvsim.campaign.campaign import campaign, open_database
from kvsim.campaign.database import Database
from kvsim.campaign.plan import Case, Plan
from kvsim.campaign.workers import workers
from kvsim.trials.running import make
from kvsim.trials.trial import Ending, Result, Trial

ROOT = Path(__file__).parent.parent
SCENARIO = str(ROOT / "scenarios/roles.yaml")
LIMIT_S = 60.0
EMPTY_TASKS = 2000


def nothing(number: int) -> dict[str, object]:
    """A task without a run, with a result of the usual size."""
    return {"result": Result(Ending.PASS, 0.0).to_json(), "archive": None, "worker": "here", "number": number}


def plan(runs: int) -> Plan:
    return Plan((Case(SCENARIO, (), "roles", "kvstore", ("none",), ""),), 1, runs, LIMIT_S)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kvsim-bench-") as made:
        yield Path(made)


def one_after_another(runs: int) -> float:
    """Seconds for the list without Dask, without a database."""
    with folder() as out:
        began = time.monotonic()
        for trial in plan(runs).trials():
            result = make(trial, out, LIMIT_S)
            assert result.ending is Ending.PASS, result
        return time.monotonic() - began


def in_a_campaign(runs: int, jobs: int) -> tuple[float, float]:
    """(seconds of the whole, seconds from the first result's start of work to the end), with worker start-up in the first only."""
    with folder() as out:
        database = open_database(out)
        times: list[float] = []
        began = time.monotonic()
        ran = campaign(
            plan(runs),
            database,
            None,
            jobs,
            lambda made, newest: times.append(time.monotonic() - newest.took_s),
        )
        ended = time.monotonic()
        database.close()
        assert ran.made == runs, json.dumps([lost.why for lost in ran.lost])
        return ended - began, ended - min(times)


def scheduler_alone() -> tuple[float, float]:
    """(wall, CPU) seconds a task for handing out tasks that do nothing and taking their results.

    Client and scheduler are this process, so its CPU time is the work that more workers cannot share.
    """
    import distributed

    with folder() as out, workers(None, 2, out) as client:
        began, cpu = time.monotonic(), time.process_time()
        coming = distributed.as_completed(
            [client.submit(nothing, number, pure=False) for number in range(EMPTY_TASKS)], loop=client.loop
        )
        for future in coming:
            future.result()
            future.release()
        return (time.monotonic() - began) / EMPTY_TASKS, (time.process_time() - cpu) / EMPTY_TASKS


def database_alone(archive: bytes | None) -> float:
    """Seconds a result for recording it."""
    count = 200 if archive else EMPTY_TASKS
    with folder() as out:
        database = Database(out / "campaign.sqlite")
        began = time.monotonic()
        for seed in range(count):
            database.add(Trial(SCENARIO, seed), Result(Ending.PASS, 1.0), "here", archive)
        took_s = (time.monotonic() - began) / count
        database.close()
        return took_s


def main() -> int:
    """Print the figures."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    arguments = parser(__doc__).parse_args()
    runs = 12
    report = Report(arguments.json)
    repeats = min(arguments.runs, 3)
    alone = [one_after_another(runs) / runs for _ in range(repeats)]
    alone_s, spread = summary(alone)
    report.add("a run, one after another", 1000 * alone_s, "ms", spread=spread)
    for jobs in (1, 2):
        both = [in_a_campaign(runs, jobs) for _ in range(repeats)]
        whole_s, spread = summary([whole for whole, _ in both])
        busy_s, busy_spread = summary([busy for _, busy in both])
        report.add(f"campaign of {runs}, {jobs} workers, start and end included", whole_s, "s", spread=spread)
        goal = "<= 1.25" if jobs == 1 else ">= 1.5"
        ratio = (busy_s / runs) / alone_s
        if jobs == 1:
            report.add("a run in a campaign : one after another", ratio, "times", goal, busy_spread)
        else:
            report.add("speed-up at 2 workers", 1 / ratio, "times", goal, busy_spread)
    both = [scheduler_alone() for _ in range(repeats)]
    wall_s, spread = summary([wall for wall, _ in both])
    report.add("scheduler and client, an empty run", 1000 * wall_s, "ms", "", spread)
    task_s, spread = summary([cpu for _, cpu in both])
    report.add("scheduler and client, CPU for a run", 1000 * task_s, "ms", "<= 5", spread)
    row_s, spread = median_of(lambda: database_alone(None), repeats)
    report.add("database, a result", 1000 * row_s, "ms", "<= 1", spread)
    packed_s, spread = median_of(lambda: database_alone(b"x" * 20_000), repeats)
    report.add("database, a result with a packed run of 20 kB", 1000 * packed_s, "ms", "<= 5", spread)
    report.add("results that one client takes", 1 / (task_s + row_s), "a second")
    report.add(
        "workers that one scheduler keeps busy with runs of that length",
        alone_s / (task_s + row_s),
        "workers",
    )
    report.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
