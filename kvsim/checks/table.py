"""The table of checks on a recorded run, and how they are applied. A check's name is its file's; its first line says what it holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import ModuleType

from kvsim.checks.conduct import (
    acknowledged_writes_are_read,
    acknowledged_writes_survive,
    answers_are_ours,
    connections_last,
    digests_tell_values,
    epochs_only_rise,
    every_request_is_answered,
    exits_clean,
    expectations,
    faults_have_receipts,
    leader_accepts_writes,
    log_is_prompt,
    logs_name_roles,
    no_leftovers,
    nodes_start,
    nodes_stay_up,
    one_leader,
    one_reply_per_request,
    reads_are_served,
    redirects_name_the_leader,
    refused_writes_leave_no_trace,
    replicas_agree,
    writes_only_at_leader,
)
from kvsim.checks.verdict import CheckResult, Finding, Verdict
from kvsim.history.record import Record

_MODULES: tuple[ModuleType, ...] = (
    nodes_start,
    log_is_prompt,
    nodes_stay_up,
    answers_are_ours,
    one_leader,
    leader_accepts_writes,
    writes_only_at_leader,
    refused_writes_leave_no_trace,
    redirects_name_the_leader,
    reads_are_served,
    acknowledged_writes_are_read,
    acknowledged_writes_survive,
    replicas_agree,
    digests_tell_values,
    epochs_only_rise,
    every_request_is_answered,
    one_reply_per_request,
    connections_last,
    expectations,
    faults_have_receipts,
    logs_name_roles,
    exits_clean,
    no_leftovers,
)

CHECKS: dict[str, ModuleType] = {module.__name__.rpartition(".")[2]: module for module in _MODULES}


def about(name: str) -> str:
    """What a check holds, in one sentence."""
    return (CHECKS[name].__doc__ or "").splitlines()[0].rstrip(".")


def apply(record: Record, required: Collection[str] = ()) -> list[CheckResult]:
    """Every check on one run. A required check that had nothing to look at makes the run invalid."""
    return [_apply_one(name, module.judge, record, name in required) for name, module in CHECKS.items()]


def _apply_one(name: str, judge: Callable, record: Record, required: bool) -> CheckResult:
    judged, findings = judge(record)
    if not judged and not findings and required:
        findings = [
            Finding(
                "the scenario asks for this check, but nothing was there to judge", verdict=Verdict.INVALID
            )
        ]
    return CheckResult(name, about(name), judged, tuple(findings))
