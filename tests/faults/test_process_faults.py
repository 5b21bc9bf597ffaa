"""Faults of processes on real nodes: evidence, recovery, and a run that can be judged again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kvsim.waiting import Deadline, wait_until

PUT = "- put: {at: leader, key: k, value: v}\n"
GET = "- get: {at: n1, key: k, expect: {value: v}}\n"


def fault(settings: str, *steps: str) -> str:
    inner = "".join(f"\n      - {step}" for step in steps)
    return f"- fault:\n    {settings}\n    do:{inner}\n"


@pytest.mark.parametrize(
    ("settings", "evidence"),
    [
        ("kill: {at: n2, signal: ABRT}", "was killed by SIGABRT; its port refuses connections"),
        ("restart: n2", "exited with status 0; its port refuses connections"),
        ("pause: n2", "every thread is stopped; a ping was not answered"),
        ("pause: each follower", "every thread is stopped; a ping was not answered"),
    ],
)
def test_a_fault_takes_effect_by_evidence_and_recovers(run_scenario, settings, evidence):
    run = run_scenario(PUT + fault(settings, "get: {at: n1, key: k, expect: {value: v}}"))
    assert run.proof["verdict"] == "pass", run.text
    assert all(
        item["took_effect"] and evidence in item["message"]
        for item in run.of_kind("fault_evidence")
    )
    assert [event["recovered"] for event in run.of_kind("fault_end")] == [True]
    assert evidence in run.text


def test_a_node_that_is_down_during_a_fault_is_up_again_after_it(run_scenario):
    inside = "get: {at: n2, key: k, expect: unreachable}"
    run = run_scenario(fault("kill: n2", inside) + "- get: {at: n2, key: k, expect: served}\n")
    assert run.proof["verdict"] == "pass", run.text


def test_a_crash_damages_the_named_file(run_scenario):
    run = run_scenario(
        PUT
        + fault(
            'crash: {at: n1, file: "*", max_bytes: 1}', "get: {at: n1, key: k, expect: unreachable}"
        )
    )
    (item,) = run.of_kind("fault_evidence")
    measured = item["measured"]
    assert item["took_effect"] is True
    assert measured["size_before"] - measured["size_after"] == 1


def test_a_fault_without_evidence_makes_the_run_invalid(run_scenario):
    run = run_scenario(
        fault("crash: {at: n2, file: no-such-file}", "get: {at: n1, key: k, expect: served}")
    )
    assert (run.status, run.proof["verdict"]) == (3, "invalid")
    assert "no file in its data directory matches no-such-file" in run.text


def test_evidence_may_be_optional(run_scenario):
    settings = "crash: {at: n2, file: no-such-file}\n    evidence: optional"
    step = "get: {at: n1, key: k, expect: served}"
    # Without any fault that took effect the run is invalid.
    assert run_scenario(fault(settings, step)).proof["verdict"] == "invalid"
    run = run_scenario(fault(settings, step) + fault("pause: n2", step))
    assert run.proof["verdict"] == "pass", run.text


def test_after_a_failing_step_inside_the_nodes_recover_and_the_run_fails(run_scenario):
    run = run_scenario(
        fault("pause: n2", "get: {at: n1, key: k, expect: {value: never}}", "get: {at: n1, key: k}")
        + "- get: {at: n2, key: k}\n"
    )
    assert run.proof["verdict"] == "fail"
    results = {step["id"]: step["result"] for step in run.proof["steps"]}
    assert results == {"1.1": "fail", "1.1.1": "fail", "1.1.2": "skipped", "1.2": "skipped"}
    assert run.of_kind("fault_end")[0]["recovered"] is True


def test_nodes_recover_after_an_interrupt(start_scenario, tmp_path: Path):
    steps = fault("pause: n2", "get: {at: n1, key: k, expect: {value: never}, eventually: 60s}")
    with start_scenario(steps) as process:
        journal = tmp_path / "runs/latest/history.jsonl"
        wait_until(
            lambda: journal.exists() and "fault_evidence" in journal.read_text(),
            Deadline.after(180),
            "the fault",
        )
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=180)
    events = journal.read_text()
    assert '"event":"fault_end","id":"1.1","recovered":true' in events, text
    assert "the run did not finish: interrupted" in text
    assert "NOT RECOVERED" not in text


def test_faults_may_be_nested(run_scenario):
    run = run_scenario(
        fault(
            "pause: n2", "fault: {kill: [n1, n3], do: [{get: {at: n2, key: k, expect: unknown}}]}"
        )
    )
    assert [event["nodes"] for event in run.of_kind("fault_plan")] == [["n2"], ["n1", "n3"]]
    assert run.proof["verdict"] == "pass", run.text


def test_verify_judges_the_evidence_again(run_scenario, root):
    from kvsim.proof.verify import verify
    from kvsim.run_directory import RunDirectory

    run = run_scenario(fault("pause: n2", "get: {at: n1, key: k}"))
    journal = run.run / "history.jsonl"
    assert verify(RunDirectory(run.run))[1] == []
    journal.write_text(journal.read_text().replace('"took_effect":true', '"took_effect":false'))
    proof, problems = verify(RunDirectory(run.run))
    assert str(proof.verdict) == "invalid" and problems
