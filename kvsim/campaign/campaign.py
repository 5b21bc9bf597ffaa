"""A campaign from beginning to end: what is still to do, handed out, recorded as it comes back. Whatever ends it leaves a usable file."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvsim.campaign.database import Database
from kvsim.campaign.plan import Plan
from kvsim.campaign.workers import Lost, hand_out, workers
from kvsim.errors import UsageError
from kvsim.trials.trial import Ending, Result, Trial

DATABASE, PAGE = "campaign.sqlite", "campaign.html"

Progress = Callable[[int, Result], None]


@dataclass(frozen=True)
class Ran:
    """How this call went: made now, made before, lost to workers; `interrupted` by the user."""

    made: int
    before: int
    lost: tuple[Lost, ...]
    interrupted: bool


def open_database(folder: Path) -> Database:
    """The database in a campaign's folder, which is made. Raises UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error
    return Database(folder / DATABASE)


def agree(database: Database, plan: Plan) -> None:
    """Hold the plan against what the campaign was begun with. More seeds than before are welcome. Raises UsageError."""
    database.agree({"first seed": str(plan.first_seed)})
    for case in plan.cases:
        words = json.dumps([case.scenario, *case.arguments])
        database.agree({f"text of {words}": case.digest})


def campaign(
    plan: Plan,
    database: Database,
    scheduler: str | None,
    jobs: int,
    progress: Progress = lambda made, newest: None,
) -> Ran:
    """Make what is still to be made. Ctrl-C (or SIGTERM) ends it with all that came back recorded. Raises UsageError."""
    todo = [trial for trial in plan.trials() if not database.has(trial)]
    before, made = plan.wanted - len(todo), 0
    scratch = database.path.parent / ".workers"
    shutil.rmtree(scratch, ignore_errors=True)  # of a campaign that was killed
    lost: list[Lost] = []

    def came(trial: Trial, fields: Mapping[str, Any]) -> None:
        nonlocal made
        result = Result.from_json(fields["result"])
        if result.ending is not Ending.INTERRUPTED:
            made += database.add(trial, result, fields["worker"], fields["archive"])
            progress(before + made, result)

    usual = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if todo:
            with workers(scheduler, min(jobs, len(todo)), scratch) as client:
                lost = hand_out(client, todo, plan.limit_s, came)
        return Ran(made, before, tuple(lost), interrupted=False)
    except KeyboardInterrupt:
        return Ran(made, before, tuple(lost), interrupted=True)
    finally:
        signal.signal(signal.SIGTERM, usual)
        shutil.rmtree(scratch, ignore_errors=True)
