"""Disks and clocks of real nodes: evidence, recovery, and that no library is left behind."""

from __future__ import annotations

import signal

import pytest

from kvsim.faults.preload.build import NotBuilt, build_library
from kvsim.waiting import Deadline, wait_until

DURABLE = "options: {fsync: always}\n"
PUT = "- put: {at: leader, key: k, value: v}\n"
DOUBT = "put: {at: leader, key: k, value: w, expect: {any_of: [refused, unknown]}}"


@pytest.fixture(autouse=True)
def needs_a_compiler():
    try:
        build_library()
    except NotBuilt as error:
        pytest.skip(str(error))


def fault(settings: str, *steps: str) -> str:
    inner = "".join(f"\n      - {step}" for step in steps)
    return f"- fault:\n    {settings}\n    do:{inner}\n"


@pytest.mark.parametrize(
    ("settings", "step", "evidence"),
    [
        ("disk: leader", DOUBT, " refused: ENOSPC"),
        ("disk: {at: leader, how: failing}", DOUBT, "failed: EIO"),
        (
            "disk: {at: leader, how: failing, calls: sync}",
            DOUBT,
            "1 of 1 sync failed: EIO (Input/output error); it exited with status 1",
        ),
        (
            "disk: {at: leader, how: slow, by: 30ms}",
            "put: {at: leader, key: k, value: v}",
            "1 sync held, for ",
        ),
    ],
    ids=["full", "failing", "failing syncs", "slow"],
)
def test_a_disk_fault_takes_effect_by_evidence_and_recovers(run_scenario, settings, step, evidence):
    run = run_scenario(
        (PUT if "slow" in settings else "") + fault(settings, step) + PUT, more=DURABLE
    )
    assert run.proof["verdict"] == "pass", run.text
    (item,) = run.of_kind("fault_evidence")
    assert item["took_effect"] is True and evidence in item["message"]
    assert [event["recovered"] for event in run.of_kind("fault_end")] == [True]
    assert not (run.run / "control").exists()


@pytest.mark.slow
def test_only_a_node_with_a_broken_disk_may_end(run_scenario):
    run = run_scenario(
        PUT
        + fault("disk: {at: n2, how: failing}\n    evidence: optional", "get: {at: n1, key: k}"),
        more=DURABLE,
    )
    assert run.check("nodes_stay_up")["verdict"] == "pass" and run.proof["verdict"] == "invalid"
    run = run_scenario(fault("disk: {at: leader, how: failing, calls: sync}", DOUBT), more=DURABLE)
    (end,) = [event for event in run.of_kind("exit") if not event["requested"]]
    assert end["tolerated"] == "its disk was failing"


def test_a_disk_fault_without_writes_makes_the_run_invalid(run_scenario):
    run = run_scenario(fault("disk: n2", "get: {at: n1, key: k, expect: served}"))
    assert (run.status, run.proof["verdict"]) == (3, "invalid")
    assert "disk of n2: no traffic: n2: no writes" in run.text


def test_nodes_recover_after_a_failing_step_inside(run_scenario):
    run = run_scenario(fault("disk: leader", "get: {at: n1, key: k, expect: {value: never}}") + PUT)
    assert run.of_kind("fault_end")[0]["recovered"] is True
    assert {step["id"]: step["result"] for step in run.proof["steps"]}["1.2"] == "skipped"


@pytest.mark.slow
def test_a_node_that_the_scenario_ends_stays_down_when_its_disk_recovers(run_scenario):
    steps = (
        fault("disk: {at: leader, how: failing}", DOUBT, "kill: n2")
        + "- get: {at: n2, key: k, expect: unreachable}\n"
    )
    run = run_scenario(steps)
    assert run.proof["verdict"] == "pass", run.text
    steps = fault("disk: {at: n2, how: failing}\n    evidence: optional", "kill: n2") + fault(
        "pause: n3", "get: {at: n1, key: k}"
    )
    run = run_scenario(steps + "- get: {at: n2, key: k, expect: unreachable}\n")
    assert run.proof["verdict"] == "pass", run.text


def test_the_digest_of_the_library_is_in_meta(run_scenario):
    import json

    run = run_scenario(fault("disk: {at: n2, how: slow}", "get: {at: n1, key: k, expect: served}"))
    assert len(json.loads((run.run / "meta.json").read_text())["preloaded"]) == 64
    plain = run_scenario("- get: {at: n1, key: k, expect: served}\n")
    assert json.loads((plain.run / "meta.json").read_text())["preloaded"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{at: leader, by: 20ms}", "disk: `by` is for `how: slow`, and this is `how: full`"),
        (
            "{at: leader, how: slow, percent: 5}",
            "disk: `percent` is for `how: failing`, and this is `how: slow`",
        ),
        ("{at: leader, how: ful}", "did you mean `full`"),
        ("{at: leader, size: 5}", "size"),
    ],
)
def test_a_mistake_is_reported_with_its_location(start_scenario, settings, message):
    with start_scenario(fault(f"disk: {settings}", "get: {at: n1, key: k}")) as process:
        _, err = process.communicate(timeout=180)
    assert (
        process.returncode == 4
        and message in err
        and "mine.yaml:" in err
        and "Traceback" not in err
    )


@pytest.mark.parametrize("by", ["30", "30s ahead", "+30", "--5s"])
def test_a_clock_is_moved_by_a_time_with_a_unit(start_scenario, by):
    with start_scenario(
        fault(f'clock: {{at: leader, by: "{by}"}}', "get: {at: n1, key: k}")
    ) as process:
        _, err = process.communicate(timeout=180)
    assert process.returncode == 4 and "such as +30s or -500ms" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill"])
def test_the_library_is_removed_after_an_interrupt_and_after_a_kill(
    start_scenario, tmp_path, number
):
    steps = fault(
        "disk: {at: n2, how: slow}",
        "get: {at: n1, key: k, expect: {value: never}, eventually: 60s}",
    )
    with start_scenario(steps) as process:
        control = tmp_path / "runs/latest/control"
        journal = tmp_path / "runs/latest/history.jsonl"
        wait_until(
            lambda: journal.exists() and "fault_begin" in journal.read_text(),
            Deadline.after(180),
            "the fault",
        )
        assert sorted(path.name for path in control.iterdir()) == [
            "n1.page",
            "n2.page",
            "n3.page",
            "preload.so",
        ]
        process.send_signal(number)
        process.communicate(timeout=180)
    wait_until(lambda: not control.exists(), Deadline.after(180), "the library to go")
    if number == signal.SIGINT:
        assert '"event":"fault_end","id":"1.1","recovered":true' in journal.read_text()
