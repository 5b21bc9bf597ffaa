"""The timeline's data and page, from runs written by hand: what is shown, at which time, and that
no text can break the page."""

from __future__ import annotations

import base64
import json
import re
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.checks.consistency.result import Violation
from kvsim.errors import UsageError
from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import judge
from kvsim.report.timeline.html_page import PARTS, SCRIPTS, render_page
from kvsim.report.timeline.model import timeline_data
from kvsim.report.timeline.packed_columns import (
    JS_TYPES,
    NEVER,
    Strings,
    new_columns,
    pack,
    sort_by_time,
)
from kvsim.report.write import write_reports
from tests.report.runs import Writer, failed_run, load

CODES = {name: code for code, name in JS_TYPES.items()}


def data_of(run, history=None):
    record = RunRecord.load(run)
    return timeline_data(run, record, judge(record), history)


def column(data, name):
    """A packed column as a list, decoded as the page does."""
    packed_column = data["operations"]["columns"][name]
    if "fill" in packed_column:
        return [packed_column["fill"]] * data["operations"]["rows"]
    values = array(CODES[packed_column["type"]])
    values.frombytes(base64.b64decode(packed_column["base64"]))
    return values.tolist()


def named(data, table, name):
    return [data["names"][table][number] for number in column(data, name)]


def test_operations_are_in_order_with_request_and_reply(tmp_path):
    data = data_of(failed_run(tmp_path))
    assert column(data, "start_s") == [0.07, 2.25, 2.3]
    assert named(data, "verb", "verb") == ["put", "put", "get"]
    assert named(data, "outcome", "outcome") == ["ok", "refused", "unknown"]
    assert [data["strings"][n] for n in column(data, "received")] == [
        "OK\n",
        "ERR read-only, leader is on port 9001\n",
        "",
    ]
    assert [data["nodes"][n]["name"] for n in column(data, "node")] == ["n1", "n2", "n1"]


def test_a_finding_names_its_operations(tmp_path):
    data = data_of(failed_run(tmp_path))
    violations = [violation for violation in data["violations"] if violation["step"] == "1.2"]
    shown = {violation["check"]: violation["operations"] for violation in violations}
    assert shown["expectations"] == [1, 2]
    # Of one node only.
    assert shown["every_request_is_answered"] == [2]


def test_an_unexpected_exit_is_a_bad_event_at_its_time(tmp_path):
    events = data_of(failed_run(tmp_path))["events"]
    bad = [event for event in events if event["bad"]]
    assert [(event["node"], event["at_s"]) for event in bad] == [("n3", 2.65)]
    assert "kvsim had not requested it" in bad[0]["text"]


def test_a_signal_of_an_orderly_stop_has_the_time_it_was_sent(tmp_path):
    signals = [
        event for event in data_of(failed_run(tmp_path))["events"] if event["kind"] == "signal"
    ]
    assert [event["at_s"] for event in signals] == [2.94]


def test_a_fault_shows_its_evidence_and_recovery(tmp_path):
    (fault,) = data_of(failed_run(tmp_path))["faults"]
    assert (fault["begin_s"], fault["end_s"], fault["took_effect"], fault["recovered"]) == (
        2.7,
        2.9,
        True,
        True,
    )
    assert fault["evidence"] == ["n2: every thread is stopped"]


def test_a_fault_of_links_is_named_by_their_ends(tmp_path):
    made = Writer(tmp_path)
    settings = {"flows": ["client->n1", "n1->client", "n1->n2"], "delay_s": 0.02}
    made.event(
        0.1, "fault_plan", id="1.1", fault="delay", nodes=["n1"], settings=settings, required=True
    )
    made.event(0.1, "fault_begin", id="1.1")
    (fault,) = data_of(made.close())["faults"]
    assert fault["name"] == "delay client→n1, n1→client and 1 more delay_s=0.02"
    assert (fault["took_effect"], fault["recovered"]) == (False, None)


def test_a_log_line_has_the_time_of_its_observation(tmp_path):
    log = next(log for log in data_of(failed_run(tmp_path))["logs"] if log["node"] == "n2")
    lines = dict(zip(log["lines"], log["observed_s"], strict=True))
    # The first 60 bytes were observed then.
    assert lines["listening"] == lines["line 0 of n2"] == 2.27
    assert lines["line 399 of n2"] >= 2.27


def test_a_long_log_keeps_its_end_and_states_what_is_left_out(tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.0, "".join(f"line {number}\n" for number in range(60_000)))
    (log,) = data_of(made.close())["logs"]
    assert log["left_out_bytes"] > 0
    assert log["lines"][-1] == "line 59999"
    assert re.fullmatch(r"line \d+", log["lines"][0])


def test_roles_are_spans_of_reports(tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.0)
    for at_s, role in ((0.1, "follower"), (0.2, "follower"), (0.3, "leader")):
        made.role("n1", at_s, role, "2")
    spans = [
        (s["role"], s["begin_s"], s["end_s"], s["term"]) for s in data_of(made.close())["roles"]
    ]
    assert spans == [("follower", 0.1, 0.3, "2"), ("leader", 0.3, None, "2")]


def test_a_load_has_a_lane_for_each_concurrent_client_and_all_operations(tmp_path):
    history = load(3000, clients=5)
    data = data_of(failed_run(tmp_path), history)
    assert data["operations"]["rows"] == 3003
    assert sum(lane["kind"] == "load" for lane in data["lanes"]) == 5
    assert column(data, "start_s") == sorted(column(data, "start_s"))
    assert named(data, "outcome", "outcome").count("unknown") == 1 + sum(
        o == 2 for o in history.operations.outcome
    )


def test_a_very_long_load_keeps_unknown_operations_and_those_of_findings(tmp_path, monkeypatch):
    from kvsim.report.timeline import rows as rows_module

    monkeypatch.setattr(rows_module, "LOAD_LIMIT", 100)
    history = load(3000, clients=5)
    unknown = sum(outcome == 2 for outcome in history.operations.outcome)
    run = Writer(tmp_path).close()
    record = RunRecord.load(run)
    rows = rows_module.Rows(Strings(), record.nodes)
    rows.add_load(history, 0, always={7, 1001})
    assert 20 < rows.load_every <= 30 and rows.load_total == 3000
    assert unknown <= len(rows.columns["start_s"]) <= unknown + 103
    finding = Violation("stale", rows=(7, 1001))
    first, second = rows.of_finding(finding)
    assert rows.columns["start_s"][first] == history.operations.call_ns[7] / 1e9
    assert rows.columns["start_s"][second] == history.operations.call_ns[1001] / 1e9


def test_an_operation_that_did_not_return_is_marked(tmp_path):
    history = load(0)
    history.operations.add(10, None, 1, "k", "put", "v", outcome="unknown", node="n1")
    data = data_of(Writer(tmp_path).close(), history)
    assert column(data, "took_us") == [NEVER]


@pytest.mark.parametrize("how", ["interrupted", "stopped early: node n2 did not start", None])
def test_a_run_that_did_not_end_has_a_timeline(tmp_path, how):
    run = failed_run(tmp_path, how=how)
    write_reports(run)
    assert "unknown" in run.timeline.read_text() or "fail" in run.timeline.read_text()
    assert json.loads(run.trace.read_text())["traceEvents"]


def test_a_torn_last_line_of_the_journal_is_ignored(tmp_path):
    run = failed_run(tmp_path, how=None)
    with run.journal.open("a") as journal:
        journal.write('{"t":3.0,"event":"opera')
    write_reports(run)
    assert run.timeline.stat().st_size > 20_000


@given(cut=st.integers(0, 10_000), load=st.sampled_from([None, b"", b"KVSIMHST\x01", bytes(200)]))
@settings(max_examples=60, deadline=None)
def test_a_run_that_was_torn_anywhere_has_a_timeline(tmp_path_factory, cut, load):
    run = failed_run(tmp_path_factory.mktemp("torn"), how=None)
    whole = run.journal.read_bytes()
    run.journal.write_bytes(whole[: len(whole) * cut // 10_000])
    if load is not None:
        run.load("w").parent.mkdir()
        run.load("w").write_bytes(load)
    write_reports(run)
    assert ": PASS</title>" not in run.timeline.read_text()


def test_an_unreadable_load_is_reported_and_the_rest_is_shown(tmp_path):
    made = Writer(tmp_path)
    made.event(0.01, "load_start", name="w", epoch_ns=0)
    made.step(0.06, 0.1)
    made.operation(0.07, "n1", "put", {"kind": "ok"}, value="first", key="apple")
    run = made.close(None)
    run.load("w").parent.mkdir()
    run.load("w").write_bytes(b"KVSIMHST")
    write_reports(run)
    page = run.timeline.read_text()
    assert "could not be judged" in page and "w.history" in page
    assert "PUT apple" in page


def test_a_missing_journal_is_an_error_that_names_it(tmp_path):
    run = failed_run(tmp_path)
    run.journal.unlink()
    with pytest.raises(UsageError, match=r"history\.jsonl"):
        write_reports(run)


HOSTILE = "</script><script>alert(1)</script><!-- \u2028 \x00 {{script}} ü"


def test_no_text_of_a_node_can_end_the_script_element(tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.0, HOSTILE + "\n")
    made.step(0.1, 0.2, "fail", HOSTILE)
    made.operation(0.11, "n1", "put", {"kind": "ok", "detail": HOSTILE}, key=HOSTILE, value=HOSTILE)
    text = render_page(data_of(made.close()))
    assert text.count("<script") == 2 and text.count("</script") == 2
    embedded = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert HOSTILE in json.loads(embedded)["strings"]


def test_the_page_fetches_nothing(tmp_path):
    text = render_page(data_of(failed_run(tmp_path)))
    assert "default-src 'none'" in text
    assert not re.search(
        r"""(?:src|href)=["'](?!data:)|url\(|@import|fetch\(|XMLHttpRequest|WebSocket""", text
    )


def test_every_script_is_in_the_page():
    assert sorted(SCRIPTS) == sorted(path.name for path in PARTS.glob("*.js"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, NEVER)), max_size=50))
def test_columns_are_sorted_by_time_and_decode_to_their_values(rows):
    columns = new_columns()
    for start_s, took_us in rows:
        for name, values in columns.items():
            values.append(start_s if name == "start_s" else took_us if name == "took_us" else 0)
    sorted_columns, places = sort_by_time(columns)
    assert list(sorted_columns["start_s"]) == sorted(start for start, _ in rows)
    assert all(sorted_columns["took_us"][place] == rows[old][1] for old, place in enumerate(places))
    data = {"operations": pack(sorted_columns)}
    assert column(data, "took_us") == list(sorted_columns["took_us"])


def test_an_empty_value_is_not_an_absent_one():
    strings = Strings()
    numbers = [strings.value_number(value) for value in ("", None, "a", "", None)]
    assert numbers[0] == numbers[3] != 0 and numbers[1] == numbers[4] == 0
    assert strings.all[numbers[0]] == ""


@given(st.lists(st.text() | st.none()))
def test_equal_strings_have_one_number(texts):
    strings = Strings()
    numbers = [strings.number(text) for text in texts]
    assert [strings.all[number] for number in numbers] == [text or "" for text in texts]
    assert len(set(strings.all)) == len(strings.all)
