"""Faults of processes on real nodes: each bites by evidence, heals, and leaves a run that can be judged again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kvsim.waiting import Deadline, wait_until

PUT = "- put: {at: leader, key: k, value: v}\n"
GET = "- get: {at: n1, key: k, expect: {value: v}}\n"


def fault(words: str, *steps: str) -> str:
    inner = "".join(f"\n      - {step}" for step in steps)
    return f"- fault:\n    {words}\n    do:{inner}\n"


@pytest.mark.parametrize(
    ("words", "evidence"),
    [
        ("kill: {at: n2, signal: ABRT}", "was killed by SIGABRT; its port refuses connections"),
        ("restart: n2", "exited with status 0; its port refuses connections"),
        ("pause: n2", "every thread is stopped; a ping was not answered"),
        ("pause: each follower", "every thread is stopped; a ping was not answered"),
    ],
)
def test_a_fault_bites_by_evidence_and_heals(play, words, evidence):
    run = play(PUT + fault(words, "get: {at: n1, key: k, expect: {value: v}}"))
    assert run.proof["verdict"] == "pass", run.text
    assert all(receipt["bit"] and evidence in receipt["says"] for receipt in run.of_kind("fault_receipt"))
    assert [event["healed"] for event in run.of_kind("fault_end")] == [True]
    assert evidence in run.text


def test_a_node_that_is_down_inside_is_up_again_outside(play):
    inside = "get: {at: n2, key: k, expect: unreachable}"
    run = play(fault("kill: n2", inside) + "- get: {at: n2, key: k, expect: served}\n")
    assert run.proof["verdict"] == "pass", run.text


def test_a_crash_damages_the_file_that_was_named(play):
    run = play(
        PUT + fault('crash: {at: n1, file: "*", most: 1}', "get: {at: n1, key: k, expect: unreachable}")
    )
    (receipt,) = run.of_kind("fault_receipt")
    assert (
        receipt["bit"] is True and receipt["evidence"]["size_before"] - receipt["evidence"]["size_after"] == 1
    )


def test_a_fault_without_its_receipt_makes_the_run_invalid(play):
    run = play(fault("crash: {at: n2, file: no-such-file}", "get: {at: n1, key: k, expect: served}"))
    assert (run.status, run.proof["verdict"]) == (3, "invalid")
    assert "no file in its data directory fits no-such-file" in run.text


def test_a_receipt_may_be_optional(play):
    words = "crash: {at: n2, file: no-such-file}\n    receipt: optional"
    step = "get: {at: n1, key: k, expect: served}"
    assert play(fault(words, step)).proof["verdict"] == "invalid"  # for then nothing was broken at all
    run = play(fault(words, step) + fault("pause: n2", step))
    assert run.proof["verdict"] == "pass", run.text


def test_a_failing_step_inside_heals_and_fails_the_run(play):
    run = play(
        fault("pause: n2", "get: {at: n1, key: k, expect: {value: never}}", "get: {at: n1, key: k}")
        + "- get: {at: n2, key: k}\n"
    )
    assert run.proof["verdict"] == "fail"
    results = {step["id"]: step["result"] for step in run.proof["steps"]}
    assert results == {"1.1": "fail", "1.1.1": "fail", "1.1.2": "skipped", "1.2": "skipped"}
    assert run.of_kind("fault_end")[0]["healed"] is True


def test_an_interrupt_heals_too(kvsim_in, tmp_path: Path):
    steps = fault("pause: n2", "get: {at: n1, key: k, expect: {value: never}, eventually: 60s}")
    with kvsim_in(steps) as process:
        journal = tmp_path / "runs/latest/history.jsonl"
        wait_until(
            lambda: journal.exists() and "fault_receipt" in journal.read_text(),
            Deadline.after(30),
            "the fault",
        )
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    events = journal.read_text()
    assert '"event":"fault_end","id":"1.1","healed":true' in events, text
    assert "the run did not finish: interrupted" in text
    assert "NOT HEALED" not in text


def test_faults_may_stand_inside_faults(play):
    run = play(fault("pause: n2", "fault: {kill: [n1, n3], do: [{get: {at: n2, key: k, expect: unknown}}]}"))
    assert [event["nodes"] for event in run.of_kind("fault_plan")] == [["n2"], ["n1", "n3"]]
    assert run.proof["verdict"] == "pass", run.text


def test_verify_judges_the_receipts_again(play, root):
    from kvsim.evidence.verify import verify
    from kvsim.rundir import RunDir

    run = play(fault("pause: n2", "get: {at: n1, key: k}"))
    journal = run.run / "history.jsonl"
    assert verify(RunDir(run.run))[1] == []
    journal.write_text(journal.read_text().replace('"bit":true', '"bit":false'))
    proof, problems = verify(RunDir(run.run))
    assert str(proof.verdict) == "invalid" and problems
