"""What a campaign adds to a run, and what limits it.

The same runs are made one after another in one process, and in a campaign. Empty runs measure what
handing out, returning and recording cost: with the embedded cluster of two workers, and with many
workers of a scheduler in a separate process. From that follows how many workers one campaign can
keep busy.
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
from kvsim.campaign.plan import CampaignPlan, Case
from kvsim.campaign.workers import distribute, workers
from kvsim.trials.trial import Ending, Trial, TrialResult
from kvsim.trials.trial_process import run_trial
from kvsim.waiting import Deadline, wait_until

ROOT = Path(__file__).parent.parent
SCENARIO = str(ROOT / "scenarios/roles.yaml")
LIMIT_S = 60.0
EMPTY_RUNS = 1000
WORKERS = 200
DASK_WORKERS = Path(__file__).with_name("_dask_workers.py")
SCHEDULER = [
    sys.executable,
    "-m",
    "distributed.cli.dask_scheduler",
    "--host",
    "127.0.0.1",
    "--port",
    "0",
]
SCHEDULER += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
ADDRESS = re.compile(r"tcp://127\.0\.0\.1:\d+")
AGAIN = "python -m kvsim run scenarios/roles.yaml --seed 4127"


def nothing(fields: dict[str, object], limit_s: float, cwd: str) -> dict[str, object]:
    """A task without a run, with a result of the usual size."""
    checks = {f"a_check_of_the_usual_length_{number}": "pass" for number in range(15)}
    result = TrialResult(
        Ending.PASS,
        0.0,
        0,
        digest="0" * 64,
        repeat_command=AGAIN,
        steps_passed=12,
        steps_total=12,
        checks=checks,
    )
    return {"result": result.to_json(), "archive": None, "worker": "here"}


def plan(runs: int) -> CampaignPlan:
    return CampaignPlan((Case(SCENARIO, (), "roles", "kvstore", ("none",), ""),), 1, runs, LIMIT_S)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kvsim-bench-") as made:
        yield Path(made)


def one_after_another(runs: int) -> float:
    """Seconds for the runs without Dask and without a database."""
    with folder() as out:
        began = time.monotonic()
        for trial in plan(runs).trials():
            result = run_trial(trial, out, LIMIT_S)
            assert result.ending is Ending.PASS, result
        return time.monotonic() - began


def in_a_campaign(runs: int, jobs: int) -> tuple[float, float]:
    """(seconds in all, seconds from the start of the first run to the end).

    Only the first contains the start of the workers.
    """
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
        assert ran.made == runs, json.dumps([lost.reason for lost in ran.lost])
        return ended - began, ended - min(times)


@dataclass(frozen=True)
class Empty:
    """Seconds per empty run: by the clock, and of CPU in each process. `client` contains
    `recording`.
    """

    wall: float
    client: float
    recording: float
    scheduler: float = 0.0


def empty_runs(
    client: object, database: Database, count: int, scheduler: int | None = None
) -> Empty:
    """Hand out empty runs and record their results, as a campaign does.

    `scheduler` is its pid, if it is a separate process.
    """
    spent = 0.0

    def on_result(trial: Trial, fields: Mapping[str, Any]) -> None:
        nonlocal spent
        began = time.thread_time()
        database.add(
            trial, TrialResult.from_json(fields["result"]), fields["worker"], fields["archive"]
        )
        spent += time.thread_time() - began

    trials = list(plan(count).trials())
    warm = len(trials) // 5
    distribute(client, trials[:warm], LIMIT_S, lambda *_: None, nothing)
    began, own, other = time.monotonic(), time.process_time(), _cpu_s(scheduler)
    assert not distribute(client, trials[warm:], LIMIT_S, on_result, nothing)
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
    """With the embedded cluster. More workers cannot share the CPU time of client and scheduler."""
    with (
        folder() as out,
        workers(None, 2, out) as client,
        contextlib.closing(_database(out)) as database,
    ):
        return empty_runs(client, database, EMPTY_RUNS)


def separate_scheduler() -> Empty:
    """With a scheduler in a separate process and many workers."""
    with folder() as out, contextlib.ExitStack() as stack:
        log = out / "scheduler.log"
        with log.open("w") as file:
            scheduler = stack.enter_context(
                _ended(subprocess.Popen(SCHEDULER, stderr=file, cwd=out))
            )
        address = wait_until(
            lambda: ADDRESS.search(log.read_text()), Deadline.after(60), "the scheduler"
        )[0]
        argv = [sys.executable, str(DASK_WORKERS), address, str(WORKERS), str(out)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        stack.enter_context(_ended(process))
        assert process.stdout.readline(), "the workers did not start"
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
    """Seconds for recording a result."""
    count = 200 if archive else EMPTY_RUNS
    with folder() as out:
        database = Database(out / "campaign.sqlite")
        began = time.monotonic()
        for seed in range(count):
            database.add(Trial(SCENARIO, seed), TrialResult(Ending.PASS, 1.0), "here", archive)
        took_s = (time.monotonic() - began) / count
        database.close()
        return took_s


def _round(runs: int) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """The runs one after another, in a campaign with one worker, and with two."""
    return one_after_another(runs), in_a_campaign(runs, 1), in_a_campaign(runs, 2)


def _rows(report: Report, measured: list[Empty], where: str, goal: str) -> float:
    """Three figures of empty runs; the client's CPU time in ms."""
    rate, spread = summary([1 / each.wall for each in measured])
    report.add(f"{where}: empty runs", rate, "a second", "", spread)
    client_ms, spread = summary([1000 * each.client for each in measured])
    report.add(f"{where}: client: CPU per empty run", client_ms, "ms", goal, spread)
    recording_ms, spread = summary([1000 * each.recording for each in measured])
    report.add(f"{where}: of that, recording", recording_ms, "ms", "<= 1", spread)
    return client_ms


def main() -> int:
    """Print the figures."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    arguments = parser(__doc__).parse_args()
    runs = 12
    report = Report(arguments.json)
    repeats = min(arguments.runs, 3)
    # In turn, so that other work on the machine hits all equally.
    rounds = [_round(runs) for _ in range(repeats)]
    alone_s, spread = summary([alone / runs for alone, _, _ in rounds])
    report.add("a run, one after another", alone_s, "s", spread=spread)
    for jobs in (1, 2):
        whole_s, spread = summary([measured[jobs][0] for measured in rounds])
        report.add(
            f"campaign of {runs}, {jobs} workers, start and end included",
            whole_s,
            "s",
            spread=spread,
        )
    ratio, spread = summary([measured[1][1] / measured[0] for measured in rounds])
    report.add("a run in a campaign : one after another", ratio, "times", "<= 1.25", spread)
    faster, spread = summary([measured[0] / measured[2][1] for measured in rounds])
    report.add("speed-up at 2 workers", faster, "times", ">= 1.5", spread)
    embedded_runs = [embedded() for _ in range(repeats)]
    task_ms = _rows(report, embedded_runs, "2 workers, scheduler in the client", "<= 8")
    separate_runs = [separate_scheduler() for _ in range(repeats)]
    client_ms = _rows(report, separate_runs, f"{WORKERS} workers, scheduler apart", "<= 5")
    scheduler_ms, spread = summary([1000 * each.scheduler for each in separate_runs])
    report.add("that scheduler: CPU per empty run", scheduler_ms, "ms", "<= 5", spread)
    row_ms, spread = median_of(lambda: 1000 * database_alone(None), repeats)
    report.add("database, a result", row_ms, "ms", "<= 1", spread)
    packed_ms, spread = median_of(lambda: 1000 * database_alone(b"x" * 20_000), repeats)
    report.add("database, a result with a packed run of 20 kB", packed_ms, "ms", "<= 5", spread)
    for position, busiest_ms in (
        ("in the client", task_ms),
        ("apart", max(client_ms, scheduler_ms)),
    ):
        report.add(
            f"results that one campaign takes, scheduler {position}", 1000 / busiest_ms, "a second"
        )
        report.add(
            f"shortest run that keeps 1,000 workers busy, scheduler {position}", busiest_ms, "s"
        )
    report.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
