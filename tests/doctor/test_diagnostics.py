"""Every diagnostic: ok for a well-behaved store, and it finds the one fault of another store."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from msgspec.structs import replace

from kvsim.cli.loading import load_cluster
from kvsim.doctor.program_under_test import TIMEOUT_S, ProgramUnderTest
from kvsim.doctor.registry import Diagnosis, Status, all_diagnostics, diagnose


def test_a_well_behaved_store_is_ok(program_under_test):
    program = replace(program_under_test("well_behaved"), timeout_s=TIMEOUT_S)
    found = {diagnostic.name: diagnosis for diagnostic, diagnosis in diagnose(program)}
    assert set(found) == set(all_diagnostics())
    not_ok = {name: each for name, each in found.items() if each.status is not Status.OK}
    # Skipped without root or nft.
    if not_ok.get("network_namespace", Diagnosis(Status.OK, "")).status is Status.SKIPPED:
        del not_ok["network_namespace"]
    assert not_ok == {}


@pytest.mark.parametrize(
    ("behaviour", "name", "status", "words"),
    [
        ("dies_at_start", "starts", Status.ERROR, "cannot read the configuration"),
        ("prints_nothing", "log_is_prompt", Status.WARNING, "ever matched"),
        ("buffers_its_log", "log_is_prompt", Status.ERROR, "only when it ended"),
        ("listens_wide", "loopback_only", Status.WARNING, "0.0.0.0"),
        ("writes_where_it_stands", "honours_data_dir", Status.ERROR, "state.db"),
        ("ignores_signals", "stops_on_term", Status.ERROR, "still ran 0.5s after SIGTERM"),
        ("leaves_a_child", "leaves_no_children", Status.ERROR, "it left pid"),
        ("keeps_a_lock_file", "restarts_after_kill", Status.ERROR, "LOCK exists"),
        ("shares_with_itself", "second_instance", Status.ERROR, "both took the port"),
        ("dies_of_a_broken_pipe", "disconnecting_clients", Status.ERROR, "killed by SIGPIPE"),
        ("one_at_a_time", "idle_client", Status.WARNING, "beside a silent client"),
        (
            "takes_each_read_for_a_request",
            "pipelined_requests",
            Status.WARNING,
            "only 1 whole replies",
        ),
        ("takes_each_read_for_a_request", "split_request", Status.ERROR, ""),
        ("cuts_values_at_a_space", "value_with_spaces", Status.ERROR, "came back as 'two'"),
        ("dies_on_a_put", "answers_requests", Status.ERROR, "SIGSEGV"),
        ("refuses_everything", "answers_requests", Status.ERROR, "ERR not today"),
        ("never_answers", "answers_requests", Status.ERROR, "no answer that is known"),
        ("refuses_parts", "split_request", Status.ERROR, "ERR cut"),
        ("answers_out_of_order", "pipelined_requests", Status.ERROR, "in the wrong order"),
        ("crashes_on_a_used_port", "second_instance", Status.ERROR, "killed by SIGSEGV"),
        ("stops_listening", "partial_request", Status.ERROR, "a new client's ping got"),
        ("loopback_only", "network_namespace", Status.WARNING, "not on 198.18.0.3"),
    ],
)
def test_a_fault_is_found(program_under_test, behaviour, name, status, words):
    diagnosis = all_diagnostics()[name](program_under_test(behaviour))
    if name == "network_namespace" and diagnosis.status is Status.SKIPPED:
        pytest.skip(diagnosis.observation)
    assert diagnosis.status is status, diagnosis
    assert words in diagnosis.observation
    assert diagnosis.meaning
    assert diagnosis.fix


TWO_PARTS = '{first_of: ["PUT {key} {value}", "PUT {key} {value}"]}'
SEVERAL_GETS = '{steps: [PING, "GET {key}"]}'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "name", "status", "words"),
    [
        # A put in parts hides nothing: what is split and joined are gets.
        (('"PUT {key} {value}"', TWO_PARTS), "split_request", Status.OK, ""),
        (('"PUT {key} {value}"', TWO_PARTS), "pipelined_requests", Status.OK, ""),
        (('"PUT {key} {value}"', TWO_PARTS), "partial_request", Status.OK, ""),
        (('"GET {key}"', SEVERAL_GETS), "split_request", Status.SKIPPED, "made of several"),
        (
            ("speak: lines", "speak: {kind: lines, connection: per_request}"),
            "pipelined_requests",
            Status.SKIPPED,
            "a connection of its own",
        ),
    ],
)
def test_requests_in_parts_are_split_where_a_get_is_one_request(
    program_under_test, change, name, status, words
):
    program = program_under_test("well_behaved", lambda text: text.replace(*change))
    diagnosis = all_diagnostics()[name](program)
    assert diagnosis.status is status, diagnosis
    assert words in diagnosis.observation


@pytest.mark.slow
def test_a_fault_is_found_beside_a_request_in_parts(program_under_test):
    program = program_under_test(
        "takes_each_read_for_a_request", lambda text: text.replace('"PUT {key} {value}"', TWO_PARTS)
    )
    assert all_diagnostics()["pipelined_requests"](program).status is Status.WARNING


@pytest.mark.parametrize(
    ("behaviour", "name", "allow"),
    [
        ("listens_wide", "loopback_only", "hosts: true"),
        ("writes_where_it_stands", "honours_data_dir", 'files: "*/state.db"'),
        ("leaves_a_child", "leaves_no_children", "children: true"),
    ],
)
def test_what_node_yaml_allows_is_no_fault(program_under_test, behaviour, name, allow):
    program = program_under_test(behaviour, lambda text: f"{text}allow: {{{allow}}}\n")
    diagnosis = all_diagnostics()[name](program)
    assert diagnosis.status is Status.OK, diagnosis


@pytest.mark.slow
def test_what_depends_on_answers_is_skipped_when_there_are_none(program_under_test):
    found = {
        each.name: diagnosis for each, diagnosis in diagnose(program_under_test("dies_on_a_put"))
    }
    errors = {name for name, each in found.items() if each.status is Status.ERROR}
    assert errors == {"answers_requests"}
    assert "see answers_requests" in found["large_value"].observation


def test_a_store_that_serves_one_client_only_is_said_to(program_under_test):
    diagnosis = all_diagnostics()["answers_requests"](program_under_test("serves_one_client"))
    assert diagnosis.status is Status.ERROR
    assert "it answered one client, and no client after it" in diagnosis.observation


def test_the_end_by_the_signal_that_kvsim_sends_is_a_clean_one(program_under_test):
    diagnosis = all_diagnostics()["stops_on_term"](program_under_test("has_no_handler"))
    assert (diagnosis.status, "killed by SIGTERM" in diagnosis.observation) == (Status.OK, True)


def in_memory(text: str) -> str:
    return text.replace("keeps: nothing\n", "")


def test_data_that_a_kill_loses_are_an_error_unless_the_description_says_so(program_under_test):
    name = "restarts_after_kill"
    lost = all_diagnostics()[name](program_under_test("well_behaved", in_memory))
    assert (lost.status, lost.meaning) == (Status.ERROR, "a kill loses an acknowledged write")
    said = all_diagnostics()[name](program_under_test("well_behaved"))
    assert (said.status, "as node.yaml says" in said.observation) == (Status.OK, True)


ELECTS = """\
status: {role: "^(leader|follower)$"}
capabilities: [elects, status]
order: together
"""
ITS_REPLIES = '  any: {read_only: "^ERR read-only"}\n  status: {ok: "."}\n  ping: {ok'


def elects(text: str) -> str:
    text = text.replace('"--role={role}"', '"--role={role}", "--name={name}"')
    text = text.replace("ping: PING}", "ping: PING, status: ROLE}")
    return text.replace("  ping: {ok", ITS_REPLIES) + ELECTS


def test_of_nodes_that_elect_the_one_that_leads_is_examined(program_under_test):
    program = program_under_test("third_leads", elects)
    with program.start() as running:
        assert running.node.name == "n3"
    diagnosis = all_diagnostics()["value_with_spaces"](program)
    assert (diagnosis.status, diagnosis.meaning) == (Status.ERROR, "it is cut at a space")


def with_followers(text: str) -> str:
    return text.replace('"--role={role}"', '"--role={role}", "--followers={followers:{addr}|,}"')


def test_a_leader_that_needs_followers_gets_them(program_under_test):
    chosen = {name: all_diagnostics()[name] for name in ("starts", "answers_requests")}
    program = program_under_test("needs_followers", with_followers)
    found = [diagnosis for _, diagnosis in diagnose(program, chosen)]
    assert [each.status for each in found] == [Status.OK, Status.OK]
    assert "with 2 followers; alone, node n1 exited with status 1" in found[0].observation


CLUSTER = """\
cluster: two
program: node.yaml
nodes:
  a: {role: leader, port: 7001, options: {how: cuts_values_at_a_space}}
  b: {role: follower, port: 7002}
"""


def by_option(text: str) -> str:
    return text.replace("--how=by_option", '"--how={how}"') + "options: {how: well_behaved}\n"


def test_a_cluster_file_gives_each_node_its_own_options(program_under_test, tmp_path):
    program_under_test("by_option", by_option)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    program = ProgramUnderTest.of_cluster(load_cluster(tmp_path / "cluster.yaml"))
    assert all_diagnostics()["value_with_spaces"](program).status is Status.ERROR
    with program.start() as running:
        assert list(running.launcher.nodes) == ["a", "b"]


def test_faults_of_disks_cannot_be_tried_without_a_compiler(program_under_test, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    diagnosis = all_diagnostics()["disk_and_clock_faults"](program_under_test("well_behaved"))
    assert diagnosis.status is Status.SKIPPED
    assert "there is no no-such-compiler here" in diagnosis.observation


def test_a_program_that_does_not_start_is_not_examined(program_under_test):
    found = list(diagnose(program_under_test("exits_with_zero")))
    assert [diagnosis.status for _, diagnosis in found[:2]] == [Status.ERROR, Status.SKIPPED]
    assert {diagnosis.status for _, diagnosis in found[1:]} == {Status.SKIPPED}


@pytest.mark.slow
def test_a_buffered_log_does_not_stop_the_diagnostics(program_under_test):
    names = ("starts", "log_is_prompt", "honours_port")
    chosen = {name: all_diagnostics()[name] for name in names}
    found = [each.status for _, each in diagnose(program_under_test("buffers_its_log"), chosen)]
    assert found == [Status.ERROR, Status.ERROR, Status.OK]


@pytest.mark.slow
def test_the_command_prints_every_diagnosis_with_its_fix(program_under_test, tmp_path):
    program_under_test("cuts_values_at_a_space")
    command = [sys.executable, "-m", "kvsim", "doctor", str(tmp_path / "node.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "fix:   take the rest of the line for the value" in done.stdout
    assert all(f" {name} " in done.stdout for name in all_diagnostics())


def test_what_is_skipped_for_one_reason_is_printed_once(program_under_test, tmp_path):
    program_under_test("exits_with_zero")
    command = [sys.executable, "-m", "kvsim", "doctor", str(tmp_path / "node.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.stdout.count("it does not start") == 1
    assert f"{len(all_diagnostics()) - 1} diagnostics" in done.stdout
    assert "second_instance" in done.stdout


def test_the_command_reports_as_json(program_under_test, tmp_path):
    program_under_test("exits_with_zero")
    command = [sys.executable, "-m", "kvsim", "doctor", str(tmp_path / "node.yaml"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    rows = json.loads(done.stdout)
    assert [row["diagnostic"] for row in rows] == list(all_diagnostics())
    assert rows[0]["question"].startswith("Does it start")
    assert {row["status"] for row in rows[1:]} == {"skipped"}
