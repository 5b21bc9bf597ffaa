"""The verdict of a recorded run: what a run that was cut short can and cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvsim.checks.verdict import Verdict
from kvsim.evidence.proof import Proof, judge
from kvsim.history.history import History
from kvsim.history.history_file import save
from kvsim.history.operations import Operations
from kvsim.history.record import Record
from kvsim.rundir import RunDir
from tests.report.runs import META, Writer


def proof_of(run: RunDir) -> Proof:
    return judge(Record.load(run))


def writes(count: int) -> History:
    """One client that writes a key again and again."""
    operations = Operations()
    for number in range(count):
        call = 100_000_000 + number * 1_000_000
        operations.add(call, call + 500_000, 1, "k", "put", f"v{number}", node="n1")
    return History(operations)


def stormy(folder: Path, how: str | None, *, operations: int = 40) -> RunDir:
    """A run that ends while a load works and inside a fault, and whose scenario requires checks of both."""
    made = Writer(folder)
    made.run.write_meta({**META, "checks": ["faults_have_receipts", "load_exercised", "exits_clean"]})
    for name in META["nodes"]:
        made.node(name, 0.01, "starting\n")
        made.role(name, 0.05, "leader" if name == "n1" else "follower")
    made.step(0.06, 0.1)
    made.event(
        0.07,
        "load_start",
        id="1.1",
        name="w",
        epoch_ns=0,
        clients=4,
        at="leader",
        key_count=20,
        mix={"put": 1},
        keys=[],
        minima={"total": 100_000},
    )
    if operations:
        made.run.load("w").parent.mkdir()
        save(writes(operations), made.run.load("w"))
        made.event(0.4, "load_stop", name="w", counts={"ok": operations})
    made.step(0.2, None, id="1.2")
    made.event(0.2, "fault_plan", id="1.2", fault="pause", nodes=["n2"], settings={}, required=True)
    made.event(0.2, "fault_begin", id="1.2")
    return made.close(how)


@pytest.mark.parametrize("how", ["interrupted", None])
@pytest.mark.parametrize("operations", [40, 0])
def test_a_run_that_was_cut_short_is_unknown_whatever_it_lacks(tmp_path, how, operations):
    proof = proof_of(stormy(tmp_path, how, operations=operations))
    assert {check.verdict for check in proof.checks} <= {None, Verdict.PASS, Verdict.UNKNOWN}
    assert proof.verdict is Verdict.UNKNOWN


def test_the_same_of_a_run_that_went_on_to_its_end_is_invalid(tmp_path):
    proof = proof_of(stormy(tmp_path, "finished"))
    lacking = {check.name for check in proof.checks if check.verdict is Verdict.INVALID}
    assert {"faults_have_receipts", "load_loads_did_enough", "exits_clean"} <= lacking


def test_a_violation_that_was_found_before_the_interrupt_stays_one(tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.01)
    made.step(0.06, 0.1, "fail", "n2: accepted; expected: refused")
    made.step(0.2, None, id="1.2")
    proof = proof_of(made.close("interrupted"))
    assert proof.verdict is Verdict.FAIL


def test_an_interrupt_before_the_first_step_is_unknown(tmp_path):
    assert proof_of(Writer(tmp_path).close("interrupted")).verdict is Verdict.UNKNOWN


def test_a_run_that_tested_nothing_is_invalid(tmp_path):
    assert proof_of(Writer(tmp_path).close()).verdict is Verdict.INVALID
