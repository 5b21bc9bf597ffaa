"""What a campaign adds to a run, and what limits it: one table.

Measured against the same list of runs made one after another in one process (`make`), and with empty runs: what handing out, bringing back
and recording cost, with two workers of the embedded cluster and with a crowd of workers of a scheduler that is a process of its own. From
that follows how many workers one campaign can keep busy.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from _figures import Report, median_of, parser, summary

from kvsim.campaign.campaign import campaign, open_database
from kvsim.campaign.database import Database
from kvsim.campaign.plan import Case, Plan
from kvsim.campaign.workers import hand_out, workers
from kvsim.trials.running import make
from kvsim.trials.trial import Ending, Result, Trial
from kvsim.waiting import Deadline, wait_until

ROOT = Path(__file__).parent.parent
SCENARIO = str(ROOT / "scenarios/roles.yaml")
LIMIT_S = 60.0
EMPTY_RUNS = 1000
WORKERS = 200
CROWD = Path(__file__).with_name("_crowd.py")
SCHEDULER = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
SCHEDULER += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
ADDRESS = re.compile(r"tcp://127\.0\.0\.1:\d+")
AGAIN = "python -m kvsim run scenarios/roles.yaml --seed 4127"


def nothing(fields: dict[str, object], limit_s: float, cwd: str) -> dict[str, object]:
    """A worker's task without a run, with a result of the usual size."""
    checks = {f"a_check_of_the_usual_length_{number}": "pass" for number in range(15)}
    result = Result(Ending.PASS, 0.0, 0, digest="0" * 64, again=AGAIN, held=12, asked=12, checks=checks)
    return {"result": result.to_json(), "archive": None, "worker": "here"}


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


@dataclass(frozen=True)
class Empty:
    """Empty runs through everything that is ours. Seconds a run: of the clock, and CPU of each process; `recording` is in `client`."""

    wall: float
    client: float
    recording: float
    scheduler: float = 0.0


def empty_runs(client: object, database: Database, count: int, scheduler: int | None = None) -> Empty:
    """Hand out empty runs and record their results, as a campaign does. `scheduler`: its pid, where it is a process of its own."""
    spent = 0.0

    def came(trial: Trial, fields: Mapping[str, Any]) -> None:
        nonlocal spent
        began = time.thread_time()
        database.add(trial, Result.from_json(fields["result"]), fields["worker"], fields["archive"])
        spent += time.thread_time() - began

    trials = list(plan(count).trials())
    warm = len(trials) // 5
    hand_out(client, trials[:warm], LIMIT_S, lambda *_: None, nothing)
    began, own, other = time.monotonic(), time.process_time(), _cpu_s(scheduler)
    assert not hand_out(client, trials[warm:], LIMIT_S, came, nothing)
    made = count - warm
    return Empty(
        wall=(time.monotonic() - began) / made,
        client=(time.process_time() - own) / made,
        recording=spent / made,
        scheduler=(_cpu_s(scheduler) - other) / made,
    )


def _cpu_s(pid: int | None) -> float:
    """CPU seconds of a process so far."""
    if pid is None:
        return 0.0
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def embedded() -> Empty:
    """With the embedded cluster: client and scheduler are this process, so its CPU time is what more workers cannot share."""
    with folder() as out, workers(None, 2, out) as client, contextlib.closing(_database(out)) as database:
        return empty_runs(client, database, EMPTY_RUNS)


def crowded() -> Empty:
    """With a scheduler of its own that has a crowd of workers."""
    with folder() as out, contextlib.ExitStack() as stack:
        log = out / "scheduler.log"
        with log.open("w") as file:
            scheduler = stack.enter_context(_ended(subprocess.Popen(SCHEDULER, stderr=file, cwd=out)))
        address = wait_until(lambda: ADDRESS.search(log.read_text()), Deadline.after(60), "the scheduler")[0]
        words = [sys.executable, str(CROWD), address, str(WORKERS), str(out)]
        crowd = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        stack.enter_context(_ended(crowd))
        assert crowd.stdout.readline(), "the workers did not start"
        database = stack.enter_context(contextlib.closing(_database(out)))
        client = stack.enter_context(workers(address, 0, out))
        return empty_runs(client, database, EMPTY_RUNS, scheduler.pid)


def _database(out: Path) -> Database:
    return Database(out / "campaign.sqlite")


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def database_alone(archive: bytes | None) -> float:
    """Seconds a result for recording it."""
    count = 200 if archive else EMPTY_RUNS
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


def _rows(report: Report, measured: list[Empty], where: str, goal: str) -> float:
    """Three figures of empty runs; the client's CPU time in ms."""
    rate, spread = summary([1 / each.wall for each in measured])
    report.add(f"{where}: empty runs", rate, "a second", "", spread)
    client_ms, spread = summary([1000 * each.client for each in measured])
    report.add(f"{where}: client, CPU for an empty run", client_ms, "ms", goal, spread)
    recording_ms, spread = summary([1000 * each.recording for each in measured])
    report.add(f"{where}: of that, recording it", recording_ms, "ms", "<= 1", spread)
    return client_ms


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
    one = [embedded() for _ in range(repeats)]
    task_ms = _rows(report, one, "2 workers, scheduler in the client", "<= 8")
    many = [crowded() for _ in range(repeats)]
    client_ms = _rows(report, many, f"{WORKERS} workers, scheduler apart", "<= 5")
    scheduler_ms, spread = summary([1000 * each.scheduler for each in many])
    report.add("that scheduler, CPU for an empty run", scheduler_ms, "ms", "<= 5", spread)
    row_ms, spread = median_of(lambda: 1000 * database_alone(None), repeats)
    report.add("database, a result", row_ms, "ms", "<= 1", spread)
    packed_ms, spread = median_of(lambda: 1000 * database_alone(b"x" * 20_000), repeats)
    report.add("database, a result with a packed run of 20 kB", packed_ms, "ms", "<= 5", spread)
    for place, busiest_ms in (("in the client", task_ms), ("apart", max(client_ms, scheduler_ms))):
        report.add(f"results that one campaign takes, scheduler {place}", 1000 / busiest_ms, "a second")
        report.add(f"shortest run that keeps 1,000 workers busy, scheduler {place}", busiest_ms, "s")
    report.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
