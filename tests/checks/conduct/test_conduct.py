"""Each check on a recorded run: what it lets pass, what it finds, and what it says it cannot tell. Written histories, no process."""

from __future__ import annotations

import pytest

from kvsim.checks.table import CHECKS, apply
from kvsim.checks.verdict import CheckResult, Verdict
from kvsim.history.outcome import Kind, Outcome, Reason
from tests.checks.conduct.story import Story

OK = Outcome(Kind.OK)
ABSENT = Outcome(Kind.OK, found=False)
MISMATCH = Outcome(Kind.OK, matched=False)
READ_ONLY = Outcome(Kind.REFUSED, Reason.READ_ONLY, leader="9001")
TIMEOUT = Outcome(Kind.UNKNOWN, Reason.TIMEOUT)
DOUBT = Outcome(Kind.UNKNOWN, Reason.UNCERTAIN)
NO_ROOM = Outcome(Kind.REFUSED, Reason.OTHER)
NOT_READY = Outcome(Kind.REFUSED, Reason.NOT_READY)
NEW, OLD = (Outcome(Kind.OK, value=word, found=True) for word in ("new", "old"))
NOBODY = {"n1": ABSENT, "n2": ABSENT, "n3": ABSENT}


def result(story: Story, name: str) -> CheckResult:
    return next(one for one in apply(story.record()) if one.name == name)


def broken(kind: str) -> Story:
    """A fault on n1 that lasts."""
    told = {"fault": kind, "nodes": ["n1"], "settings": {}, "required": True}
    return Story().up().add("fault_plan", id="1.1", **told).add("fault_begin", id="1.1")


def stopped(story: Story, node: str, **changes) -> Story:
    fields = {
        "was_running": True,
        "ignored": [],
        "leftovers": [],
        "survivors": [],
        "port_open": False,
        "took_s": 0.1,
    }
    return story.add("stopped", node=node, incarnation=1, **{**fields, **changes})


def _seen(
    story: Story, node: str, index: str = "", digest: str = "", epoch: str = "", role: str = "follower"
) -> Story:
    """A node is asked and tells where it is."""
    fields = {"applied": index, "digest": digest, "epoch": epoch}
    told = {name: text for name, text in fields.items() if text}
    return story.add("role", step=story.step_id, node=node, role=role, how="says", leader=None, fields=told)


def _at_7(story: Story | None = None, epoch: str = "1", **digests: str) -> Story:
    """Nodes of a program that replicates, each seen twice at index 7."""
    story = story or Story(capabilities=["replicates"])
    for _ in range(2):
        for node, digest in digests.items():
            _seen(story, node, "7", digest, epoch)
    return story


def _two_epochs(rounds: int) -> Story:
    """n1 leads epoch 1 and says so all the time, a millisecond an answer; n2 leads epoch 2."""
    story = Story()
    for number in range(rounds):
        story.step_id = f"1.{number}"
        _seen(story, "n1" if number % 2 else "n2", epoch="1" if number % 2 else "2", role="leader")
    return story


def _put_between(digest: str, later: str, before: Outcome = ABSENT, times: int = 1) -> Story:
    """n1 tells its digest, accepts a put, and tells it again."""
    story = _seen(Story(), "n1", "1", digest)
    for number in range(times):
        story.step(f"1.{number}")
        story.read({"n1": before}, "before").asked("n1", "put", OK).read({"n1": NEW}, "after")
    return _seen(story, "n1", "2", later)


def _starting(node: str) -> Story:
    return Story().add("spawn", node=node, incarnation=1, pid=100, start_ticks=1, attached=False)


def ended(
    story: Story,
    node: str,
    *,
    wanted: bool = True,
    status: int | None = 0,
    signal: str | None = None,
    tolerated: str = "",
) -> Story:
    says = f"exited with status {status}" if signal is None else f"was killed by {signal}"
    return story.add(
        "exit",
        node=node,
        incarnation=1,
        status=status,
        signal=signal,
        tolerated=tolerated,
        says=says,
        wanted=wanted,
        flooded=False,
        tail=[],
    )


def refused_on_n2(after: dict[str, Outcome], outcome: Outcome = READ_ONLY, verb: str = "put") -> Story:
    return Story().up().step("2.1").read(NOBODY, "before").asked("n2", verb, outcome).read(after, "after")


CASES = {  # check → [(what happens, the story, its verdict)]
    "nodes_start": [
        ("all ready", lambda: Story().up(), Verdict.PASS),
        (
            "one died",
            lambda: Story().up().add("start_failed", node="n2", why="died", missing=[], message="m"),
            Verdict.FAIL,
        ),
        (
            "a stranger has the port",
            lambda: Story().add("start_failed", node="n2", why="port", missing=[], message="m"),
            Verdict.INVALID,
        ),
        (
            "a stranger had it, then it came up",
            lambda: Story().add("start_failed", node="n2", why="port", missing=[], message="m").up(),
            Verdict.PASS,
        ),
    ],
    "log_is_prompt": [
        ("lines seen", lambda: Story().up(), Verdict.PASS),
        (
            "only the log is missing",
            lambda: Story().add("start_failed", node="n1", why="not ready", missing=["log"], message="m"),
            Verdict.FAIL,
        ),
        (
            "more is missing",
            lambda: Story().add(
                "start_failed", node="n1", why="not ready", missing=["log", "ping"], message="m"
            ),
            None,
        ),
    ],
    "nodes_stay_up": [
        ("kvsim ended it", lambda: ended(Story().up(), "n1"), Verdict.PASS),
        ("it ended by itself", lambda: ended(Story().up(), "n1", wanted=False, status=3), Verdict.FAIL),
        (
            "it ended of a fault that a node may end of",
            lambda: ended(Story().up(), "n1", wanted=False, status=1, tolerated="its disk was full"),
            Verdict.PASS,
        ),
    ],
    "leader_accepts_writes": [
        ("accepted", lambda: Story().up().asked("n1", "put", OK), Verdict.PASS),
        ("no match, which is no acceptance", lambda: Story().up().asked("n1", "cas", MISMATCH), None),
        ("refused", lambda: Story().up().asked("n1", "put", READ_ONLY), Verdict.FAIL),
        ("no answer", lambda: Story().up().asked("n1", "put", TIMEOUT), Verdict.UNKNOWN),
        ("its disk is full", lambda: broken("disk").asked("n1", "put", NO_ROOM), Verdict.PASS),
        (
            "another fault is no reason to refuse",
            lambda: broken("pause").asked("n1", "put", NO_ROOM),
            Verdict.FAIL,
        ),
        (
            "nor is a disk to say read-only",
            lambda: broken("disk").asked("n1", "put", READ_ONLY),
            Verdict.FAIL,
        ),
        ("only followers asked", lambda: Story().up().asked("n2", "put", READ_ONLY), None),
        (
            "an honest doubt of a store that replicates",
            lambda: Story(capabilities=["replicates"]).up().asked("n1", "put", DOUBT),
            None,
        ),
        ("a doubt of one that does not", lambda: Story().up().asked("n1", "put", DOUBT), Verdict.UNKNOWN),
        (
            "the leader is whoever says so",
            lambda: Story().up().told(n1="follower", n2="leader").asked("n2", "put", OK),
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
        ("nobody can be read", lambda: refused_on_n2(dict.fromkeys(NOBODY, TIMEOUT)), Verdict.UNKNOWN),
        ("accepted, so not judged here", lambda: refused_on_n2(NOBODY, OK), None),
        ("no match, no trace", lambda: refused_on_n2(NOBODY, MISMATCH, "cas"), Verdict.PASS),
        (
            "no key to match, but stored",
            lambda: refused_on_n2({**NOBODY, "n1": NEW}, ABSENT, "cas"),
            Verdict.FAIL,
        ),
        ("no match, but stored", lambda: refused_on_n2({**NOBODY, "n1": NEW}, MISMATCH, "cas"), Verdict.FAIL),
    ],
    "redirects_name_the_leader": [
        ("the true one", lambda: Story().up().asked("n2", "put", READ_ONLY), Verdict.PASS),
        (
            "another one",
            lambda: Story().up().asked("n2", "put", Outcome(Kind.REFUSED, Reason.READ_ONLY, leader="9003")),
            Verdict.FAIL,
        ),
        (
            "nobody known",
            lambda: Story().up().told(n1="leader", n2="leader").asked("n3", "put", READ_ONLY),
            Verdict.UNKNOWN,
        ),
    ],
    "reads_are_served": [
        ("served", lambda: Story().up().asked("n2", "get", ABSENT), Verdict.PASS),
        ("refused", lambda: Story().up().asked("n2", "get", READ_ONLY), Verdict.FAIL),
        (
            "not ready, said by a store that replicates",
            lambda: Story(capabilities=["replicates"]).up().asked("n2", "get", NOT_READY),
            Verdict.PASS,
        ),
        (
            "not ready, said by one that does not",
            lambda: Story().up().asked("n2", "get", NOT_READY),
            Verdict.FAIL,
        ),
        (
            "nobody listens",
            lambda: Story().up().asked("n2", "get", Outcome(Kind.REFUSED, Reason.UNREACHABLE)),
            None,
        ),
    ],
    "acknowledged_writes_are_read": [
        ("read again", lambda: Story().up().asked("n1", "put", OK).asked("n1", "get", NEW), Verdict.PASS),
        ("gone", lambda: Story().up().asked("n1", "put", OK).asked("n1", "get", ABSENT), Verdict.FAIL),
        (
            "no key to match changes nothing",
            lambda: Story().up().asked("n1", "cas", ABSENT, value="x").asked("n1", "get", ABSENT),
            None,
        ),
        (
            "no match changes nothing",
            lambda: (
                Story()
                .up()
                .asked("n1", "put", OK)
                .asked("n1", "cas", MISMATCH, value="x")
                .asked("n1", "get", NEW)
            ),
            Verdict.PASS,
        ),
        (
            "deleted, and still there",
            lambda: Story().up().asked("n1", "put", OK).asked("n1", "delete", OK).asked("n1", "get", NEW),
            Verdict.FAIL,
        ),
        (
            "an unknown write may have happened",
            lambda: (
                Story()
                .up()
                .asked("n1", "put", OK, value="old")
                .asked("n1", "put", TIMEOUT)
                .asked("n1", "get", NEW)
            ),
            Verdict.PASS,
        ),
        (
            "or not",
            lambda: (
                Story()
                .up()
                .asked("n1", "put", OK, value="old")
                .asked("n1", "put", TIMEOUT)
                .asked("n1", "get", OLD)
            ),
            Verdict.PASS,
        ),
        ("a follower may lag", lambda: Story().up().asked("n1", "put", OK).asked("n2", "get", ABSENT), None),
    ],
    "acknowledged_writes_survive": [
        (
            "kept",
            lambda: Story().up().asked("n1", "put", OK).asked("n1", "get", NEW, incarnation=2),
            Verdict.PASS,
        ),
        (
            "forgotten",
            lambda: Story().up().asked("n1", "put", OK).asked("n1", "get", ABSENT, incarnation=2),
            Verdict.FAIL,
        ),
        ("never restarted", lambda: Story().up().asked("n1", "put", OK).asked("n1", "get", NEW), None),
    ],
    "one_leader": [
        ("one", lambda: Story().up(), Verdict.PASS),
        ("two", lambda: Story().told(n1="leader", n2="leader"), Verdict.FAIL),
        (
            "a former one in an older epoch",
            lambda: Story().told(epoch="1", n1="leader").told(epoch="2", n2="leader"),
            Verdict.PASS,
        ),
        ("nobody", lambda: Story().told(n1="follower"), None),
        ("an older one that does not step down", lambda: _two_epochs(5000), Verdict.FAIL),
        ("an older one that has not heard of it yet", lambda: _two_epochs(500), Verdict.PASS),
    ],
    "epochs_only_rise": [
        ("up", lambda: _seen(_seen(Story(), "n1", epoch="1"), "n1", epoch="2"), Verdict.PASS),
        ("back", lambda: _seen(_seen(Story(), "n1", epoch="2"), "n1", epoch="1"), Verdict.FAIL),
        ("another node's", lambda: _seen(_seen(Story(), "n1", epoch="2"), "n2", epoch="1"), None),
        ("none told", lambda: _seen(_seen(Story(), "n1"), "n1"), None),
    ],
    "replicas_agree": [
        ("the same digest", lambda: _at_7(n1="a", n2="a", n3="a"), Verdict.PASS),
        ("another digest", lambda: _at_7(n1="a", n2="a", n3="b"), Verdict.FAIL),
        ("another epoch", lambda: _at_7(_at_7(n1="a", epoch="1"), n2="b", epoch="2"), None),
        ("another index", lambda: _seen(_seen(_at_7(n1="a"), "n2", "8", "b"), "n2", "8", "b"), None),
        ("seen once, on its way", lambda: _seen(_at_7(n1="a"), "n2", "7", "b"), None),
        ("a program that copies nothing", lambda: _at_7(Story(), n1="a", n2="b"), None),
    ],
    "digests_tell_values": [
        ("another one", lambda: _put_between("a", "b"), Verdict.PASS),
        ("the same one", lambda: _put_between("a", "a"), Verdict.FAIL),
        ("nothing changed", lambda: _put_between("a", "a", before=NEW), None),
        ("two writes between", lambda: _put_between("a", "a", times=2), None),
        ("no digest told", lambda: _put_between("", ""), None),
    ],
    "every_request_is_answered": [
        ("answered", lambda: Story().up().asked("n1", "put", OK), Verdict.PASS),
        ("no answer is unknown", lambda: Story().up().asked("n1", "put", TIMEOUT), Verdict.UNKNOWN),
        (
            "a strange one fails",
            lambda: Story().up().asked("n1", "put", Outcome(Kind.UNKNOWN, Reason.UNRECOGNISED)),
            Verdict.FAIL,
        ),
        (
            "a step that expects it",
            lambda: Story().up().step("1.2", {"kind": "unknown"}).asked("n1", "put", TIMEOUT),
            None,
        ),
        (
            "a strange one to a raw request is for its step to judge",
            lambda: Story().up().asked("n1", "raw", Outcome(Kind.UNKNOWN, Reason.UNRECOGNISED)),
            Verdict.PASS,
        ),
    ],
    "one_reply_per_request": [
        ("one", lambda: Story().up().asked("n1", "put", OK), Verdict.PASS),
        ("two", lambda: Story().up().asked("n1", "put", OK, unsolicited="OK\n"), Verdict.FAIL),
        (
            "a late one at the end",
            lambda: (
                Story().up().asked("n1", "put", OK).add("surplus", node="n1", incarnation=1, received="OK\n")
            ),
            Verdict.FAIL,
        ),
    ],
    "connections_last": [
        ("the same", lambda: Story().up().asked("n1", "put", OK).asked("n1", "get", NEW), Verdict.PASS),
        (
            "a new one after an answer",
            lambda: Story().up().asked("n1", "put", OK).asked("n1", "get", NEW, connection="d -> n1"),
            Verdict.FAIL,
        ),
        (
            "a new one after a time-out",
            lambda: Story().up().asked("n1", "put", TIMEOUT).asked("n1", "get", NEW, connection="d -> n1"),
            Verdict.PASS,
        ),
        (
            "a protocol without lasting ones",
            lambda: Story(lasting=False).up().asked("n1", "put", OK).asked("n1", "get", NEW, connection="d"),
            None,
        ),
        (
            "new ones behind an answer that nobody had asked for",
            lambda: (
                Story()
                .up()
                .asked("n1", "put", OK, unsolicited="OK\n")
                .asked("n1", "get", NEW, connection="d -> n1")
                .asked("n1", "get", NEW, connection="e -> n1")
            ),
            None,
        ),
    ],
    "logs_name_roles": [
        ("its own", lambda: Story().up(), Verdict.PASS),
        ("none", lambda: Story().up(log="hello"), Verdict.FAIL),
        ("both", lambda: Story().up(log="starting as LEADER, as FOLLOWER"), Verdict.FAIL),
    ],
    "exits_clean": [
        ("status 0", lambda: stopped(ended(Story().up(), "n1"), "n1"), Verdict.PASS),
        ("another status", lambda: stopped(ended(Story().up(), "n1", status=1), "n1"), Verdict.FAIL),
        (
            "ignored TERM",
            lambda: stopped(
                ended(Story().up(), "n1", status=None, signal="SIGKILL"), "n1", ignored=["SIGTERM"]
            ),
            Verdict.FAIL,
        ),
        ("was dead already", lambda: stopped(Story().up(), "n1", was_running=False), None),
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
        ("nothing", lambda: stopped(Story().up(), "n1"), Verdict.PASS),
        ("a child", lambda: stopped(Story().up(), "n1", leftovers=["pid 7 (sleep)"]), Verdict.FAIL),
        ("an open port", lambda: stopped(Story().up(), "n1", port_open=True), Verdict.FAIL),
    ],
    "answers_are_ours": [
        (
            "ours",
            lambda: (
                Story()
                .up()
                .add(
                    "owner",
                    node="n1",
                    incarnation=1,
                    connection="c",
                    ours=True,
                    strangers=False,
                    pid=100,
                    says="",
                )
            ),
            Verdict.PASS,
        ),
        (
            "a stranger's",
            lambda: (
                Story()
                .up()
                .add(
                    "owner",
                    node="n1",
                    incarnation=1,
                    connection="c",
                    ours=False,
                    strangers=True,
                    pid=None,
                    says="held by pid 7",
                )
            ),
            Verdict.INVALID,
        ),
    ],
    "expectations": [
        ("met", lambda: Story().up().step("1.2", {"kind": "ok"}).asked("n1", "put", OK), Verdict.PASS),
        ("missed", lambda: Story().up().step("1.2", {"kind": "ok"}, result="fail", why="w"), Verdict.FAIL),
        (
            "recorded as met, but was not",
            lambda: Story().up().step("1.2", {"kind": "ok"}).asked("n1", "put", READ_ONLY),
            Verdict.FAIL,
        ),
        ("skipped", lambda: Story().up().step("1.2", {"kind": "ok"}, result="skipped"), None),
    ],
}


@pytest.mark.parametrize(
    ("name", "story", "verdict"),
    [
        pytest.param(name, story, verdict, id=f"{name}: {what}")
        for name, cases in CASES.items()
        for what, story, verdict in cases
    ],
)
def test_a_check_says(name, story, verdict):
    assert result(story(), name).verdict == verdict


def test_every_check_has_cases_for_passing_and_for_not():
    for name in set(CHECKS) & set(CASES):
        verdicts = {verdict for _, _, verdict in CASES[name]}
        assert Verdict.PASS in verdicts
        assert verdicts & {Verdict.FAIL, Verdict.INVALID}


def test_a_required_check_with_nothing_to_judge_makes_the_run_invalid():
    results = {one.name: one for one in apply(Story().record(), required=["one_leader"])}
    assert results["one_leader"].verdict is Verdict.INVALID
    assert results["no_leftovers"].verdict is None
