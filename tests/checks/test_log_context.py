"""The logs around a violation: which lines, in which order, and what is said of those that are not
shown.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from kvsim.checks.consistency.check import check
from kvsim.checks.consistency.report import Report, render, to_json
from kvsim.checks.consistency.result import Violation
from kvsim.checks.log_context import with_logs
from kvsim.history.binary_file import save
from kvsim.history.build import build_history
from kvsim.history.history import History, RoleSample
from kvsim.history.journal import Event
from kvsim.history.operations import Operations
from kvsim.history.run_record import RunRecord

SECOND = 1_000_000_000
EPOCH_NS = 100 * SECOND
GUARANTEES = {"leader_reads": "linearizable"}


def stale() -> History:
    """n1 and then n2 lead; n2 shows what n1 had overwritten: put(a) at 1 s, put(b) at 2 s, the read
    at 5 s.
    """
    operations = Operations()
    for at, kind, value, node in (
        (1, "put", "a", "n1"),
        (2, "put", "b", "n1"),
        (5, "get", "a", "n2"),
    ):
        call = EPOCH_NS + at * SECOND
        operations.add(call, call + SECOND // 10, at, "k", kind, value, node=node)
    samples = [RoleSample(EPOCH_NS + at * SECOND, "n1", "leader", 1) for at in (0, 3)]
    samples += [RoleSample(EPOCH_NS + at * SECOND, "n2", "leader", 2) for at in (4, 6)]
    return History(operations, samples=tuple(samples))


def recorded(logs: dict[tuple[str, int], list[tuple[float, str]]]) -> RunRecord:
    """A run in which each line was seen at the time beside it."""
    events = [Event(0.0, "load_start", {"name": "w", "epoch_ns": EPOCH_NS})]
    for (node, incarnation), lines in logs.items():
        events.append(Event(0.1, "spawn", {"node": node, "incarnation": incarnation}))
        size = 0
        for at_s, line in lines:
            size += len(line.encode()) + 1
            events.append(
                Event(at_s, "log", {"node": node, "incarnation": incarnation, "size": size})
            )
    texts = {start: "".join(f"{line}\n" for _, line in lines) for start, lines in logs.items()}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "w.history"
        save(stale(), path)
        in_order = sorted(events, key=lambda event: event.at_s)
        record = RunRecord({"nodes": {}}, in_order, texts, [path])
        # The record keeps the history, so the file is not needed any more.
        build_history(record)
    return record


def explained(logs: dict[tuple[str, int], list[tuple[float, str]]]) -> tuple[Report, Violation]:
    record = recorded(logs)
    history = build_history(record)
    assert history is not None
    report = with_logs(check(history, GUARANTEES), record)
    (finding,) = report.result_of("linearizable").findings
    assert isinstance(finding, Violation)
    return report, finding


def test_lines_of_the_nodes_it_names_within_its_time_in_the_order_of_time() -> None:
    report, finding = explained(
        {
            ("n1", 1): [(0.5, "starting"), (2.5, "cut off"), (5.5, "later")],
            ("n2", 1): [(0.5, "starting"), (3.5, "now LEADER"), (9.0, "stopping")],
            ("n3", 1): [(3.0, "not concerned")],
        }
    )
    assert [(line.node, line.text) for line in finding.logs] == [
        ("n1", "cut off"),
        ("n2", "now LEADER"),
        ("n1", "later"),  # seen just after the end at 5.1 s: perhaps written before it
    ]
    assert finding.logs[1].file == "nodes/n2/1.log" and finding.logs[1].line == 2
    assert "    3.500 s  n2  now LEADER  (nodes/n2/1.log:2)" in render(report)
    as_json = next(one for one in to_json(report)["checks"] if one["name"] == "linearizable")[
        "findings"
    ][0]
    assert as_json["logs"][0] == {
        "at_s": 2.5,
        "node": "n1",
        "file": "nodes/n1/1.log",
        "line": 2,
        "text": "cut off",
    }


def test_of_many_lines_alike_one_is_shown_and_the_rest_is_counted() -> None:
    flood = [(1.5 + at / 100, f"refused PUT k-{at} from 127.0.0.1:{at}") for at in range(200)]
    report, finding = explained({("n1", 1): [*flood, (3.6, "no majority")], ("n2", 1): []})
    assert [line.text for line in finding.logs] == [
        "refused PUT k-0 from 127.0.0.1:0",
        "no majority",
    ]
    assert finding.logs_left == "199 more lines of n1, most like these; n2 logged nothing"
    assert finding.logs_left in render(report)


def test_both_starts_of_a_node_are_looked_at() -> None:
    _, finding = explained(
        {("n1", 1): [(2.0, "killed soon")], ("n1", 2): [(4.0, "again")], ("n2", 1): [(4.5, "x")]}
    )
    assert [line.file for line in finding.logs] == [
        "nodes/n1/1.log",
        "nodes/n1/2.log",
        "nodes/n2/1.log",
    ]


def test_a_history_without_logs_says_nothing_of_logs() -> None:
    report = check(stale(), GUARANTEES)
    (finding,) = report.result_of("linearizable").findings
    assert isinstance(finding, Violation) and finding.logs == () and finding.logs_left == ""
    assert (
        "log"
        not in render(report).split("linearizable:", 1)[1].split("\n\n")[0].split("measured")[0]
    )
