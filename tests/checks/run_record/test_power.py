"""The check of power cuts, on records made in memory."""

from __future__ import annotations

import pytest

from kvsim.checks.run_record.data import acknowledged_writes_survive
from kvsim.checks.run_record.power import acknowledged_writes_survive_power
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FaultTraits
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.history.run_record import FILES_BACK
from kvsim.structs import to_dict
from tests.checks.run_record.run_builder import RunBuilder

OK = Outcome(OutcomeKind.OK)
TRAITS = to_dict(FaultTraits(ends_nodes="always", cuts_power=True, preloads=True))
LOST = {
    "file": "log-1",
    "what": "written",
    "at": 5120,
    "length": 60,
    "synced_to": 4096,
    "synced_ns": 1_102_000_000,
    "made_ns": 1_204_000_000,
    "texts": ["SET", "new"],
}


def found(value: str | None) -> Outcome:
    return Outcome(OutcomeKind.OK, value=value, found=value is not None)


def cut(run: RunBuilder, lost=(LOST,), recovery=(), *, took_effect=True) -> RunBuilder:
    """The power of n1 is cut, and n1 starts again. The clock of the record begins at 0."""
    at_s = len(run.events) / 1000
    settings = {"keep": "none", "model": "ext4", "clock_ns": round(at_s * 1e9)}
    run.add(
        "fault_plan",
        id="1.2",
        fault="power_cut",
        nodes=["n1"],
        settings=settings,
        traits=TRAITS,
        required=True,
    )
    run.add("fault_begin", id="1.2")
    run.add(
        "fault_evidence",
        id="1.2",
        subject="n1",
        took_effect=took_effect,
        message="its power was cut",
        measured={"lost": list(lost)},
    )
    run.add("fault_end", id="1.2", recovered=True, messages=list(recovery))
    return run.report_roles(n1="leader")


def run_with(read: Outcome, *, lost=(LOST,), recovery=(), took_effect=True, **plan):
    run = RunBuilder(survives_power=True, power_loses_s=0.0)
    run.plan.update(plan)
    run.up().step("1.1").request("n1", "put", OK)
    cut(run, lost, recovery, took_effect=took_effect)
    return run.step("1.3").request("n1", "get", read, incarnation=2).record()


def test_a_write_that_is_there_is_judged_and_no_finding():
    assert acknowledged_writes_survive_power.judge(run_with(found("new"))) == (1, [])


def test_a_lost_write_is_found_with_its_place_and_the_sync_that_was_missing():
    judged, (finding,) = acknowledged_writes_survive_power.judge(run_with(found(None)))
    assert judged == 1
    assert finding.message.endswith(
        "its record stood in log-1 at 5,120..5,180, last synced at 1.102 s up to 4,096"
    )
    assert finding.message.startswith("n1 acknowledged `put k new`, and later n1 showed not found")


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        ({**LOST, "synced_ns": None}, "at 5,120..5,180, which was never synced"),
        (
            {**LOST, "what": "renamed"},
            "log-1: its folder was not synced after the file got this name",
        ),
        ({**LOST, "texts": ["other"]}, "what was lost last: log-1 at 5,120..5,180"),
    ],
)
def test_the_finding_says_what_was_lost(lost, text):
    _, (finding,) = acknowledged_writes_survive_power.judge(run_with(found(None), lost=[lost]))
    assert text in finding.message


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (
            found(None),
            "1 of 1 acknowledged write was lost in a power cut, and its program does not",
        ),
        (found("new"), "of 1 acknowledged write none was lost in a power cut"),
    ],
)
def test_of_a_program_that_does_not_guarantee_it_what_was_lost_is_a_warning(read, text):
    judged, (warning,) = acknowledged_writes_survive_power.judge(
        run_with(read, survives_power=False)
    )
    assert (judged, warning.verdict) == (0, Verdict.PASS)
    assert warning.message.startswith(text)


def test_a_node_that_got_its_files_back_lost_nothing_that_is_known():
    message = f"n1 did not start from what the power cut left (bad file); {FILES_BACK}: ready"
    record = run_with(found("new"), recovery=[message], survives_power=False)
    _, (warning,) = acknowledged_writes_survive_power.judge(record)
    assert warning.message.startswith("n1 did not start from what a power cut left")


def test_a_power_cut_without_effect_took_nothing():
    record = run_with(found("new"), took_effect=False, survives_power=False)
    assert acknowledged_writes_survive_power.judge(record) == (0, [])


def test_the_last_writes_may_be_lost_where_the_program_says_so():
    assert acknowledged_writes_survive_power.judge(run_with(found(None), power_loses_s=2.0)) == (
        0,
        [],
    )


def test_the_check_of_kills_does_not_judge_what_a_power_cut_took():
    assert acknowledged_writes_survive.judge(run_with(found(None))) == (0, [])


def test_a_read_that_was_refused_shows_nothing():
    refused = Outcome(OutcomeKind.REFUSED, reason=Reason.NOT_READY)
    assert acknowledged_writes_survive_power.judge(run_with(refused)) == (0, [])
