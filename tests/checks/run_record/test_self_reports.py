"""What a status says is compared with what was acknowledged; what cannot be known is not judged."""

from __future__ import annotations

import pytest

from kvsim.checks.registry import apply
from kvsim.checks.verdict import CheckResult, Verdict
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from tests.checks.run_record.run_builder import RunBuilder

OK = Outcome(OutcomeKind.OK)
UNKNOWN = Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT)
REFUSED = Outcome(OutcomeKind.REFUSED, Reason.READ_ONLY)
KEYS, INDEX, PID = "status_counts_keys", "status_index_rises", "status_names_own_pid"


def status(builder: RunBuilder, node: str = "n1", role: str = "leader", **fields: str) -> None:
    report = {"node": node, "role": role, "how": "reports", "leader": None, "fields": fields}
    builder.add("role", step="1.1", **report)


def judged(name: str, builder: RunBuilder) -> CheckResult:
    record = builder.record()
    record.meta["attached"] = False
    return next(result for result in apply(record) if result.name == name)


def after(*writes: tuple[str, str, str, Outcome], **fields: str) -> RunBuilder:
    """A cluster whose leader reports these fields after writes of (node, verb, key, outcome)."""
    builder = RunBuilder().up().step("1.1")
    for number, (node, verb, key, outcome) in enumerate(writes):
        builder.request(node, verb, outcome, key=key, value=f"v{number}" if verb == "put" else None)
    status(builder, **fields)
    return builder


A, B = ("n1", "put", "a", OK), ("n1", "put", "b", OK)


@pytest.mark.parametrize(
    ("writes", "count", "found"),
    [
        ([A, B, A], "2", 0),
        ([A, B, A], "3", 1),
        ([A, B, ("n1", "delete", "a", OK)], "1", 0),
        ([A, B, ("n1", "delete", "a", OK)], "2", 1),
        ([A, ("n1", "put", "b", UNKNOWN)], "1", 0),
        ([A, ("n1", "put", "b", UNKNOWN)], "2", 0),
        ([A, ("n1", "put", "b", UNKNOWN)], "3", 1),
        ([A, ("n2", "put", "b", REFUSED)], "1", 0),
        # Another node acknowledged it: it may have passed it on.
        ([A, ("n2", "put", "b", OK)], "1", 0),
        ([A, ("n2", "put", "b", OK)], "2", 0),
        ([A], "many", 0),
    ],
)
def test_the_number_of_keys(writes, count, found):
    result = judged(KEYS, after(*writes, keys=count))
    assert len(result.findings) == found, result.findings
    assert (result.judged > 0) == (count != "many")


@pytest.mark.parametrize("event", ["load_start", "exit", "second leader"])
def test_what_steps_do_not_explain_is_not_judged(event):
    builder = RunBuilder().up().step("1.1")
    if event == "load_start":
        load = {"id": "1.1", "name": "w", "minima": {}, "mix": {"put": 1}, "epoch_ns": 0}
        builder.add("load_start", **load, rate=None, key_count=1)
    elif event == "exit":
        builder.add("exit", node="n1", incarnation=1, requested=True, description="", flooded=False)
    else:
        status(builder, "n2")
    status(builder, keys="9")
    assert not judged(KEYS, builder).judged


@pytest.mark.parametrize(
    ("before", "index", "verdict"),
    [("7", "8", "pass"), ("7", "7", "fail"), ("7", "6", "fail"), ("x", "6", None)],
)
def test_the_index(before, index, verdict):
    builder = RunBuilder().up().step("1.1")
    status(builder, index=before)
    builder.request("n1", "put", OK, key="a", value="v")
    status(builder, index=index)
    assert judged(INDEX, builder).verdict == verdict


def test_an_index_need_not_rise_for_the_same_value_again():
    builder = RunBuilder().up().step("1.1")
    for _ in range(2):
        builder.request("n1", "put", OK, key="a", value="v")
        status(builder, index="7")
    assert judged(INDEX, builder).verdict is Verdict.PASS


@pytest.mark.parametrize(("pid", "warnings"), [("100", 0), ("1", 1)])
def test_another_pid_is_a_warning(pid, warnings):
    result = judged(PID, after(pid=pid))
    assert (result.verdict, len(result.warnings)) == (Verdict.PASS, warnings)
