"""Every examination is well with a well-behaved store, and finds the one thing that is wrong with another."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kvsim.doctor.finding import Health
from kvsim.doctor.table import EXAMINATIONS, examine
from kvsim.process.netns import refusal

APART = pytest.mark.skipif(refusal() is not None, reason=f"no network namespaces here: {refusal()}")
WELL_ALL_THE_SAME = {"honours_data_dir"}  # the store of the tests keeps everything in memory


def test_a_well_behaved_store_is_well(patient):
    found = dict(examine(patient("well_behaved")))
    assert set(found) == set(EXAMINATIONS)
    sick = {name: one for name, one in found.items() if one.health is not Health.WELL}
    if sick.get("own_address") and sick["own_address"].health is Health.NOT_LOOKED:  # not root
        del sick["own_address"]
    assert set(sick) == WELL_ALL_THE_SAME, sick


@pytest.mark.parametrize(
    ("how", "examination", "health", "words"),
    [
        ("dies_at_start", "starts", Health.ILL, "cannot read the configuration"),
        ("prints_nothing", "log_is_prompt", Health.ODD, "ever matched"),
        ("buffers_its_log", "log_is_prompt", Health.ILL, "only when it ended"),
        ("listens_wide", "loopback_only", Health.ODD, "0.0.0.0"),
        ("writes_where_it_stands", "honours_data_dir", Health.ILL, "state.db"),
        ("ignores_signals", "stops_on_term", Health.ILL, "still ran 5s after SIGTERM"),
        ("leaves_a_child", "leaves_no_children", Health.ILL, "it left pid"),
        ("keeps_a_lock_file", "restarts_after_a_kill", Health.ILL, "LOCK exists"),
        ("shares_with_itself", "second_instance", Health.ILL, "both took the port"),
        ("dies_of_a_broken_pipe", "vanishing_client", Health.ILL, "killed by SIGPIPE"),
        ("one_at_a_time", "idle_client", Health.ODD, "beside a silent client"),
        ("takes_each_read_for_a_request", "two_in_one_packet", Health.ODD, "only 1 whole replies"),
        ("takes_each_read_for_a_request", "byte_by_byte", Health.ILL, ""),
        ("cuts_values_at_a_space", "value_with_spaces", Health.ILL, "came back as 'two'"),
        ("dies_on_a_put", "big_value", Health.ILL, "SIGSEGV"),
        pytest.param("loopback_only", "own_address", Health.ODD, "not on 198.18.0.3", marks=APART),
    ],
)
def test_what_is_wrong_is_found(patient, how, examination, health, words):
    sick = patient(how)
    relaxed = sick if examination in {"starts", "log_is_prompt"} else sick.without_log_probe()
    finding = EXAMINATIONS[examination].examine(relaxed)
    assert finding.health is health, finding
    assert words in finding.seen
    assert finding.meaning
    assert finding.cure


def test_without_a_compiler_nobody_knows_whether_its_disk_can_be_broken(patient, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    finding = EXAMINATIONS["disk_and_clock"].examine(patient("well_behaved"))
    assert finding.health is Health.NOT_LOOKED and "there is no no-such-compiler here" in finding.seen


def test_what_does_not_start_is_not_looked_at_further(patient):
    found = dict(examine(patient("exits_with_zero")))
    assert found.pop("starts").health is Health.ILL
    assert {one.health for one in found.values()} == {Health.NOT_LOOKED}


def test_a_log_that_is_stuck_does_not_keep_the_doctor_from_looking(patient):
    found = dict(examine(patient("buffers_its_log")))
    assert found["starts"].health is Health.ILL
    assert found["log_is_prompt"].health is Health.ILL
    assert found["honours_port"].health is Health.WELL


def test_the_command_says_it_for_people_and_for_machines(patient, tmp_path):
    patient("cuts_values_at_a_space")
    call = [sys.executable, "-m", "kvsim", "doctor", str(tmp_path / "node.yaml")]
    told = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert told.returncode == 1
    assert "cure:  take the rest of the line for the value" in told.stdout
    rows = json.loads(subprocess.run([*call, "--json"], capture_output=True, text=True, timeout=60).stdout)
    assert {row["examination"] for row in rows} == set(EXAMINATIONS)
