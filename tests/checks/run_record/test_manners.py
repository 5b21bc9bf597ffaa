"""Files outside the data directory, addresses that were not given, and what node.yaml allows."""

from __future__ import annotations

import pytest

from kvsim.checks.registry import apply
from kvsim.checks.verdict import CheckResult, Verdict
from tests.checks.run_record.run_builder import RunBuilder

FILES, LISTENS, LEFT = "files_stay_in_data_directory", "listens_as_given", "no_leftovers"
LEFTOVER = {
    "leftovers": ["pid 7 (sleep)"],
    "survivors": [],
    "port_open": False,
    "was_running": False,
}


def judged(name: str, builder: RunBuilder, **allow: object) -> CheckResult:
    builder.add("stopped", node="n1", incarnation=1, **LEFTOVER)
    record = builder.record()
    for plan in record.nodes.values():
        plan.update(allow=allow, address="127.0.0.1:7001", ports=[7001])
    return next(result for result in apply(record) if result.name == name)


def writes(*nodes: str) -> RunBuilder:
    builder = RunBuilder().up()
    for node in nodes:
        builder.add("outside_file", node=node, incarnation=1, path="/srv/wal", how="open")
    return builder


def test_a_file_that_two_nodes_write_is_a_violation():
    result = judged(FILES, writes("n1", "n2", "n1"))
    assert result.verdict is Verdict.FAIL
    assert "n1 and n2 write the same file: /srv/wal" in result.findings[0].message


def test_another_file_is_a_warning_once_and_no_part_of_the_verdict():
    result = judged(FILES, writes("n1", "n1"))
    assert (result.verdict, result.findings) == (Verdict.PASS, ())
    assert len(result.warnings) == 1


@pytest.mark.parametrize(("glob", "found"), [("/srv/*", 0), ("/srv/other", 1)])
def test_node_yaml_allows_files(glob, found):
    assert len(judged(FILES, writes("n1", "n2"), files=[glob]).findings) == found


@pytest.mark.parametrize(
    ("address", "port", "allow", "texts"),
    [
        ("0.0.0.0", 7001, {}, ["other machines can reach it"]),
        ("0.0.0.0", 7001, {"hosts": True}, []),
        ("127.0.0.1", 9999, {}, ["port 9999, which it was not given"]),
        ("127.0.0.1", 9999, {"ports": True}, []),
        ("::", 9999, {"ports": True}, ["other machines"]),
    ],
)
def test_a_listener_that_was_not_given_is_a_warning(address, port, allow, texts):
    builder = RunBuilder().up()
    builder.add("listener", node="n1", incarnation=1, address=address, port=port)
    result = judged(LISTENS, builder, **allow)
    assert result.verdict is Verdict.PASS
    assert len(result.warnings) == len(texts)
    assert all(text in found.message for text, found in zip(texts, result.warnings, strict=True))


def test_node_yaml_allows_children_that_outlive_a_node():
    assert judged(LEFT, RunBuilder().up()).verdict is Verdict.FAIL
    assert judged(LEFT, RunBuilder().up(), children=True).verdict is Verdict.PASS
