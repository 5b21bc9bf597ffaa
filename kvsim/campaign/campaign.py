"""Run a campaign: find the missing trials, distribute them, record each result as it comes.

Any end leaves a usable database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from kvsim.campaign.database import Database
from kvsim.campaign.plan import CampaignPlan
from kvsim.campaign.workers import Lost, distribute, workers
from kvsim.launcher.watchdog_guard import WatchdogGuard
from kvsim.process.environment import new_run_tag
from kvsim.run_directory import CAMPAIGN_PAGE, make_folder, remove_folder
from kvsim.trials.pool import sigterm_as_interrupt
from kvsim.trials.trial import Ending, OnProgress, Trial, TrialResult

DATABASE, PAGE = "campaign.sqlite", CAMPAIGN_PAGE


class CampaignOutcome(Struct, frozen=True):
    """How this call went: runs made now, made before, and lost; `interrupted` by the user."""

    made: int
    before: int
    lost: tuple[Lost, ...]
    interrupted: bool


def open_database(folder: Path) -> Database:
    """The database in a campaign's folder; makes both. Raises UsageError."""
    make_folder(folder)
    return Database(folder / DATABASE)


def check_plan(database: Database, plan: CampaignPlan) -> None:
    """Compare the plan with the one that the campaign was begun with.

    Raises UsageError for another first seed or text. More seeds than before are allowed.
    """
    database.check_settings({"first seed": str(plan.first_seed)})
    for case in plan.cases:
        command = json.dumps([case.scenario, *case.arguments])
        database.check_settings({f"text of {command}": case.digest})


def campaign(
    plan: CampaignPlan,
    database: Database,
    scheduler: str | None,
    jobs: int,
    on_progress: OnProgress = lambda made, newest: None,
) -> CampaignOutcome:
    """Make the runs that are missing. Raises UsageError.

    Ctrl-C (or SIGTERM) ends it; every result that came back is recorded.
    """
    missing = [trial for trial in plan.trials() if not database.has(trial)]
    before, made = plan.planned - len(missing), 0
    scratch = database.path.parent / ".workers"
    # A campaign that was killed leaves this folder.
    remove_folder(scratch)
    lost: list[Lost] = []

    def on_result(trial: Trial, fields: Mapping[str, Any]) -> None:
        nonlocal made
        result = TrialResult.from_json(fields["result"])
        if result.ending is not Ending.INTERRUPTED:
            made += database.add(trial, result, fields["worker"], fields["archive"])
            on_progress(before + made, result)

    with sigterm_as_interrupt():
        try:
            if missing:
                with (
                    WatchdogGuard(new_run_tag(), [scratch]),
                    workers(scheduler, min(jobs, len(missing)), scratch) as client,
                ):
                    lost = distribute(client, missing, plan.limit_s, on_result)
            return CampaignOutcome(made, before, tuple(lost), interrupted=False)
        except KeyboardInterrupt:
            return CampaignOutcome(made, before, tuple(lost), interrupted=True)
        finally:
            remove_folder(scratch)
