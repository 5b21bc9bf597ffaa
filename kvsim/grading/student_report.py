"""A submission's report for its student, in plain words: what worked, what did not, what was sent,
received and expected, and where to look. Pure, but for reading the proofs and logs of the runs.

Of a hidden scenario it has the points only. Keys, values and seeds are drawn from a secret, so the
report shows the first characters of keys and values, and no seed.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kvsim.checks.registry import subject_of
from kvsim.checks.subject import Subject
from kvsim.grading.scoring import WITHHELD, Grade, Score
from kvsim.history.journal import to_bytes
from kvsim.text import escape_surrogates, one_line, plural, printable, show_bytes, truncate
from kvsim.trials.trial import Ending, TrialResult
from kvsim.trials.trial_process import proof_of

WIDTH = 100
TEXT_MAX = 300
MISTAKES_SHOWN = 3
LOG_LINES = 5
LOG_BYTES_MAX = 64 << 10
DRAWN = re.compile(r"\b([kvw]-[0-9a-f]{4})[0-9a-f]{2,}\b")
# The path of a file in the sandbox, where nobody can look.
SANDBOX_PATH = re.compile(r"(?:/[\w.-]+)+/nodes/")

Proof = Mapping[str, Any]

# How a run ended that has no verdict.
ENDED: Mapping[Ending, str] = {
    Ending.OVERTIME: "The run did not end in time.",
    Ending.ERROR: "The tester gave no verdict. This is not your mistake; tell your teacher.",
    Ending.INTERRUPTED: "The run was ended by the teacher.",
    Ending.SKIPPED: "The run was left out: the task does not say that your program can do this.",
}
# What an expectation means; the first beginning that fits counts. `{}`: the rest of it.
EXPECTED = {
    "ok": "that it is done",
    "value ": "the value {}",
    "not_found": "that there is no such key",
    "not found": "that there is no such key",
    "served": "a value, or that there is no such key; no refusal",
    "refused (read_only), naming the leader": "a refusal that says that this node is a follower, "
    "and names the leader",
    "refused (read_only)": "a refusal that says that this node is a follower",
    "refused": "a refusal",
    "unreachable": "that the program has ended",
}
# How an outcome reads, by its kind and reason.
MEANINGS = {
    ("ok", None): "done",
    ("refused", "read_only"): "refused, because this node is a follower",
    ("refused", "other"): "refused, but not with the words of a follower",
    ("refused", "not_ready"): "refused, because the node is not ready",
    ("refused", "unreachable"): "nobody listens there: the program had ended, or has another port",
    ("unknown", "timeout"): "no whole answer in time",
    ("unknown", "reset"): "the connection was reset",
    ("unknown", "closed"): "the connection was closed before the answer was whole",
    ("unknown", "unrecognised"): "an answer that the task does not describe",
    ("unknown", "uncertain"): "an answer that leaves open whether it was done",
}
# Where to look, by the reason of what was received.
LOOK_AT = {
    "unreachable": "the last lines of the log: did the program crash, or listen elsewhere?",
    "timeout": "where the program waits: a lock that is never freed, a read of more bytes than "
    "were sent, an answer without its line end",
    "closed": "the last lines of the log: did the program crash while it handled this request?",
    "reset": "the last lines of the log: did the program crash while it handled this request?",
    "unrecognised": "the text of the answer: compare it with the task, letter by letter",
    "other": "the text of the refusal: compare it with the task, letter by letter",
    "not_ready": "when the program begins to listen: only then may it say that it is ready",
    "uncertain": "why the program cannot tell whether it has done this",
}
ACCEPTED_BY_FOLLOWER = (
    "where a write is handled: a follower must refuse it before it stores anything"
)
REFUSED_BY_LEADER = "how the program learns its role: this node was started as the leader"
WRONG_VALUE = "where the key is stored and where it is read: both must use the same bytes"
# Where to look when no single request shows it.
BY_SUBJECT = {
    Subject.ROLES: "where the program decides whether it is the leader, before it stores anything",
    Subject.VALUES: "where a key is stored, read and deleted: the same bytes have to come back",
    Subject.DURABILITY: "what is on disk when the program answers: write and sync first, then "
    "answer; and read all of it at the start",
    Subject.REPLICATION: "how a follower takes over writes: each one, once, in the leader's order",
    Subject.FAILOVER: "how a node becomes the leader, and how an old leader learns that it is none",
    Subject.CONSISTENCY: "what clients see that work at the same time: read and change under one "
    "lock, and answer only afterwards",
    Subject.RESOURCES: "what the program does not give back: connections, files, threads, memory",
    Subject.MANNERS: "how the program starts, logs and stops: its options, SIGTERM, exit status",
}


def report_of(grade: Grade, of: int) -> str:
    """The whole report. `of`: the points of the plan."""
    lines = [f"{grade.submission}: {grade.total:g} of {of} points", ""]
    if grade.trouble:
        lines += ["Your program was not tried:", *_indented(grade.trouble), ""]
    if grade.zeroed:
        lines += ["It gives no points: another store was found in it. Ask your teacher.", ""]
    for score in grade.scores:
        lines += [f"{score.item.title}: {score.points:g} of {score.item.points} points"]
        lines += [] if grade.trouble else [f"  {line}".rstrip() for line in _of_score(score)]
        lines += [""]
    return escape_surrogates("\n".join(lines).rstrip() + "\n")


def scenario_report(score: Score) -> str:
    """What the report says of one scenario."""
    return escape_surrogates("\n".join(_of_score(score)))


def _of_score(score: Score) -> Iterator[str]:
    if score.item.hidden and score.passed < score.item.runs_total:
        yield WITHHELD
        return
    yield f"{score.passed} of {plural(score.item.runs_total, 'run')} passed"
    for result in _different(score.results):
        yield ""
        yield from _of_run(result, score.sandbox_texts)


def _different(results: Sequence[TrialResult]) -> list[TrialResult]:
    """The runs that did not pass: one for each way in which that happened."""
    bad = [result for result in results if result.ending is not Ending.PASS]
    return list({(result.ending, result.failed_at): result for result in reversed(bad)}.values())


def _of_run(result: TrialResult, sandbox_texts: Sequence[str]) -> Iterator[str]:
    if result.ending in ENDED:
        yield ENDED[result.ending]
    if result.limits_reached:
        yield f"The program reached a limit: {', '.join(result.limits_reached)}."
    proof = proof_of(result)
    if proof is None:
        return
    worked = [group for group in _groups(proof) if _passed(proof, group)]
    if worked:
        yield "what worked"
        yield from (f"  {group}" for group in worked)
    mistakes = [*_step_mistakes(proof, sandbox_texts), *_other_mistakes(proof)]
    if mistakes:
        yield "what did not work"
    for mistake in mistakes[:MISTAKES_SHOWN]:
        yield from (f"  {line}" for line in mistake)
    if len(mistakes) > MISTAKES_SHOWN:
        yield f"  and {plural(len(mistakes) - MISTAKES_SHOWN, 'more mistake')}; mend these first"
    yield from _log_end(proof, result)


def _groups(proof: Proof) -> list[str]:
    return list(dict.fromkeys(step["group"] for step in proof["steps"] if step["group"]))


def _passed(proof: Proof, group: str) -> bool:
    results = {step["result"] for step in proof["steps"] if step["group"] == group}
    return "pass" in results and results <= {"pass", "skipped"}


# --- requests -------------------------------------------------------------------------------------


def _step_mistakes(proof: Proof, sandbox_texts: Sequence[str]) -> Iterator[list[str]]:
    """One for each step that was not as expected."""
    for step in proof["steps"]:
        if step["result"] in {"pass", "skipped", ""}:
            continue
        claims = [claim for claim in proof["claims"] if claim["step"] == step["id"]]
        if claims:
            yield list(_exchange(step, _worst(step, claims), sandbox_texts))
        elif step["result"] == "fail":
            yield [_plain(f"{_title(step)}: {step['why']}")]


def _worst(step: Mapping[str, Any], claims: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The last request to the first node that the step complains of."""
    node = step["why"].partition(":")[0]
    return next((claim for claim in reversed(claims) if claim["node"] == node), claims[-1])


def _title(step: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (step["verb"], step["at"] and f"at {step['at']}")))


def _exchange(
    step: Mapping[str, Any], claim: Mapping[str, Any], sandbox_texts: Sequence[str]
) -> Iterator[str]:
    sent = to_bytes(claim["sent"])
    for text in sandbox_texts:
        sent = sent.replace(os.fsencode(text), b"")
    outcome = claim["outcome"]
    received = show_bytes(to_bytes(claim["received"])) or "nothing"
    role = "" if claim["role"] == "unknown" else f", the {claim['role']}"
    yield f"{step['verb']} at {claim['node']}{role}"
    yield _field("sent", show_bytes(sent) or "nothing")
    yield _field("received", f"{received} ({_meaning(outcome)})")
    yield _field("expected", _expected(step["expect"]))
    yield _field("look at", _look_at(step, claim))


def _field(name: str, text: str) -> str:
    lines = textwrap.wrap(_plain(text), WIDTH - 20) or [""]
    return f"  {name:<9} " + ("\n" + " " * 16).join(lines)


def _plain(text: str, length_max: int = TEXT_MAX) -> str:
    """One line, without the secret parts of keys and values, and without paths in the sandbox."""
    return truncate(DRAWN.sub(r"\1…", SANDBOX_PATH.sub("", one_line(text))), length_max)


def _expected(expect: str) -> str:
    for beginning, words in EXPECTED.items():
        if expect.startswith(beginning):
            return words.format(expect.removeprefix(beginning))
    return expect or "no error"


def _meaning(outcome: Mapping[str, Any]) -> str:
    if outcome["kind"] == "ok" and outcome.get("found") is False:
        return "there is no such key"
    return MEANINGS[outcome["kind"], outcome.get("reason")]


def _look_at(step: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    outcome, expects_refusal = claim["outcome"], step["expect"].startswith("refused")
    if outcome["kind"] == "ok":
        return ACCEPTED_BY_FOLLOWER if expects_refusal else WRONG_VALUE
    if outcome["reason"] == "read_only":
        return (
            "which node the refusal names, and that it names one"
            if expects_refusal
            else REFUSED_BY_LEADER
        )
    return LOOK_AT[outcome["reason"]]


# --- checks and logs ------------------------------------------------------------------------------


def _other_mistakes(proof: Proof) -> Iterator[list[str]]:
    """What the checks found that belongs to no step that is shown."""
    shown = {step["id"] for step in proof["steps"] if step["result"] not in {"pass", "skipped"}}
    for check in proof["checks"]:
        findings = [each for each in check["findings"] if each["step"] not in shown]
        if findings and check["verdict"] != "pass" and check["name"] != "expectations":
            yield [
                _plain(findings[0]["message"]),
                _field("expected", check["about"]),
                _field("look at", BY_SUBJECT[subject_of(check["name"])]),
            ]


def _log_end(proof: Proof, result: TrialResult) -> Iterator[str]:
    """The end of the log of the first node that did not do what was expected."""
    node = next(iter(_nodes_named(proof)), None)
    row = next((row for row in proof["nodes"] if row["name"] == node and row["log"]), None)
    lines = _log_lines(Path(result.run) / row["log"]) if row else []
    if lines:
        yield f"the end of the log of {node}"
        yield from (f"  {_plain(line, WIDTH)}" for line in lines)


def _nodes_named(proof: Proof) -> Iterator[str]:
    for step in proof["steps"]:
        if step["result"] not in {"pass", "skipped", ""} and step["targets"]:
            yield step["why"].partition(":")[0]
    yield from (each["node"] for check in proof["checks"] for each in check["findings"])


def _log_lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_BYTES_MAX))
            return [printable(line) for line in file.read().splitlines()[-LOG_LINES:]]
    except OSError:
        return []


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
