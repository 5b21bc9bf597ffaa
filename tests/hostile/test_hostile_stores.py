"""kvsim against stores that misbehave: it ends within its limits with a verdict that names the
cause, and leaves no process behind.
"""

from __future__ import annotations

import pytest

PING = "{port: owned, ping: true, within: 10s}"
LOG = '{log: "listening on port", port: owned, within: 10s}'
# For stores that never get ready. They only have to be started in this time.
NEVER_READY = "within: 1s}"
# For stores that do not end when they are asked to.
NEVER_ENDS = "{grace: 200ms}"
# For stores that never answer.
NEVER_ANSWERS = "100ms"


@pytest.mark.parametrize(
    ("behaviour", "options"),
    [
        ("well_behaved", {"ready": LOG}),
        ("prints_nothing", {}),
        ("serves_late", {"ready": PING}),
        ("wild_log", {"ready": LOG}),
        ("one_at_a_time", {"ready": PING}),
        ("background", {"stop": "{grace: 10s, pid_file: pid}"}),
    ],
)
def test_an_unusual_store_passes(run_against, behaviour, options):
    run = run_against(behaviour, **options)
    assert run.verdict == "pass", run.text


# Behaviour, verdict, options, what the text must contain.
CAUSES = [
    (
        "background",
        "fail",
        {},
        ("node n", "exited with status 0", "goes into the background", "pid_file"),
    ),
    (
        "dies_at_start",
        "fail",
        {},
        ("node n", "exited with status 3", "cannot read the configuration"),
    ),
    (
        "exits_with_zero",
        "fail",
        {},
        ("node n", "exited with status 0 before it was ready", "is empty"),
    ),
    ("waits_on_stdin", "fail", {}, ("exited with status 0", "end of input, bye")),
    (
        "prints_nothing",
        # The store may not log it, and node.yaml may describe it wrongly.
        "invalid",
        {"ready": f'{{log: "listening on port", {NEVER_READY}'},
        ("no line matching 'listening on port' in its log",),
    ),
    (
        "ipv6",
        "fail",
        {"ready": f"{{port: owned, {NEVER_READY}"},
        ("listens on ::1 port", "not on 127.0.0.1"),
    ),
    (
        "elsewhere",
        "fail",
        {"ready": f"{{port: owned, {NEVER_READY}"},
        ("no process listens on port", "it listens on 127.0.0.1:"),
    ),
    (
        "ignores_signals",
        "fail",
        {"stop": NEVER_ENDS},
        ("ignored SIGTERM and had to be killed",),
    ),
    (
        "ignores_signals",
        "fail",
        {"stop": "{signal: INT, grace: 200ms}"},
        ("ignored SIGINT and had to be killed",),
    ),
    (
        "leaves_a_child",
        "fail",
        {"stop": NEVER_ENDS},
        ("left a process behind, which kvsim killed",),
    ),
    ("dies_on_a_put", "fail", {}, ("PUT k-", "n1 was killed by SIGSEGV", "about to die of a put")),
    (
        "never_answers",
        "fail",
        {"request_timeout": NEVER_ANSWERS},
        ("PUT k-", "unknown (timeout)", "it is up and silent"),
    ),
    (
        "never_answers",
        "fail",
        {"ready": f"{{ping: true, {NEVER_READY}"},
        ("alive but was not ready within 1s", "ping got"),
    ),
    ("answers_twice", "fail", {}, ("OK\\n", "one_reply_per_request")),
    (
        "no_newline",
        "fail",
        {"request_timeout": NEVER_ANSWERS},
        ("OK", "unknown (timeout)", "the line end"),
    ),
    ("nul_bytes", "fail", {}, ("OK\\x00\\x00", "unrecognised")),
    ("fifty_megabytes", "fail", {}, ("longer than reply_max_bytes",)),
    ("speaks_first", "fail", {}, ("WELCOME to my store",)),
    ("closes_after_each_reply", "fail", {}, ("connections_last",)),
    ("refuses_and_stores", "fail", {}, ("refused, but stored",)),
]


@pytest.mark.parametrize(
    ("behaviour", "verdict", "options", "expected"),
    CAUSES,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(CAUSES)],
)
def test_the_cause_is_named(run_against, behaviour, verdict, options, expected):
    run = run_against(behaviour, **options)
    assert run.verdict == verdict, run.text
    for text in expected:
        assert text in run.text, f"{text!r} is not in\n{run.text}"


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        # The kernel chooses which of the two gets a connection.
        ("shares_its_port", ("also in use by pid", "--how=second_share")),
        # It shows in the connect, in the first send or after it: the same outcome.
        ("resets_on_accept", ("unknown (reset)",)),
    ],
)
def test_a_behaviour_that_depends_on_chance_never_passes(run_against, behaviour, expected):
    run = run_against(behaviour, request_timeout="300ms", stop="{grace: 500ms}")
    assert run.verdict in {"fail", "unknown", "invalid"}, run.text
    for text in expected:
        assert text in run.text, f"{text!r} is not in\n{run.text}"


def test_a_lock_file_that_outlives_a_kill_is_found_at_the_restart(run_against):
    run = run_against("keeps_a_lock_file", more="  - kill: leader\n  - start: leader\n")
    assert run.verdict == "fail"
    assert "exited with status 4 before it was ready" in run.text
    assert "LOCK exists" in run.text


def test_a_late_reply_is_unknown_and_is_not_taken_for_the_next_reply(run_against):
    run = run_against("answers_late", request_timeout=NEVER_ANSWERS)
    assert run.verdict == "unknown", run.text
    assert "unknown (timeout)" in run.text
    replies = [
        claim["received"] for claim in run.proof["claims"] if claim["sent"].startswith("GET")
    ]
    assert not any(reply.startswith("OK") for reply in replies)


@pytest.mark.slow
def test_a_flood_is_named_and_fills_no_disk(run_against):
    run = run_against("floods_its_log", more="  - wait: {at: leader, until: gone, within: 20s}\n")
    # A limit of kvsim's own is no failure of the store.
    assert run.verdict == "invalid", run.text
    assert "flooded its log" in run.text
    sizes = [path.stat().st_size for path in run.folder.glob("runs/*/nodes/*/*.log")]
    assert max(sizes) < 2 << 30
