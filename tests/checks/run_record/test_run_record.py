"""Each check on a recorded run: what it lets pass, what it finds, and what it says it cannot tell.
Written histories, no process.
"""

from __future__ import annotations

import pytest

from kvsim.checks.registry import CHECKS, apply
from kvsim.checks.run_record.protocol import _unrecognised_in_loads
from kvsim.checks.verdict import CheckResult, Verdict
from kvsim.history.outcome import BEFORE_THE_REQUEST, Outcome, OutcomeKind, Reason
from kvsim.proof.coverage_gaps import coverage_gaps
from tests.checks.run_record.run_builder import RunBuilder

OK = Outcome(OutcomeKind.OK)
ABSENT = Outcome(OutcomeKind.OK, found=False)
MISMATCH = Outcome(OutcomeKind.OK, matched=False)
READ_ONLY = Outcome(OutcomeKind.REFUSED, Reason.READ_ONLY, leader="9001")
TIMEOUT = Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT)
DOUBT = Outcome(OutcomeKind.UNKNOWN, Reason.UNCERTAIN)
NO_ROOM = Outcome(OutcomeKind.REFUSED, Reason.OTHER)
NOT_READY = Outcome(OutcomeKind.REFUSED, Reason.NOT_READY)
NEW, OLD = (Outcome(OutcomeKind.OK, value=word, found=True) for word in ("new", "old"))
NOBODY = {"n1": ABSENT, "n2": ABSENT, "n3": ABSENT}


def result(run: RunBuilder, name: str) -> CheckResult:
    return next(one for one in apply(run.record()) if one.name == name)


def broken(kind: str) -> RunBuilder:
    """A fault on n1 that lasts."""
    run = RunBuilder().up()
    run.add(
        "fault_plan",
        id="1.1",
        fault=kind,
        nodes=["n1"],
        settings={},
        traits={"may_refuse": kind == "disk"},
        required=True,
    )
    return run.add("fault_begin", id="1.1")


def stopped(run: RunBuilder, node: str, **changes) -> RunBuilder:
    fields = {
        "was_running": True,
        "ignored": [],
        "leftovers": [],
        "survivors": [],
        "port_open": False,
        "took_s": 0.1,
    }
    return run.add("stopped", node=node, incarnation=1, **{**fields, **changes})


def stop_command_failed(run: RunBuilder, node: str, message: str, *, started: bool) -> RunBuilder:
    fields = {"node": node, "incarnation": 1, "started": started, "message": message}
    return run.add("stop_command_failed", **fields)


def _status(
    run: RunBuilder,
    node: str,
    index: str = "",
    digest: str = "",
    term: str = "",
    role: str = "follower",
) -> RunBuilder:
    """A node is asked and tells where it is."""
    fields = {"applied": index, "digest": digest, "term": term}
    fields = {name: text for name, text in fields.items() if text}
    return run.add(
        "role", step=run.step_id, node=node, role=role, how="reports", leader=None, fields=fields
    )


def _at_7(run: RunBuilder | None = None, term: str = "1", **digests: str) -> RunBuilder:
    """Nodes of a program that replicates, each observed twice at index 7."""
    run = run or RunBuilder(capabilities=["replicates"])
    for _ in range(2):
        for node, digest in digests.items():
            _status(run, node, "7", digest, term)
    return run


def _two_terms(rounds: int) -> RunBuilder:
    """n1 leads term 1 and says so all the time, a millisecond an answer; n2 leads term 2."""
    run = RunBuilder()
    for number in range(rounds):
        run.step_id = f"1.{number}"
        _status(run, "n1" if number % 2 else "n2", term="1" if number % 2 else "2", role="leader")
    return run


def _put_between(digest: str, later: str, before: Outcome = ABSENT, times: int = 1) -> RunBuilder:
    """n1 tells its digest, accepts a put, and tells it again."""
    run = _status(RunBuilder(), "n1", "1", digest)
    for number in range(times):
        run.step(f"1.{number}")
        run.read_back({"n1": before}, "before").request("n1", "put", OK).read_back(
            {"n1": NEW}, "after"
        )
    return _status(run, "n1", "2", later)


def _silent(kept: str) -> RunBuilder:
    """n1 answers neither a put nor a get on a new connection."""
    run = RunBuilder().up().request("n1", "put", TIMEOUT)
    asked = "to get on a new connection, within 5s"
    return run.add("silent", node="n1", request=1, asked=asked, kept_from_running=kept)


def _starting(node: str) -> RunBuilder:
    return RunBuilder().add(
        "spawn", node=node, incarnation=1, pid=100, start_ticks=1, attached=False
    )


def _not_ready(**unmatched: str) -> RunBuilder:
    """n1 was not ready: probe → the description that did not match, or nothing."""
    return RunBuilder().add(
        "start_failed",
        node="n1",
        incarnation=1,
        why="not ready",
        missing=sorted(unmatched),
        unmatched={name: text for name, text in unmatched.items() if text},
        log="serves$",
        message="m",
    )


def _without_its_log_line(log: str) -> RunBuilder:
    """n1 was not ready, and this was in its log at the end."""
    return _with_log(_not_ready(log="'serves$'"), "n1", log)


def _with_log(run: RunBuilder, node: str, log: str) -> RunBuilder:
    run.logs[node, 1] = log
    return run


def ended(
    run: RunBuilder,
    node: str,
    *,
    requested: bool = True,
    status: int | None = 0,
    signal: str | None = None,
    tolerated: str = "",
) -> RunBuilder:
    says = f"exited with status {status}" if signal is None else f"was killed by {signal}"
    return run.add(
        "exit",
        node=node,
        incarnation=1,
        status=status,
        signal=signal,
        tolerated=tolerated,
        description=says,
        requested=requested,
        flooded=False,
        tail=[],
    )


def refused_on_n2(
    after: dict[str, Outcome], outcome: Outcome = READ_ONLY, verb: str = "put"
) -> RunBuilder:
    return (
        RunBuilder()
        .up()
        .step("2.1")
        .read_back(NOBODY, "before")
        .request("n2", verb, outcome)
        .read_back(after, "after")
    )


def _leading(nodes: list[str], run: RunBuilder | None = None, term: str | None = None):
    """These nodes report that they lead, one after another."""
    run = run or RunBuilder()
    for node in nodes:
        run.report_roles(term, **{node: "leader"})
    return run


CASES = {  # check → [(what happens, the run, its verdict)]
    "nodes_start": [
        ("all ready", lambda: RunBuilder().up(), Verdict.PASS),
        (
            "one died",
            lambda: (
                RunBuilder()
                .up()
                .add("start_failed", node="n2", why="died", missing=[], message="m")
            ),
            Verdict.FAIL,
        ),
        (
            "a stranger has the port",
            lambda: RunBuilder().add(
                "start_failed", node="n2", why="port", missing=[], message="m"
            ),
            Verdict.INVALID,
        ),
        (
            "a stranger had it, then it came up",
            lambda: (
                RunBuilder()
                .add("start_failed", node="n2", why="port", missing=[], message="m")
                .up()
            ),
            Verdict.PASS,
        ),
        ("answers are not as described", lambda: _not_ready(log="x", ping="y"), Verdict.UNKNOWN),
        ("something else is missing, too", lambda: _not_ready(port="", ping="y"), Verdict.FAIL),
    ],
    "log_is_prompt": [
        ("lines seen", lambda: RunBuilder().up(), Verdict.PASS),
        ("the line came when it ended", lambda: _without_its_log_line("it serves\n"), Verdict.FAIL),
        ("no such line came", lambda: _without_its_log_line("serving\n"), Verdict.UNKNOWN),
        (
            "more is missing",
            lambda: RunBuilder().add(
                "start_failed", node="n1", why="not ready", missing=["log", "ping"], message="m"
            ),
            None,
        ),
    ],
    "nodes_stay_up": [
        ("kvsim ended it", lambda: ended(RunBuilder().up(), "n1"), Verdict.PASS),
        (
            "it ended by itself",
            lambda: ended(RunBuilder().up(), "n1", requested=False, status=3),
            Verdict.FAIL,
        ),
        (
            "it ended of a fault that a node may end of",
            lambda: ended(
                RunBuilder().up(), "n1", requested=False, status=1, tolerated="its disk was full"
            ),
            Verdict.PASS,
        ),
    ],
    "leader_accepts_writes": [
        ("accepted", lambda: RunBuilder().up().request("n1", "put", OK), Verdict.PASS),
        (
            "no match, which is no acceptance",
            lambda: RunBuilder().up().request("n1", "cas", MISMATCH),
            None,
        ),
        ("refused", lambda: RunBuilder().up().request("n1", "put", READ_ONLY), Verdict.FAIL),
        ("no answer", lambda: RunBuilder().up().request("n1", "put", TIMEOUT), Verdict.UNKNOWN),
        ("its disk is full", lambda: broken("disk").request("n1", "put", NO_ROOM), Verdict.PASS),
        (
            "another fault is no reason to refuse",
            lambda: broken("pause").request("n1", "put", NO_ROOM),
            Verdict.FAIL,
        ),
        (
            "nor is a disk to say read-only",
            lambda: broken("disk").request("n1", "put", READ_ONLY),
            Verdict.FAIL,
        ),
        ("only followers asked", lambda: RunBuilder().up().request("n2", "put", READ_ONLY), None),
        (
            "an honest doubt of a store that replicates",
            lambda: RunBuilder(capabilities=["replicates"]).up().request("n1", "put", DOUBT),
            None,
        ),
        (
            "a doubt of one that does not",
            lambda: RunBuilder().up().request("n1", "put", DOUBT),
            Verdict.UNKNOWN,
        ),
        (
            "the leader is whoever says so",
            lambda: (
                RunBuilder().up().report_roles(n1="follower", n2="leader").request("n2", "put", OK)
            ),
            Verdict.PASS,
        ),
    ],
    "writes_only_at_leader": [
        ("refused", lambda: refused_on_n2(NOBODY), Verdict.PASS),
        ("accepted and diverged", lambda: refused_on_n2({**NOBODY, "n2": NEW}, OK), Verdict.FAIL),
        ("accepted and forwarded", lambda: refused_on_n2({**NOBODY, "n1": NEW}, OK), Verdict.FAIL),
        ("no answer", lambda: refused_on_n2(NOBODY, TIMEOUT), Verdict.UNKNOWN),
    ],
    "refused_writes_leave_no_trace": [
        ("no trace", lambda: refused_on_n2(NOBODY), Verdict.PASS),
        ("stored on the follower", lambda: refused_on_n2({**NOBODY, "n2": NEW}), Verdict.FAIL),
        ("stored on the leader", lambda: refused_on_n2({**NOBODY, "n1": NEW}), Verdict.FAIL),
        (
            "nobody can be read",
            lambda: refused_on_n2(dict.fromkeys(NOBODY, TIMEOUT)),
            Verdict.UNKNOWN,
        ),
        ("accepted, so not judged here", lambda: refused_on_n2(NOBODY, OK), None),
        ("no match, no trace", lambda: refused_on_n2(NOBODY, MISMATCH, "cas"), Verdict.PASS),
        (
            "no key to match, but stored",
            lambda: refused_on_n2({**NOBODY, "n1": NEW}, ABSENT, "cas"),
            Verdict.FAIL,
        ),
        (
            "no match, but stored",
            lambda: refused_on_n2({**NOBODY, "n1": NEW}, MISMATCH, "cas"),
            Verdict.FAIL,
        ),
    ],
    "redirects_name_the_leader": [
        ("the true one", lambda: RunBuilder().up().request("n2", "put", READ_ONLY), Verdict.PASS),
        (
            "another one",
            lambda: (
                RunBuilder()
                .up()
                .request("n2", "put", Outcome(OutcomeKind.REFUSED, Reason.READ_ONLY, leader="9003"))
            ),
            Verdict.FAIL,
        ),
        (
            "nobody known",
            lambda: (
                RunBuilder()
                .up()
                .report_roles(n1="leader", n2="leader")
                .request("n3", "put", READ_ONLY)
            ),
            Verdict.UNKNOWN,
        ),
    ],
    "reads_are_served": [
        ("served", lambda: RunBuilder().up().request("n2", "get", ABSENT), Verdict.PASS),
        ("refused", lambda: RunBuilder().up().request("n2", "get", READ_ONLY), Verdict.FAIL),
        (
            "not ready, said by a store that replicates",
            lambda: RunBuilder(capabilities=["replicates"]).up().request("n2", "get", NOT_READY),
            Verdict.PASS,
        ),
        (
            "not ready, said by one that does not",
            lambda: RunBuilder().up().request("n2", "get", NOT_READY),
            Verdict.FAIL,
        ),
        (
            "nobody listens",
            lambda: (
                RunBuilder()
                .up()
                .request("n2", "get", Outcome(OutcomeKind.REFUSED, Reason.UNREACHABLE))
            ),
            None,
        ),
    ],
    "acknowledged_writes_are_read": [
        (
            "read again",
            lambda: RunBuilder().up().request("n1", "put", OK).request("n1", "get", NEW),
            Verdict.PASS,
        ),
        (
            "gone",
            lambda: RunBuilder().up().request("n1", "put", OK).request("n1", "get", ABSENT),
            Verdict.FAIL,
        ),
        (
            "no key to match changes nothing",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "cas", ABSENT, value="x")
                .request("n1", "get", ABSENT)
            ),
            None,
        ),
        (
            "no match changes nothing",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", OK)
                .request("n1", "cas", MISMATCH, value="x")
                .request("n1", "get", NEW)
            ),
            Verdict.PASS,
        ),
        (
            "deleted, and still there",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", OK)
                .request("n1", "delete", OK)
                .request("n1", "get", NEW)
            ),
            Verdict.FAIL,
        ),
        (
            "an unknown write may have happened",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", OK, value="old")
                .request("n1", "put", TIMEOUT)
                .request("n1", "get", NEW)
            ),
            Verdict.PASS,
        ),
        (
            "or not",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", OK, value="old")
                .request("n1", "put", TIMEOUT)
                .request("n1", "get", OLD)
            ),
            Verdict.PASS,
        ),
        (
            "a follower may lag",
            lambda: RunBuilder().up().request("n1", "put", OK).request("n2", "get", ABSENT),
            None,
        ),
    ],
    "acknowledged_writes_survive": [
        (
            "nothing is kept",
            lambda: (
                RunBuilder(keeps="nothing")
                .up()
                .request("n1", "put", OK)
                .request("n1", "get", ABSENT, incarnation=2)
            ),
            Verdict.PASS,
        ),
        (
            "nothing is kept, and another value is shown",
            lambda: (
                RunBuilder(keeps="nothing")
                .up()
                .request("n1", "put", OK)
                .request("n1", "get", OLD, incarnation=2)
            ),
            Verdict.FAIL,
        ),
        (
            "kept",
            lambda: (
                RunBuilder().up().request("n1", "put", OK).request("n1", "get", NEW, incarnation=2)
            ),
            Verdict.PASS,
        ),
        (
            "forgotten",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", OK)
                .request("n1", "get", ABSENT, incarnation=2)
            ),
            Verdict.FAIL,
        ),
        (
            "never restarted",
            lambda: RunBuilder().up().request("n1", "put", OK).request("n1", "get", NEW),
            None,
        ),
    ],
    "one_leader": [
        ("one", lambda: RunBuilder().up(), Verdict.PASS),
        ("two", lambda: _leading(["n1", "n2", "n1", "n2"]), Verdict.FAIL),
        ("two of one term", lambda: _leading(["n1", "n1", "n2", "n2"], term="3"), Verdict.FAIL),
        ("one after the other", lambda: _leading(["n1", "n1", "n2", "n2"]), Verdict.PASS),
        ("one answer", lambda: _leading(["n1", "n2", "n1"], term="3"), Verdict.PASS),
        (
            "a restarted one",
            lambda: _leading(["n2", "n1"], ended(_leading(["n1", "n1", "n2"]), "n1")),
            Verdict.PASS,
        ),
        (
            "a former one in an older term",
            lambda: (
                RunBuilder().report_roles(term="1", n1="leader").report_roles(term="2", n2="leader")
            ),
            Verdict.PASS,
        ),
        ("nobody", lambda: RunBuilder().report_roles(n1="follower"), None),
        ("an older one that does not step down", lambda: _two_terms(5000), Verdict.FAIL),
        ("an older one that has not heard of it yet", lambda: _two_terms(500), Verdict.PASS),
    ],
    "terms_only_rise": [
        (
            "up",
            lambda: _status(_status(RunBuilder(), "n1", term="1"), "n1", term="2"),
            Verdict.PASS,
        ),
        (
            "back",
            lambda: _status(_status(RunBuilder(), "n1", term="2"), "n1", term="1"),
            Verdict.FAIL,
        ),
        (
            "another node's",
            lambda: _status(_status(RunBuilder(), "n1", term="2"), "n2", term="1"),
            None,
        ),
        ("none reported", lambda: _status(_status(RunBuilder(), "n1"), "n1"), None),
    ],
    "replicas_agree": [
        ("the same digest", lambda: _at_7(n1="a", n2="a", n3="a"), Verdict.PASS),
        ("another digest", lambda: _at_7(n1="a", n2="a", n3="b"), Verdict.FAIL),
        ("another term", lambda: _at_7(_at_7(n1="a", term="1"), n2="b", term="2"), None),
        (
            "another index",
            lambda: _status(_status(_at_7(n1="a"), "n2", "8", "b"), "n2", "8", "b"),
            None,
        ),
        ("seen once, on its way", lambda: _status(_at_7(n1="a"), "n2", "7", "b"), None),
        ("a program that copies nothing", lambda: _at_7(RunBuilder(), n1="a", n2="b"), None),
    ],
    "digests_reflect_values": [
        ("another one", lambda: _put_between("a", "b"), Verdict.PASS),
        ("the same one", lambda: _put_between("a", "a"), Verdict.FAIL),
        ("nothing changed", lambda: _put_between("a", "a", before=NEW), None),
        ("two writes between", lambda: _put_between("a", "a", times=2), None),
        ("no digest reported", lambda: _put_between("", ""), None),
    ],
    "every_request_is_answered": [
        ("answered", lambda: RunBuilder().up().request("n1", "put", OK), Verdict.PASS),
        (
            "no answer is unknown",
            lambda: RunBuilder().up().request("n1", "put", TIMEOUT),
            Verdict.UNKNOWN,
        ),
        ("a silent node fails", lambda: _silent(""), Verdict.FAIL),
        (
            "a node that was kept from running is unknown",
            lambda: _silent("the node: it waited 4 of 5s for a CPU"),
            Verdict.UNKNOWN,
        ),
        (
            "a strange one fails",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED))
            ),
            Verdict.FAIL,
        ),
        (
            "a step that expects it",
            lambda: (
                RunBuilder().up().step("1.2", {"kind": "unknown"}).request("n1", "put", TIMEOUT)
            ),
            None,
        ),
        (
            "a strange one to a raw request is for its step to judge",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "raw", Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED))
            ),
            Verdict.PASS,
        ),
    ],
    "one_reply_per_request": [
        ("one", lambda: RunBuilder().up().request("n1", "put", OK), Verdict.PASS),
        (
            "two",
            lambda: RunBuilder().up().request("n1", "put", OK, unsolicited="OK\n"),
            Verdict.FAIL,
        ),
        (
            "a late one at the end",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", OK)
                .add("unsolicited", node="n1", incarnation=1, received="OK\n")
            ),
            Verdict.FAIL,
        ),
    ],
    "connections_last": [
        (
            "the same",
            lambda: RunBuilder().up().request("n1", "put", OK).request("n1", "get", NEW),
            Verdict.PASS,
        ),
        (
            "a new one after an answer",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", OK)
                .request("n1", "get", NEW, connection="d -> n1")
            ),
            Verdict.FAIL,
        ),
        (
            "a new one after a time-out",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", TIMEOUT)
                .request("n1", "get", NEW, connection="d -> n1")
            ),
            Verdict.PASS,
        ),
        (
            "a protocol without persistent ones",
            lambda: (
                RunBuilder(connections="may_close")
                .up()
                .request("n1", "put", OK)
                .request("n1", "get", NEW, connection="d")
            ),
            None,
        ),
        (
            "new ones behind an answer that nobody had asked for",
            lambda: (
                RunBuilder()
                .up()
                .request("n1", "put", OK, unsolicited="OK\n")
                .request("n1", "get", NEW, connection="d -> n1")
                .request("n1", "get", NEW, connection="e -> n1")
            ),
            None,
        ),
    ],
    "logs_name_roles": [
        ("its own", lambda: RunBuilder().up(), Verdict.PASS),
        ("none at all", lambda: RunBuilder().up(log="hello"), Verdict.UNKNOWN),
        (
            "none, and another node of the role has it",
            lambda: _with_log(RunBuilder().up(), "n2", "hello"),
            Verdict.FAIL,
        ),
        (
            "none, and only nodes of another role have one",
            lambda: _with_log(RunBuilder().up(), "n1", "hello"),
            Verdict.UNKNOWN,
        ),
        ("that of another role", lambda: RunBuilder().up(log="as LEADER"), Verdict.FAIL),
        ("both", lambda: RunBuilder().up(log="starting as LEADER, as FOLLOWER"), Verdict.FAIL),
    ],
    "exits_clean": [
        ("status 0", lambda: stopped(ended(RunBuilder().up(), "n1"), "n1"), Verdict.PASS),
        (
            "another status",
            lambda: stopped(ended(RunBuilder().up(), "n1", status=1), "n1"),
            Verdict.FAIL,
        ),
        (
            "ignored TERM",
            lambda: stopped(
                ended(RunBuilder().up(), "n1", status=None, signal="SIGKILL"),
                "n1",
                ignored=["SIGTERM"],
            ),
            Verdict.FAIL,
        ),
        (
            "a stop command that cannot be started",
            lambda: stop_command_failed(
                stopped(ended(RunBuilder().up(), "n1"), "n1"), "n1", "no program", started=False
            ),
            Verdict.INVALID,
        ),
        (
            "a stop command that failed, of a node that ended well",
            lambda: stop_command_failed(
                stopped(ended(RunBuilder().up(), "n1"), "n1"), "n1", "status 1", started=True
            ),
            Verdict.PASS,
        ),
        ("was dead already", lambda: stopped(RunBuilder().up(), "n1", was_running=False), None),
        (
            "was not ready yet when it was stopped",
            lambda: stopped(ended(_starting("n1"), "n1", status=None, signal="SIGTERM"), "n1"),
            Verdict.PASS,
        ),
        (
            "was not ready yet and ignored TERM",
            lambda: stopped(_starting("n1"), "n1", ignored=["SIGTERM"]),
            Verdict.FAIL,
        ),
    ],
    "no_leftovers": [
        ("nothing", lambda: stopped(RunBuilder().up(), "n1"), Verdict.PASS),
        (
            "a child",
            lambda: stopped(RunBuilder().up(), "n1", leftovers=["pid 7 (sleep)"]),
            Verdict.FAIL,
        ),
        ("an open port", lambda: stopped(RunBuilder().up(), "n1", port_open=True), Verdict.FAIL),
    ],
    "replies_come_from_nodes": [
        (
            "ours",
            lambda: (
                RunBuilder()
                .up()
                .add(
                    "owner",
                    node="n1",
                    incarnation=1,
                    connection="c",
                    owned=True,
                    foreign=False,
                    pid=100,
                    description="",
                )
            ),
            Verdict.PASS,
        ),
        (
            "a stranger's",
            lambda: (
                RunBuilder()
                .up()
                .add(
                    "owner",
                    node="n1",
                    incarnation=1,
                    connection="c",
                    owned=False,
                    foreign=True,
                    pid=None,
                    description="in use by pid 7",
                )
            ),
            Verdict.INVALID,
        ),
    ],
    "expectations": [
        (
            "met",
            lambda: RunBuilder().up().step("1.2", {"kind": "ok"}).request("n1", "put", OK),
            Verdict.PASS,
        ),
        (
            "missed",
            lambda: RunBuilder().up().step("1.2", {"kind": "ok"}, result="fail", why="w"),
            Verdict.FAIL,
        ),
        (
            "recorded as met, but was not",
            lambda: RunBuilder().up().step("1.2", {"kind": "ok"}).request("n1", "put", READ_ONLY),
            Verdict.FAIL,
        ),
        ("skipped", lambda: RunBuilder().up().step("1.2", {"kind": "ok"}, result="skipped"), None),
    ],
}


@pytest.mark.parametrize(
    ("name", "run", "verdict"),
    [
        pytest.param(name, run, verdict, id=f"{name}: {what}")
        for name, cases in CASES.items()
        for what, run, verdict in cases
    ],
)
def test_verdict_of_a_check(name, run, verdict):
    assert result(run(), name).verdict == verdict


def test_every_check_has_cases_for_passing_and_for_not():
    for name in set(CHECKS) & set(CASES):
        verdicts = {verdict for _, _, verdict in CASES[name]}
        assert Verdict.PASS in verdicts
        assert verdicts & {Verdict.FAIL, Verdict.INVALID}


def test_a_required_check_with_nothing_to_judge_makes_the_run_invalid():
    results = {one.name: one for one in apply(RunBuilder().record(), required=["one_leader"])}
    assert results["one_leader"].verdict is Verdict.INVALID
    assert results["no_leftovers"].verdict is None


def test_a_stop_command_that_failed_is_named_as_the_cause_of_a_kill() -> None:
    run = stopped(ended(RunBuilder().up(), "n1", status=None, signal="SIGKILL"), "n1")
    stop_command_failed(
        run, "n1", "node n1: stop step `ctl stop` exited with status 9", started=True
    )
    (finding,) = result(run, "exits_clean").findings
    assert finding.message.endswith("; node n1: stop step `ctl stop` exited with status 9")


def _signalled(run: RunBuilder, *signals: str) -> RunBuilder:
    for name in signals:
        run.add("signal", node="n1", incarnation=1, signal=name, why="stopping", after_s=0.0)
    return run


@pytest.mark.parametrize(
    ("own_signal", "end", "verdict"),
    [
        (True, {"status": None, "signal": "SIGTERM"}, Verdict.PASS),
        # A shell that waits for the program reports its end so.
        (True, {"status": 143}, Verdict.PASS),
        (True, {"status": None, "signal": "SIGSEGV"}, Verdict.FAIL),
        (True, {"status": 1}, Verdict.FAIL),
        # node.yaml says which statuses are clean.
        (False, {"status": None, "signal": "SIGTERM"}, Verdict.FAIL),
    ],
)
def test_the_signal_that_kvsim_sent_is_a_clean_end_unless_node_yaml_says_otherwise(
    own_signal, end, verdict
):
    run = _signalled(RunBuilder(own_signal_is_clean=own_signal).up(), "SIGTERM")
    assert result(stopped(ended(run, "n1", **end), "n1"), "exits_clean").verdict is verdict


@pytest.mark.parametrize(
    ("signals", "end", "verdict"),
    [
        (["SIGTERM"], {"status": 0}, Verdict.PASS),
        (["SIGTERM"], {"status": 130}, Verdict.FAIL),
        (["SIGTERM", "SIGINT"], {"status": 130}, Verdict.PASS),
        ([], {"status": 5}, Verdict.PASS),
        ([], {"status": 0}, Verdict.FAIL),
        # Nothing is stated for this signal.
        (["SIGQUIT"], {"status": None, "signal": "SIGQUIT"}, Verdict.PASS),
        (["SIGTERM"], {"status": None, "signal": "SIGTERM"}, Verdict.FAIL),
    ],
)
def test_a_clean_exit_status_may_depend_on_what_stopped_the_node(signals, end, verdict):
    by = {"TERM": [0], "INT": [130], "command": [5]}
    run = _signalled(RunBuilder(own_signal_is_clean=True, clean_exits_by=by).up(), *signals)
    assert result(stopped(ended(run, "n1", **end), "n1"), "exits_clean").verdict is verdict


def test_a_node_that_kvsim_kills_for_its_log_is_not_judged_by_how_it_ended():
    """The kill may come between the last step and the stop, which then finds a killed node."""
    run = ended(RunBuilder().up(), "n1", status=None, signal="SIGKILL")
    run.events[-1].fields["flooded"] = True
    found = result(stopped(run, "n1"), "exits_clean")
    assert (found.judged, found.findings) == (0, ())


def test_the_kill_after_a_stop_command_without_effect_is_no_clean_end():
    run = _signalled(RunBuilder(own_signal_is_clean=True).up(), "SIGKILL")
    ended(run, "n1", status=None, signal="SIGKILL")
    stopped(run, "n1")
    run.events[-1].fields["killed"] = True
    assert result(run, "exits_clean").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("named", "verdict"),
    [
        (":9001", Verdict.PASS),
        ("localhost:9001", Verdict.PASS),
        ("[::ffff:7f00:1]:9001", Verdict.PASS),
        # The id of the leader is 1; no node listens on port 1.
        (":1", Verdict.FAIL),
        ("192.0.2.77:9001", Verdict.FAIL),
        ("http://192.0.2.77:9001/", Verdict.FAIL),
    ],
)
def test_a_redirect_names_the_leaders_host_and_port(named, verdict):
    refusal = Outcome(OutcomeKind.REFUSED, Reason.READ_ONLY, leader=named)
    run = RunBuilder(hosts=["127.0.0.1"]).up().step("2.1").request("n2", "put", refusal)
    assert result(run, "redirects_name_the_leader").verdict is verdict


@pytest.mark.parametrize(
    ("connections", "verdict", "remarks"),
    [("promised", Verdict.FAIL, 0), ("usual", None, 1), ("may_close", None, 0)],
)
def test_only_a_node_that_promises_to_keep_connections_fails_by_closing_one(
    connections, verdict, remarks
):
    run = RunBuilder(connections=connections).up().request("n1", "put", OK)
    run.request("n1", "get", NEW, connection="d -> n1")
    assert result(run, "connections_last").verdict is verdict
    gaps = coverage_gaps(run.record(), apply(run.record()))
    assert sum("closed an idle connection 1 time," in gap for gap in gaps) == remarks


def test_a_node_that_has_ended_leads_no_longer():
    run = ended(RunBuilder().up(), "n1").report_roles(n2="leader", n3="follower")
    record = run.record()
    now_s = run.events[-1].at_s
    assert (record.role_at("n1", now_s), record.leader_at(now_s)) == (None, "n2")
    assert record.role_at("n1", 0.008) == "leader"


@pytest.mark.parametrize(
    ("named", "promoted", "verdict"),
    [
        # No node leads yet: the follower cannot know better.
        ("9001", False, Verdict.PASS),
        ("9003", False, Verdict.UNKNOWN),
        ("9002", True, Verdict.PASS),
        ("9001", True, Verdict.FAIL),
    ],
)
def test_the_third_node_names_the_leader_that_took_over(named, promoted, verdict):
    run = ended(RunBuilder().up(), "n1")
    if promoted:
        run.report_roles(n2="leader", n3="follower")
    refusal = Outcome(OutcomeKind.REFUSED, Reason.READ_ONLY, leader=named)
    run.step("2.1").request("n3", "put", refusal)
    assert result(run, "redirects_name_the_leader").verdict is verdict


@pytest.mark.parametrize(("took_effect", "verdict"), [(False, "invalid"), (True, "fail")])
def test_what_a_fault_without_effect_holds_is_invalid(took_effect, verdict):
    builder = RunBuilder().up()
    builder.add(
        "fault_plan", id="1.2", fault="disk", nodes=["n1"], settings={}, required=True, traits={}
    )
    evidence = {"subject": "n1", "took_effect": took_effect, "message": "n1: past the library"}
    builder.add("fault_evidence", id="1.2", measured={}, **evidence)
    builder.step("1.2.1", result="fail", why="n1: got ok")
    builder.step("1.2", result="fail", why="step 1.2.1 inside it did not pass")
    builder.step("1.20", result="fail", why="another step")
    results = {step.id: step.result for step in builder.record().steps}
    assert results == {"1.2.1": verdict, "1.2": verdict, "1.20": "fail"}


def test_a_limit_of_kvsims_own_is_no_failure_of_the_store():
    builder = RunBuilder().up()
    end = {"description": "was killed by SIGKILL", "requested": False, "tail": []}
    builder.add("exit", node="n1", incarnation=1, flooded=True, tolerated="its log", **end)
    builder.step("1.2", result="fail", why="n1: got no answer")
    assert [step.result for step in builder.record().steps] == ["invalid"]
    (finding,) = result(builder, "nodes_stay_up").findings
    assert finding.verdict is Verdict.INVALID
    assert "`log: {limit: …}`" in finding.message


# --- node.yaml describes wrongly what the program sends ---------------------------------------

NO_GREETING = Outcome(
    OutcomeKind.REFUSED,
    Reason.UNREACHABLE,
    detail=f"{BEFORE_THE_REQUEST}: no whole reply in time",
)


def test_a_greeting_that_never_came_is_no_failure_of_the_store():
    builder = RunBuilder().up().step("1.1", {"kind": "ok"}, "fail", "got refused (unreachable)")
    (step,) = builder.request("n1", "put", NO_GREETING).record().steps
    assert step.result == "unknown"
    assert "`speak` in its node.yaml may describe wrongly what it sends" in step.why


def test_a_greeting_that_came_before_is_one_that_the_store_owes():
    builder = RunBuilder().up().step("1.1").request("n2", "get", Outcome(OutcomeKind.OK, value="v"))
    builder.step("1.2", {"kind": "ok"}, "fail", "got refused (unreachable)")
    (_, step) = builder.request("n1", "put", NO_GREETING).record().steps
    assert step.result == "fail"


def test_an_end_that_never_came_is_explained():
    timeout = Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT)
    builder = RunBuilder().up().step("1.1", {"kind": "ok"}, "unknown", "got unknown (timeout)")
    (step,) = builder.request("n1", "put", timeout, received="OK\n").record().steps
    assert step.result == "unknown" and "`speak`" in step.why


@pytest.mark.parametrize(
    ("during", "found"),
    [
        ([], ["n1: no rule in `replies` fits what it answered to `put` of load w"]),
        ([("fault_begin", {"id": "1"}), ("fault_end", {"id": "1"})], []),
        ([("spawn", {"node": "n2", "incarnation": 2})], []),
    ],
)
def test_a_reply_to_a_load_that_no_rule_knows_is_unknown(during, found):
    """While something disturbs the load, a node may answer in words of its own."""
    builder = RunBuilder().up()
    builder.add("load_start", name="w")
    for kind, fields in during:
        builder.add(kind, **fields)
    for text in ("'try later'", "'busy'"):
        builder.add("load_reply", name="w", node="n1", verb="put", reply=text)
    builder.add("load_stop", name="w", counts={})
    findings = list(_unrecognised_in_loads(builder.record()))
    assert [finding.message.partition(",")[0] for finding in findings] == found
    assert all(finding.verdict is Verdict.UNKNOWN for finding in findings)
    assert all("such as 'try later' (2 times)" in finding.message for finding in findings)
