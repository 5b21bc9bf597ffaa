"""The timeline of a history of any origin: its operations, its times, and the violation in it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.checks.consistency.check import check
from kvsim.cli import main
from kvsim.history.formats import jepsen_edn, kvsim_jsonl
from kvsim.history.history import FaultSpan, History, RoleSample
from kvsim.history.operations import KINDS, OUTCOMES, Operations
from kvsim.report.timeline.history_model import HistorySource, history_timeline_data
from kvsim.report.timeline.html_page import render_page
from tests.report.test_timeline import HOSTILE, column, named

SOURCE = HistorySource("folder/history.edn", "jepsen-edn", "kvsim check history.edn --report")
# A read of the old value, after the new one was written.
STALE = """
{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :ok, :f :write, :value 1}
{:process 1, :type :invoke, :f :write, :value 2}
{:process 1, :type :ok, :f :write, :value 2}
{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :read, :value 1}
{:process 1, :type :invoke, :f :cas, :value [2 3]}
{:process 1, :type :info, :f :cas, :value [2 3]}
""".lstrip()


def data_of(history):
    return history_timeline_data(history, check(history, {"leader_reads": "linearizable"}), SOURCE)


def stale_data():
    return data_of(read_edn(STALE))


def read_edn(text):
    return jepsen_edn.read(text.splitlines(keepends=True))


def test_a_stale_read_is_marked_with_what_proves_it():
    data = stale_data()
    assert named(data, "verb", "verb") == ["put", "put", "get", "cas"]
    assert named(data, "outcome", "outcome") == ["ok", "ok", "ok", "unknown"]
    (violation,) = data["violations"]
    assert violation["check"] == "linearizable" and violation["verdict"] == "fail"
    assert violation["operations"] == [0, 1, 2] and violation["blocked"] == 2
    assert data["about"]["verdict"] == "fail"
    assert [data["strings"][number] for number in column(data, "detail")][3] == "expected '2'"


def test_a_history_without_times_is_drawn_in_events():
    data = stale_data()
    assert data["about"]["counts_events"]
    # The first event is the origin, and each takes a millisecond.
    assert column(data, "start_s") == [0.0, 0.002, 0.004, 0.006]
    assert column(data, "took_us")[:3] == [1000, 1000, 1000]


@pytest.mark.parametrize(
    ("clients", "shared", "names"),
    [
        ((0, 7), False, ["client 0", "client 7"]),
        ((0, 7), True, ["client 1"]),
        ((1_000_000, 1_000_007), False, ["client 1", "client 2"]),
    ],
)
def test_a_lane_has_the_number_of_its_client_where_that_is_short(clients, shared, names):
    operations = Operations()
    for number, client in enumerate(clients):
        begin = number * (10 if shared else 1)
        operations.add(begin, begin + 5, client, "k", "put", f"v{number}")
    assert [lane["name"] for lane in data_of(History(operations))["lanes"]] == names


def test_a_history_with_times_is_drawn_in_seconds_since_the_first_call():
    operations = Operations()
    operations.add(5_000_000_000, 5_000_500_000, 1, "k", "put", "v", node="n1")
    operations.add(5_001_000_000, None, 2, "k", "get", outcome="unknown", node="n2")
    data = data_of(History(operations, samples=(RoleSample(5_000_000_000, "n1", "leader", 3),)))
    assert not data["about"]["counts_events"]
    assert column(data, "start_s") == [0.0, 0.001]
    assert [node["name"] for node in data["nodes"]] == ["n1", "n2"]
    assert [(span["node"], span["role"], span["begin_s"]) for span in data["roles"]] == [
        ("n1", "leader", 0.0)
    ]


def test_faults_of_the_history_are_shown_also_without_an_end():
    operations = Operations()
    operations.add(0, 2_000_000, 1, "k", "put", "v")
    faults = (FaultSpan("pause", ("n1",), 0, 1_000_000), FaultSpan("kill", ("n2",), 5, 1 << 62))
    shown = data_of(History(operations, faults=faults))["faults"]
    assert [(fault["name"], fault["end_s"]) for fault in shown] == [
        ("pause n1", 0.001),
        ("kill n2", None),
    ]


NUMBERS = st.integers(-(1 << 61), 1 << 61)
TEXTS = st.sampled_from(["", "a", HOSTILE, "\ud800", "ü" * 90])


@st.composite
def histories(draw):
    operations = Operations()
    for _ in range(draw(st.integers(0, 6))):
        call, took = draw(NUMBERS), draw(st.integers(0, 1 << 60))
        outcome = draw(st.sampled_from(OUTCOMES))
        returned = draw(st.none()) if outcome == "unknown" else min(call + took, (1 << 62) - 1)
        operations.add(
            call,
            returned,
            draw(NUMBERS),
            draw(TEXTS),
            draw(st.sampled_from(KINDS)),
            draw(TEXTS | st.none()),
            expected=draw(TEXTS | st.none()),
            outcome=outcome,
            node=draw(st.none() | TEXTS),
        )
    return History(operations, initial={"a": "b"})


@settings(max_examples=40, deadline=None)
@given(histories())
def test_any_history_gives_a_page_that_no_text_can_break(history):
    data = data_of(history)
    assert data["operations"]["rows"] == len(history.operations)
    text = render_page(data)
    text.encode()
    assert text.count("<script") == 2 and text.count("</script") == 2
    json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def test_the_command_writes_a_page_beside_the_file(tmp_path, capsys):
    file = tmp_path / "history.edn"
    file.write_text(STALE)
    assert main(["check", str(file), "--report"]) == 1
    page = tmp_path / "history.edn.html"
    assert capsys.readouterr().out.endswith(f"timeline: {page}\n")
    assert "history.edn: FAIL</title>" in page.read_text()


def test_the_page_can_be_named_and_is_in_the_json(tmp_path, capsys):
    file, page = tmp_path / "history.edn", tmp_path / "pages" / "one.html"
    file.write_text(STALE)
    assert main(["check", str(file), "--json", "--report", str(page)]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["timeline"] == str(page) and page.is_file()
    (finding,) = next(c for c in printed["checks"] if c["name"] == "linearizable")["findings"]
    assert finding["cannot_be_placed"] == 2


def test_a_history_is_never_overwritten_by_its_page(tmp_path, capsys):
    file = tmp_path / "history.edn"
    file.write_text(STALE)
    assert main(["check", "--report", str(file)]) == 4
    assert "ends in .html" in capsys.readouterr().err
    assert file.read_text() == STALE


def test_what_is_exported_gives_the_same_page(tmp_path):
    history = read_edn(STALE)
    again = kvsim_jsonl.read(kvsim_jsonl.write(history))
    assert data_of(again)["operations"] == data_of(history)["operations"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_name_on_the_page(kind):
    operations = Operations()
    operations.add(0, 1, 1, "k", kind, "v", expected="w")
    assert named(data_of(History(operations)), "verb", "verb") == [kind]
