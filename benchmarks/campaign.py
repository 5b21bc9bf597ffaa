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


def _round(runs: int) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """The list one after another, in a campaign of one worker, and of two."""
    return one_after_another(runs), in_a_campaign(runs, 1), in_a_campaign(runs, 2)


def main() -> int:
    """Print the figures."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    arguments = parser(__doc__).parse_args()
    runs = 12
    report = Report(arguments.json)
    repeats = min(arguments.runs, 3)
    rounds = [
        _round(runs) for _ in range(repeats)
    ]  # one beside the other, so that other work on the machine meets all alike
    alone_s, spread = summary([alone / runs for alone, _, _ in rounds])
    report.add("a run, one after another", alone_s, "s", spread=spread)
    for place, jobs in ((1, 1), (2, 2)):
        whole_s, spread = summary([one[place][0] for one in rounds])
        report.add(f"campaign of {runs}, {jobs} workers, start and end included", whole_s, "s", spread=spread)
    ratio, spread = summary([one[1][1] / one[0] for one in rounds])
    report.add("a run in a campaign : one after another", ratio, "times", "<= 1.25", spread)
    faster, spread = summary([one[0] / one[2][1] for one in rounds])
    report.add("speed-up at 2 workers", faster, "times", ">= 1.5", spread)
    both = [scheduler_alone() for _ in range(repeats)]
    wall_ms, spread = summary([1000 * wall for wall, _ in both])
    report.add("scheduler and client, an empty run", wall_ms, "ms", "", spread)
    task_ms, spread = summary([1000 * cpu for _, cpu in both])
    report.add("scheduler and client, CPU for a run", task_ms, "ms", "<= 5", spread)
    row_ms, spread = median_of(lambda: 1000 * database_alone(None), repeats)
    report.add("database, a result", row_ms, "ms", "<= 1", spread)
    packed_ms, spread = median_of(lambda: 1000 * database_alone(b"x" * 20_000), repeats)
    report.add("database, a result with a packed run of 20 kB", packed_ms, "ms", "<= 5", spread)
    serial_s = (task_ms + row_ms) / 1000
    report.add("results that one client takes", 1 / serial_s, "a second")
    report.add("workers that one client keeps busy with runs of that length", alone_s / serial_s, "workers")
    report.add("shortest run that keeps 1,000 workers busy", 1000 * serial_s, "s")
    report.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
