"""A storm on real nodes with proxied links, and its schedule run again as an ordinary scenario."""

from __future__ import annotations

import pytest

LOAD = (
    "- load: {start: w, clients: 3, mix: {put: 60, get: 30, delete: 10}, keys: 4, rate: 300, "
    "timeout: 300ms}\n"
)
PAUSE = "- sleep: {for: 100ms, why: of a test}\n"
STORM = (
    "- storm: {for: 800ms, duration: 80ms, interval: 60ms, "
    "faults: {pause: 2, cut: 1, stall: 1, delay: 1}}\n"
)
STEPS = LOAD + PAUSE + STORM + PAUSE + "- load: {stop: w}\n"
PROXIED = "links: proxied\n"


def faults_of(run) -> list:
    return [
        (event["fault"], event["nodes"], event["settings"]) for event in run.of_kind("fault_plan")
    ]


@pytest.mark.slow
def test_the_schedule_repeats_the_same_faults(run_scenario):
    run = run_scenario(STEPS, more=PROXIED)
    assert run.proof["verdict"] == "pass", run.text
    assert "storm:" not in (run.run / "replay.yaml").read_text().partition("\n")[2]
    again = run_scenario.file(run.run / "replay.yaml")
    assert faults_of(again) == faults_of(run) and len(faults_of(run)) >= 4
    assert [step["verb"] for step in again.proof["steps"]] == [
        step["verb"] for step in run.proof["steps"] if step["verb"] != "storm"
    ]


@pytest.mark.slow
def test_what_the_loads_did_is_judged_by_the_guarantees(run_scenario):
    run = run_scenario(STEPS, more=PROXIED)
    assert run.check("load_linearizable")["verdict"] == "pass"
    assert run.check("load_lost_writes")["judged"] > 0
    rows = run.proof["load"]["guarantees"]
    status = {row["guarantee"]: row["status"] for row in rows}
    assert status["leader_reads"] == "kept"
    assert "WHAT THE LOADS DID" in (run.run / "proof.txt").read_text()


def test_the_address_of_a_proxy_identifies_its_node(run_scenario):
    run = run_scenario(
        "- put: {at: n2, key: k, value: v, expect: {refused: read_only, names: leader}}\n"
        "- put: {at: n2, key: k, value: v, follow: redirects}\n",
        more=PROXIED,
    )
    assert run.proof["verdict"] == "pass", run.text


def test_a_fault_of_links_needs_links(run_scenario, start_scenario):
    with start_scenario(
        "- fault: {cut: {from: n1, to: n2}, do: [{get: {at: n1, key: k}}]}\n"
    ) as process:
        _, err = process.communicate(timeout=180)
    assert process.returncode == 4 and "links: proxied" in err


@pytest.mark.parametrize(
    ("minima", "verdict"),
    [("{total: 1}", "pass"), ("{total: 1000000}", "invalid")],
    ids=["enough", "short"],
)
def test_a_load_that_falls_short_makes_the_run_invalid(run_scenario, minima, verdict):
    steps = f"- load: {{start: w, minima: {minima}, rate: 200}}\n{PAUSE}- load: {{stop: w}}\n"
    assert run_scenario(steps).proof["verdict"] == verdict


def test_a_load_is_stopped_at_the_end_and_named_once(run_scenario):
    run = run_scenario("- load: {start: w}\n" + PAUSE)
    assert [event["name"] for event in run.of_kind("load_stop")] == ["w"]


def test_an_edited_load_is_found(run_scenario):
    from kvsim.proof.verify import verify
    from kvsim.run_directory import RunDirectory

    run = run_scenario("- load: {start: w, rate: 200}\n" + PAUSE + "- load: {stop: w}\n")
    assert verify(RunDirectory(run.run))[1] == []
    file = run.run / "loads/w.history"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    proof, problems = verify(RunDirectory(run.run))
    assert proof is None
    assert "loads/w.history" in problems[0]
    assert any("damaged" in problem for problem in problems)
