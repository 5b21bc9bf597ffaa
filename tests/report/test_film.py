"""The film's data and page, from runs written by hand: what is shown, where it stands in time, and that nothing can break the page."""

from __future__ import annotations

import base64
import json
import re
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.checks.consistency.answer import Violation
from kvsim.errors import UsageError
from kvsim.evidence.proof import judge
from kvsim.history.record import Record
from kvsim.report.film.columns import JS_TYPES, NEVER, Strings, new_columns, ordered, packed
from kvsim.report.film.data import film_data
from kvsim.report.film.page import PARTS, SCRIPTS, page
from kvsim.report.write import write_reports
from tests.report.runs import Writer, load, story

CODES = {name: code for code, name in JS_TYPES.items()}


def film_of(run, history=None):
    record = Record.load(run)
    return film_data(run, record, judge(record), history)


def column(data, name):
    """A packed column as a list, the way the page unpacks it."""
    packed_column = data["operations"]["columns"][name]
    if "fill" in packed_column:
        return [packed_column["fill"]] * data["operations"]["rows"]
    values = array(CODES[packed_column["type"]])
    values.frombytes(base64.b64decode(packed_column["base64"]))
    return values.tolist()


def named(data, table, name):
    return [data["names"][table][number] for number in column(data, name)]


def test_operations_stand_in_order_with_what_was_asked_and_answered(tmp_path):
    data = film_of(story(tmp_path))
    assert column(data, "start_s") == [0.07, 2.25, 2.3]
    assert named(data, "verb", "verb") == ["put", "put", "get"]
    assert named(data, "outcome", "outcome") == ["ok", "refused", "unknown"]
    assert [data["strings"][n] for n in column(data, "received")] == [
        "OK\n",
        "ERR read-only, leader is on port 9001\n",
        "",
    ]
    assert [data["nodes"][n]["name"] for n in column(data, "node")] == ["n1", "n2", "n1"]


def test_a_finding_names_the_operations_that_show_it(tmp_path):
    data = film_of(story(tmp_path))
    shown = {one["check"]: one["operations"] for one in data["violations"] if one["step"] == "1.2"}
    assert shown["expectations"] == [1, 2]
    assert shown["every_request_is_answered"] == [2]  # of one node only


def test_a_node_that_died_is_a_bad_event_at_its_time(tmp_path):
    events = film_of(story(tmp_path))["events"]
    bad = [event for event in events if event["bad"]]
    assert [(event["node"], event["at_s"]) for event in bad] == [("n3", 2.65)]
    assert "nobody had asked" in bad[0]["text"]


def test_a_signal_of_the_orderly_end_stands_when_it_was_sent(tmp_path):
    signals = [event for event in film_of(story(tmp_path))["events"] if event["kind"] == "signal"]
    assert [event["at_s"] for event in signals] == [2.94]


def test_a_fault_shows_its_receipt_and_that_it_was_healed(tmp_path):
    (fault,) = film_of(story(tmp_path))["faults"]
    assert (fault["begin_s"], fault["end_s"], fault["bit"], fault["healed"]) == (2.7, 2.9, True, True)
    assert fault["receipts"] == ["n2: every thread is stopped"]


def test_a_fault_of_links_is_named_by_their_ends(tmp_path):
    made = Writer(tmp_path)
    settings = {"flows": ["client->n1", "n1->client", "n1->n2"], "delay_s": 0.02}
    made.event(0.1, "fault_plan", id="1.1", fault="delay", nodes=["n1"], settings=settings, required=True)
    made.event(0.1, "fault_begin", id="1.1")
    (fault,) = film_of(made.close())["faults"]
    assert fault["name"] == "delay client→n1, n1→client and 1 more delay_s=0.02"
    assert (fault["bit"], fault["healed"]) == (False, None)


def test_a_log_line_has_the_time_by_which_it_was_seen(tmp_path):
    log = next(log for log in film_of(story(tmp_path))["logs"] if log["node"] == "n2")
    lines = dict(zip(log["lines"], log["seen_s"], strict=True))
    assert lines["listening"] == lines["line 0 of n2"] == 2.27  # the first 60 bytes had been seen then
    assert lines["line 399 of n2"] >= 2.27


def test_a_long_log_keeps_its_end_and_says_what_is_left_out(tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.0, "".join(f"line {number}\n" for number in range(60_000)))
    (log,) = film_of(made.close())["logs"]
    assert log["left_out_bytes"] > 0
    assert log["lines"][-1] == "line 59999"
    assert re.fullmatch(r"line \d+", log["lines"][0])


def test_roles_are_spans_of_what_the_nodes_said(tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.0)
    for at_s, role in ((0.1, "follower"), (0.2, "follower"), (0.3, "leader")):
        made.role("n1", at_s, role, "2")
    spans = [(s["role"], s["begin_s"], s["end_s"], s["epoch"]) for s in film_of(made.close())["roles"]]
    assert spans == [("follower", 0.1, 0.3, "2"), ("leader", 0.3, None, "2")]


def test_a_load_has_no_more_lanes_than_clients_at_once_and_every_operation(tmp_path):
    history = load(3000, clients=5)
    data = film_of(story(tmp_path), history)
    assert data["operations"]["rows"] == 3003
    assert sum(lane["kind"] == "load" for lane in data["lanes"]) == 5
    assert column(data, "start_s") == sorted(column(data, "start_s"))
    assert named(data, "outcome", "outcome").count("unknown") == 1 + sum(
        o == 2 for o in history.operations.outcome
    )


def test_a_very_long_load_is_thinned_but_keeps_what_is_unknown_and_what_proves(tmp_path, monkeypatch):
    from kvsim.report.film import operations

    monkeypatch.setattr(operations, "LOAD_LIMIT", 100)
    history = load(3000, clients=5)
    unknown = sum(outcome == 2 for outcome in history.operations.outcome)
    run = Writer(tmp_path).close()
    record = Record.load(run)
    rows = operations.Rows(record, Strings())
    rows.add_load(history, 0, proving={7, 1001})
    assert 20 < rows.thinned <= 30 and rows.load_total == 3000
    assert unknown <= len(rows.columns["start_s"]) <= unknown + 103
    finding = Violation("stale", rows=(7, 1001))
    first, second = rows.of_finding(finding)
    assert rows.columns["start_s"][first] == history.operations.call_ns[7] / 1e9
    assert rows.columns["start_s"][second] == history.operations.call_ns[1001] / 1e9


def test_an_operation_that_never_returned_says_so(tmp_path):
    history = load(0)
    history.operations.add(10, None, 1, "k", "put", "v", outcome="unknown", node="n1")
    data = film_of(Writer(tmp_path).close(), history)
    assert column(data, "took_us") == [NEVER]


@pytest.mark.parametrize("how", ["interrupted", "stopped early: node n2 did not start", None])
def test_a_run_that_did_not_end_has_its_film(tmp_path, how):
    run = story(tmp_path, how=how)
    write_reports(run)
    assert "unknown" in run.film.read_text() or "fail" in run.film.read_text()
    assert json.loads(run.trace.read_text())["traceEvents"]


def test_a_torn_last_line_of_the_journal_does_not_matter(tmp_path):
    run = story(tmp_path, how=None)
    with run.journal.open("a") as journal:
        journal.write('{"t":3.0,"event":"opera')
    write_reports(run)
    assert run.film.stat().st_size > 20_000


@given(cut=st.integers(0, 10_000), load=st.sampled_from([None, b"", b"KVSIMHST\x01", bytes(200)]))
@settings(max_examples=60, deadline=None)
def test_a_run_that_was_torn_anywhere_has_its_film(tmp_path_factory, cut, load):
    run = story(tmp_path_factory.mktemp("torn"), how=None)
    whole = run.journal.read_bytes()
    run.journal.write_bytes(whole[: len(whole) * cut // 10_000])
    if load is not None:
        run.load("w").parent.mkdir()
        run.load("w").write_bytes(load)
    write_reports(run)
    assert ": PASS</title>" not in run.film.read_text()


def test_a_load_that_cannot_be_read_is_said_and_the_rest_is_shown(tmp_path):
    made = Writer(tmp_path)
    made.event(0.01, "load_start", name="w", epoch_ns=0)
    made.step(0.06, 0.1)
    made.operation(0.07, "n1", "put", {"kind": "ok"}, value="first", key="apple")
    run = made.close(None)
    run.load("w").parent.mkdir()
    run.load("w").write_bytes(b"KVSIMHST")
    write_reports(run)
    page = run.film.read_text()
    assert "could not be judged" in page and "w.history" in page
    assert "PUT apple" in page


def test_a_run_of_which_nothing_but_meta_is_left_is_an_error_with_its_file(tmp_path):
    run = story(tmp_path)
    run.journal.unlink()
    with pytest.raises(UsageError, match=r"history\.jsonl"):
        write_reports(run)


HOSTILE = "</script><script>alert(1)</script><!-- \u2028 \x00 {{script}} ü"


def test_nothing_a_node_says_can_end_the_script_it_stands_in(tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.0, HOSTILE + "\n")
    made.step(0.1, 0.2, "fail", HOSTILE)
    made.operation(0.11, "n1", "put", {"kind": "ok", "detail": HOSTILE}, key=HOSTILE, value=HOSTILE)
    text = page(film_of(made.close()))
    assert text.count("<script") == 2 and text.count("</script") == 2
    embedded = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert HOSTILE in json.loads(embedded)["strings"]


def test_the_page_fetches_nothing(tmp_path):
    text = page(film_of(story(tmp_path)))
    assert "default-src 'none'" in text
    assert not re.search(
        r"""(?:src|href)=["'](?!data:)|url\(|@import|fetch\(|XMLHttpRequest|WebSocket""", text
    )


def test_every_script_beside_the_page_is_in_it():
    assert sorted(SCRIPTS) == sorted(path.name for path in PARTS.glob("*.js"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, NEVER)), max_size=50))
def test_columns_come_back_in_order_of_time(rows):
    columns = new_columns()
    for start_s, took_us in rows:
        for name, values in columns.items():
            values.append(start_s if name == "start_s" else took_us if name == "took_us" else 0)
    sorted_columns, places = ordered(columns)
    assert list(sorted_columns["start_s"]) == sorted(start for start, _ in rows)
    assert all(sorted_columns["took_us"][place] == rows[old][1] for old, place in enumerate(places))
    data = {"operations": packed(sorted_columns)}
    assert column(data, "took_us") == list(sorted_columns["took_us"])


@given(st.lists(st.text() | st.none()))
def test_equal_strings_have_one_number(texts):
    strings = Strings()
    numbers = [strings.number(text) for text in texts]
    assert [strings.all[number] for number in numbers] == [text or "" for text in texts]
    assert len(set(strings.all)) == len(strings.all)
