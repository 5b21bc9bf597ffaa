"""Recorded replies are classified again from their bytes: an outcome that its reply does not give
is named, and what the bytes cannot tell is counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kvsim.client.description import ClientDescription, to_json
from kvsim.config.program import Program, Query, ReplyRule, Role, Speak
from kvsim.errors import UsageError
from kvsim.history.run_record import RunRecord
from kvsim.proof.replies import NO_DESCRIPTION, NO_REPLY, ClassifiedReplies, classify_replies
from tests.report.runs import NODES, Writer

REFUSES = ReplyRule("read_only", reply="^ERR ro")
REPLIES = {
    "put": (ReplyRule("ok", reply="^OK$"),),
    "get": (ReplyRule("value", reply="^VALUE (?P<value>.*)$"),),
    "any": (REFUSES,),
}
LINES = Program(
    "lines",
    Path("/p"),
    start={},
    requests={"put": "PUT {key} {value}", "get": "GET {key}"},
    replies=REPLIES,
)
HTTP = Program(
    "http",
    Path("/p"),
    start={},
    speak=Speak("http", {"value": {"json": "$.v"}}),
    requests={"put": {"method": "PUT", "path": "/{key}"}, "get": "GET /{key}"},
    replies={
        "put": (ReplyRule("ok", status=frozenset({201})),),
        "get": (ReplyRule("value", status=frozenset({200})),),
        "any": (ReplyRule("read_only", status=frozenset({403}), headers={"x-role": "^f"}),),
    },
)
COMMAND = Program(
    "command",
    Path("/p"),
    start={},
    speak=Speak("command"),
    requests={"put": ["./gone", "put", "{key}"], "get": ["./gone", "get", "{key}"]},
    replies={
        "put": (ReplyRule("ok", status=frozenset({0})),),
        "any": (REFUSES, ReplyRule("refused", stderr="no leader")),
    },
)
RESP_IN_STEPS = Program(
    "steps",
    Path("/p"),
    start={},
    speak=Speak("resp"),
    requests={"put": {"steps": [["MULTI"], ["SET", "{key}", "{value}"], ["EXEC"]]}},
    replies={"put": (ReplyRule("ok", reply=r"\+QUEUED\n\*1\n\+OK$"),)},
)
OK = {"kind": "ok"}
READ_ONLY = {"kind": "refused", "reason": "read_only"}
UNREACHABLE = {"kind": "refused", "reason": "unreachable"}


def unknown(reason: str) -> dict[str, str]:
    return {"kind": "unknown", "reason": reason}


def compared(
    folder: Path, program: Program, verb: str, outcome: dict[str, Any], received: str, **more: Any
) -> ClassifiedReplies:
    """One request, as a run recorded it, compared with its reply."""
    writer = Writer(folder / "run")
    node = ClientDescription(program, "127.0.0.1", 9001, {})
    writer.run.write_programs(to_json(dict.fromkeys(NODES, node)))
    writer.node("n1", 0.01)
    writer.operation(0.5, "n1", verb, outcome, received=received, **more)
    return classify_replies(writer.close(), RunRecord.load(writer.run))


def name_of(case: tuple[Any, ...]) -> str:
    program, verb, outcome, received, _ = case
    return f"{program.name} {verb} {outcome['kind']} {received[-12:]!r}"


def http(status: str, body: str = "", head: str = "") -> str:
    return f"HTTP/1.1 {status}\r\n{head}content-length: {len(body)}\r\n\r\n{body}"


AGREE = [
    (LINES, "put", {**OK, "detail": "'OK'"}, "OK\n", {}),
    (LINES, "put", {**READ_ONLY, "detail": "'ERR ro'"}, "ERR ro\n", {}),
    (
        LINES,
        "get",
        {**OK, "value": "a b", "found": True, "detail": "'VALUE a b'"},
        "VALUE a b\n",
        {},
    ),
    # A second reply came after the refusal, or stood there before the request.
    (LINES, "put", unknown("unrecognised"), "ERR ro\n", {"unsolicited": "OK\n"}),
    (LINES, "put", READ_ONLY, "ERR ro\n", {"unsolicited": "OK\n"}),
    (HTTP, "put", {**OK, "detail": "'', status 201"}, http("201 Created"), {"status": 201}),
    (
        HTTP,
        "get",
        {**OK, "value": "x", "found": True, "detail": """'{"v": "x"}', status 200"""},
        http("200 OK", '{"v": "x"}'),
        {"status": 200},
    ),
    (COMMAND, "put", {**OK, "detail": "'done', status 0"}, "done\n", {"status": 0}),
    (
        COMMAND,
        "put",
        {"kind": "refused", "reason": "other", "detail": "'', status 1, stderr b'no leader'"},
        "",
        {"status": 1, "stderr": "no leader"},
    ),
    (
        RESP_IN_STEPS,
        "put",
        {**OK, "detail": r"'+OK\n+QUEUED\n*1\n+OK'"},
        "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n",
        {},
    ),
]
DISAGREE = [
    (LINES, "put", {**OK, "detail": "'OK'"}, "ERR ro\n", {}),
    (LINES, "put", READ_ONLY, "OK\n", {}),
    (LINES, "put", unknown("timeout"), "OK\n", {}),
    (LINES, "put", {**OK, "detail": "'FINE'"}, "OK\n", {}),
    (LINES, "put", OK, "O", {}),
    (LINES, "get", {**OK, "value": "b", "found": True}, "VALUE a\n", {"unsolicited": "x"}),
    (HTTP, "put", OK, http("403 Forbidden", head="x-role: follower\r\n"), {"status": 403}),
    (COMMAND, "put", {**OK, "detail": "'done', status 0"}, "done\n", {"status": 1}),
    (COMMAND, "put", OK, "done\n", {}),
    (RESP_IN_STEPS, "put", OK, "+OK\r\n-ERR\r\n*1\r\n+OK\r\n", {}),
]
# What ended a request before its reply was whole is not in the bytes.
UNDECIDED = [
    (LINES, "put", unknown("timeout"), "O", {}),
    (LINES, "put", unknown("reset"), "", {}),
    (LINES, "put", UNREACHABLE, "", {}),
    (HTTP, "get", unknown("closed"), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", {}),
    (COMMAND, "put", unknown("timeout"), "done\n", {}),
    (RESP_IN_STEPS, "put", unknown("timeout"), "+OK\r\n+QUEUED\r\n", {}),
]


@pytest.mark.parametrize("case", AGREE, ids=name_of)
def test_a_reply_gives_its_outcome_again(tmp_path, case):
    *request, more = case
    found = compared(tmp_path, *request, **more)
    assert (found.agreeing, found.problems) == (1, [])


@pytest.mark.parametrize("case", DISAGREE, ids=name_of)
def test_an_outcome_that_its_reply_does_not_give_is_named(tmp_path, case):
    program, verb, outcome, received, more = case
    found = compared(tmp_path, program, verb, outcome, received, **more)
    (problem,) = found.problems
    assert f"history.jsonl:3: request 1 ({verb}) is recorded as {outcome['kind']}" in problem


@pytest.mark.parametrize("case", UNDECIDED, ids=name_of)
def test_a_reply_that_was_not_whole_is_counted(tmp_path, case):
    *request, more = case
    found = compared(tmp_path, *request, **more)
    assert (found.agreeing, found.problems, found.undecided) == (0, [], {NO_REPLY: 1})


def test_a_client_of_the_programs_own_is_counted_and_not_imported(tmp_path):
    own = Program("own", tmp_path, start={}, speak=Speak("no_such_module:Client"), replies=REPLIES)
    found = compared(tmp_path, own, "put", OK, "OK\n")
    assert found.undecided == {"`speak: no_such_module:Client` is no protocol of kvsim": 1}


def test_a_pattern_that_may_take_too_long_accuses_nobody(tmp_path):
    slow = replace(LINES, replies={"put": (ReplyRule("ok", reply="^(O|OK|K)+$"),)})
    slow_detail = {**unknown("unrecognised"), "detail": "the pattern '…' takes longer than 1s"}
    found = compared(tmp_path, slow, "put", slow_detail, "OK\n")
    assert found.undecided == {"a pattern took too long": 1}


def test_a_run_without_descriptions_says_that_nothing_was_classified(tmp_path):
    writer = Writer(tmp_path)
    writer.node("n1", 0.01)
    writer.operation(0.5, "n1", "put", OK, received="ERR ro\n")
    found = classify_replies(writer.close(), RunRecord.load(writer.run))
    assert (found.agreeing, found.undecided) == (0, {NO_DESCRIPTION: 1})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "does not describe the programs of a run"),
        ('{"format": 9, "kvsim": "7.7"}', "of format 9, written by kvsim 7.7"),
        ('{"format": 1, "programs": [], "nodes": {}}', "does not describe n1"),
        (
            json.dumps(
                {
                    "format": 1,
                    "programs": [],
                    "nodes": {"n1": {"program": 3, "host": "h", "port": 1, "names": {}}},
                }
            ),
            "there is no program 3",
        ),
    ],
)
def test_descriptions_that_cannot_be_read_are_one_line(tmp_path, content, said):
    writer = Writer(tmp_path)
    writer.node("n1", 0.01)
    writer.operation(0.5, "n1", "put", OK, received="OK\n")
    writer.run.programs.write_text(content)
    with pytest.raises(UsageError, match=said) as raised:
        classify_replies(writer.close(), RunRecord.load(writer.run))
    assert str(raised.value).startswith(f"{tmp_path}/programs.json: ")
    assert "\n" not in str(raised.value)


def test_nodes_of_one_program_share_its_description():
    other = replace(LINES, name="other")
    nodes = {"a": LINES, "b": LINES, "c": other}
    content = to_json(
        {name: ClientDescription(program, "h", 1, {}) for name, program in nodes.items()}
    )
    assert [program["name"] for program in content["programs"]] == ["lines", "other"]
    assert [node["program"] for node in content["nodes"].values()] == [0, 0, 1]


STATUS = replace(
    LINES,
    requests={**LINES.requests, "status": "STATUS"},
    replies={**REPLIES, "status": (ReplyRule("ok", reply="^ROLE"),)},
    status=Query("status", {"role": r"^ROLE (\w+)", "term": r"term (\d+)"}, {"head": Role.LEADER}),
)
HEAD = {"role": "leader", "fields": {"role": "head", "term": "7"}}


@pytest.mark.parametrize(
    ("received", "reported", "named"),
    [
        ("ROLE head term 7\n", HEAD, ""),
        ("ROLE head\n", {"role": "leader", "fields": {"role": "head"}}, ""),
        ("ROLE head term 7\n", {**HEAD, "role": "follower"}, "does not give this `role` of n1"),
        ("ROLE head term 6\n", HEAD, "does not give this `fields` of n1"),
        ("", HEAD, "does not give this `role` of n1"),
        (None, HEAD, "the role of n1 follows no reply"),
    ],
)
def test_a_role_is_read_again_from_the_reply_that_it_follows(tmp_path, received, reported, named):
    writer = Writer(tmp_path / "run")
    node = ClientDescription(STATUS, "127.0.0.1", 9001, {})
    writer.run.write_programs(to_json(dict.fromkeys(NODES, node)))
    writer.node("n1", 0.01)
    if received is not None:
        outcome = {**OK, "detail": repr(received.strip())} if received else unknown("timeout")
        writer.operation(0.5, "n1", "status", outcome, received=received, purpose="role")
    event = {"step": "", "node": "n1", "how": "reports", "leader": None, **reported}
    writer.event(0.6, "role", **event)
    problems = classify_replies(writer.close(), RunRecord.load(writer.run)).problems
    assert bool(problems) is bool(named)
    assert all(named in problem for problem in problems)


def test_a_configured_role_is_the_one_of_the_cluster(tmp_path):
    writer = Writer(tmp_path / "run")
    node = ClientDescription(LINES, "127.0.0.1", 9001, {})
    writer.run.write_programs(to_json(dict.fromkeys(NODES, node)))
    writer.node("n1", 0.01)
    for role in ("leader", "follower"):
        fields = {"step": "", "how": "as configured", "leader": None, "fields": {}}
        writer.event(0.6, "role", node="n1", role=role, **fields)
    (problem,) = classify_replies(writer.close(), RunRecord.load(writer.run)).problems
    assert "n1 is not the follower" in problem
