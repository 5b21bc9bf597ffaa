"""What kvsim measured while it did not run itself is unknown, and never convicts a store."""

from __future__ import annotations

from kvsim.checks.registry import apply
from kvsim.checks.verdict import Verdict
from kvsim.proof.coverage_gaps import coverage_gaps
from tests.checks.run_record.run_builder import RunBuilder


def verdicts(run: RunBuilder) -> dict[str, Verdict | None]:
    return {check.name: check.verdict for check in apply(run.record())}


def two_steps() -> RunBuilder:
    """Two steps that failed, each in some milliseconds: 1.1 at 9 ms, 1.2 at 14 ms."""
    run = RunBuilder().up()
    run.step("1.1", result="fail", why="not within 2s")
    run.step_id = "1.2"
    return run.report_roles(n1="leader", n2="follower", n3="follower").step("1.2", result="pass")


def gap(run: RunBuilder, began_s: float, ended_s: float) -> RunBuilder:
    return run.add("clock_gap", of="kvsim", began_s=began_s, ended_s=ended_s)


def test_a_step_that_failed_across_a_gap_is_unknown():
    record = gap(two_steps(), 0.0095, 0.0096).record()
    assert [step.result for step in record.steps] == ["unknown", "pass"]
    assert verdicts(gap(two_steps(), 0.0095, 0.0096))["expectations"] is Verdict.UNKNOWN
    assert any("kvsim itself did not run" in line for line in coverage_gaps(record, ()))


def test_a_gap_in_another_step_excuses_nothing():
    assert verdicts(gap(two_steps(), 0.0125, 0.0126))["expectations"] is Verdict.FAIL


def test_a_gap_after_the_roles_of_a_step_were_asked_for_is_one_of_the_step():
    run = gap(two_steps(), 0.0125, 0.0126)
    assert run.record().gap_in_step("1.2") and not run.record().gap_in_step("1.1")


def test_a_finding_of_no_step_is_unknown_after_any_gap():
    def ended() -> RunBuilder:
        run = two_steps()
        return run.add(
            "exit",
            node="n2",
            incarnation=1,
            requested=False,
            flooded=False,
            description="exited",
            tail=[],
        )

    assert verdicts(ended())["nodes_stay_up"] is Verdict.FAIL
    assert verdicts(gap(ended(), 0.001, 0.002))["nodes_stay_up"] is Verdict.UNKNOWN
