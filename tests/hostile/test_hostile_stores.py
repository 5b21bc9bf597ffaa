"""Whatever a store does, kvsim ends in its limits with a verdict that says what happened, and leaves nothing behind."""

from __future__ import annotations

import pytest

PING = "{port: owned, ping: true, within: 2s}"
LOG = '{log: "listening on port", port: owned, within: 2s}'
UNTIL_GONE = "  - wait: {at: leader, until: gone, within: 20s}\n"


@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("well_behaved", {"ready": LOG}),
        ("prints_nothing", {}),
        ("serves_late", {"ready": PING}),
        ("wild_log", {"ready": LOG}),
        ("one_at_a_time", {"ready": PING}),
        ("background", {"stop": "{grace: 1s, pid_file: pid}"}),
    ],
)
def test_what_is_only_strange_passes(play, how, options):
    played = play(how, **options)
    assert played.verdict == "pass", played.said


CULPRITS = [  # behaviour, verdict, what the verdict must name
    ("background", "fail", {}, ("node n", "exited with status 0", "goes into the background", "pid_file")),
    ("dies_at_start", "fail", {}, ("node n", "exited with status 3", "cannot read the configuration")),
    ("exits_with_zero", "fail", {}, ("node n", "exited with status 0 before it was ready", "is empty")),
    ("waits_on_stdin", "fail", {}, ("exited with status 0", "end of input, bye")),
    ("prints_nothing", "fail", {"ready": LOG}, ("no line matching 'listening on port' in its log",)),
    ("ipv6", "fail", {}, ("listens on ::1 port", "not on 127.0.0.1")),
    ("elsewhere", "fail", {}, ("nobody listens on port", "it listens on 127.0.0.1:")),
    ("floods_its_log", "fail", {"more": UNTIL_GONE}, ("was killed by SIGKILL", "flooded its log")),
    ("ignores_signals", "fail", {}, ("ignored SIGTERM and had to be killed",)),
    (
        "ignores_signals",
        "fail",
        {"stop": "{signal: INT, grace: 1s}"},
        ("ignored SIGINT and had to be killed",),
    ),
    ("leaves_a_child", "fail", {}, ("left a process behind, which kvsim killed",)),
    ("dies_on_a_put", "fail", {}, ("PUT k-", "n1 was killed by SIGSEGV", "about to die of a put")),
    ("never_answers", "unknown", {}, ("PUT k-", "unknown (timeout)")),
    ("never_answers", "fail", {"ready": PING}, ("alive but was not ready within 2s", "ping got")),
    ("answers_late", "unknown", {}, ("unknown (timeout)",)),
    ("answers_twice", "fail", {}, ("OK\\n", "one_reply_per_request")),
    ("no_newline", "unknown", {}, ("OK", "unknown (timeout)")),
    ("nul_bytes", "fail", {}, ("OK\\x00\\x00", "unrecognised")),
    ("fifty_megabytes", "fail", {}, ("longer than reply_max_bytes",)),
    ("speaks_first", "fail", {}, ("WELCOME to my store",)),
    ("closes_after_each_reply", "fail", {}, ("connections_last",)),
    ("refuses_and_stores", "fail", {}, ("refused, but stored",)),
]


@pytest.mark.parametrize(
    ("how", "verdict", "options", "words"),
    CULPRITS,
    ids=[f"{row[0]}-{at}" for at, row in enumerate(CULPRITS)],
)
def test_a_culprit_is_named(play, how, verdict, options, words):
    played = play(how, **options)
    assert played.verdict == verdict, played.said
    for word in words:
        assert word in played.said, f"{word!r} is not in\n{played.said}"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (
            "shares_its_port",
            ("also held by pid", "--how=second_share"),
        ),  # who gets a connection is the kernel's choice
        ("resets_on_accept", ("eset by peer",)),  # sometimes before a byte was sent, sometimes after
    ],
)
def test_what_is_a_matter_of_luck_never_passes(play, how, words):
    played = play(how)
    assert played.verdict in {"fail", "unknown", "invalid"}, played.said
    for word in words:
        assert word in played.said, f"{word!r} is not in\n{played.said}"


def test_a_lock_file_that_outlives_a_kill_is_seen_at_the_restart(play):
    played = play("keeps_a_lock_file", more="  - kill: leader\n  - start: leader\n")
    assert played.verdict == "fail"
    assert "exited with status 4 before it was ready" in played.said
    assert "LOCK exists" in played.said


def test_a_late_reply_is_never_taken_for_the_next_ones(play):
    played = play("answers_late")
    answers = {claim["received"] for claim in played.proof["claims"] if claim["sent"].startswith("GET")}
    assert not any(answer.startswith("OK") for answer in answers)


def test_a_flood_fills_no_disk(play):
    played = play("floods_its_log", more=UNTIL_GONE)
    sizes = [path.stat().st_size for path in played.folder.glob("runs/*/nodes/*/*.log")]
    assert max(sizes) < 2 << 30
