"""The verdict of a recorded run, and of a run that was cut short."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvsim.checks.verdict import Verdict
from kvsim.history.binary_file import save
from kvsim.history.history import History
from kvsim.history.journal import to_text
from kvsim.history.operations import Operations
from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import Proof, judge
from kvsim.proof.proof_text import _one_line, render
from kvsim.run_directory import RunDirectory
from kvsim.text import escape
from tests.report.runs import META, Writer, failed_run


def proof_of(run: RunDirectory) -> Proof:
    return judge(RunRecord.load(run))


def writes(count: int) -> History:
    """One client that writes a key again and again."""
    operations = Operations()
    for number in range(count):
        call = 100_000_000 + number * 1_000_000
        operations.add(call, call + 500_000, 1, "k", "put", f"v{number}", node="n1")
    return History(operations)


def run_inside_fault_and_load(
    folder: Path, how: str | None, *, operations: int = 40
) -> RunDirectory:
    """A run that ends during a load and a fault; its scenario requires checks of both."""
    writer = Writer(folder)
    writer.run.write_meta(
        {**META, "checks": ["faults_have_evidence", "load_exercised", "exits_clean"]}
    )
    for name in META["nodes"]:
        writer.node(name, 0.01, "starting\n")
        writer.role(name, 0.05, "leader" if name == "n1" else "follower")
    writer.step(0.06, 0.1)
    writer.event(
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
        writer.run.load("w").parent.mkdir()
        save(writes(operations), writer.run.load("w"))
        writer.event(0.4, "load_stop", name="w", counts={"ok": operations})
    writer.step(0.2, None, id="1.2")
    writer.event(
        0.2, "fault_plan", id="1.2", fault="pause", nodes=["n2"], settings={}, required=True
    )
    writer.event(0.2, "fault_begin", id="1.2")
    return writer.close(how)


@pytest.mark.parametrize("how", ["interrupted", None])
@pytest.mark.parametrize("operations", [40, 0])
def test_a_run_that_was_cut_short_is_unknown(tmp_path, how, operations):
    proof = proof_of(run_inside_fault_and_load(tmp_path, how, operations=operations))
    assert {check.verdict for check in proof.checks} <= {None, Verdict.PASS, Verdict.UNKNOWN}
    assert proof.verdict is Verdict.UNKNOWN


def test_the_same_run_that_finished_is_invalid(tmp_path):
    proof = proof_of(run_inside_fault_and_load(tmp_path, "finished"))
    lacking = {check.name for check in proof.checks if check.verdict is Verdict.INVALID}
    assert {"faults_have_evidence", "load_loads_did_enough", "exits_clean"} <= lacking


def test_a_violation_found_before_the_interrupt_counts(tmp_path):
    writer = Writer(tmp_path)
    writer.node("n1", 0.01)
    writer.step(0.06, 0.1, "fail", "n2: accepted; expected: refused")
    writer.step(0.2, None, id="1.2")
    proof = proof_of(writer.close("interrupted"))
    assert proof.verdict is Verdict.FAIL


def test_an_interrupt_before_the_first_step_is_unknown(tmp_path):
    assert proof_of(Writer(tmp_path).close("interrupted")).verdict is Verdict.UNKNOWN


def test_a_run_that_tested_nothing_is_invalid(tmp_path):
    assert proof_of(Writer(tmp_path).close()).verdict is Verdict.INVALID


def test_an_exit_status_that_is_not_known_is_no_clean_exit(tmp_path):
    made = failed_run(tmp_path / "known")
    assert not [gap for gap in proof_of(made).not_proven if "ended is not known" in gap]
    text = made.journal.read_text().replace('"status":0,', '"status":null,')
    made.journal.write_text(text)
    (gap,) = [gap for gap in proof_of(made).not_proven if "ended is not known" in gap]
    assert gap.startswith("how n1 ended")


def test_control_bytes_of_a_log_and_a_reply_are_escaped_in_the_text(tmp_path):
    writer = Writer(tmp_path)
    writer.node("n1", 0.01, "\x1b]0;title\x07 \u202ebackwards\x00\x9b31m\n")
    writer.role("n1", 0.05, "leader")
    writer.step(0.06, 0.5, "fail", "it said \x1b[2J")
    writer.operation(0.1, "n1", "put", {"kind": "ok"}, received="\x1b[2J\x07\n")
    record = RunRecord.load(writer.close())
    text = render(judge(record), record)
    assert escape(text) == text
    assert r"it said \x1b[2J" in text


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            b'PUT /kv/k HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 11\r\n\r\n{"value":1}',
            'PUT /kv/k {"value":1}',
        ),
        (b"GET /kv/k HTTP/1.1\r\nHost: x\r\n\r\n", "GET /kv/k"),
        (b"HTTP/1.1 201 Created\r\nDate: now\r\n\r\nok\r\n", "201 Created ok"),
        (
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://n1:1/k\r\nX: y\r\n\r\n",
            "307 Temporary Redirect Location: http://n1:1/k",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "200 OK ok",
        ),
        (b"HTTP/1.0 404 Not Found", "404 Not Found"),
        (b"GET k\r\n", "GET k"),
        (b"HTTP is no verb\r\n\r\nbody", r"HTTP is no verb\r\n\r\nbody"),
    ],
)
def test_of_http_the_proof_shows_what_a_person_looks_for(message, shown):
    assert _one_line(to_text(message)) == shown
