"""Scenario files: groups, steps, expectations and variables read into values; every mistake with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.config import variables
from kvsim.config.cluster_file import load_cluster
from kvsim.config.expectation import EXPECTED
from kvsim.config.lint import every_step, lint, missing_capabilities
from kvsim.config.scenario import Expectation, Scenario, Step, Timing
from kvsim.config.scenario_file import load_scenario
from kvsim.config.scenario_words import KINDS, VERBS, Verb
from kvsim.config.shape import Duration, Field, Reading
from kvsim.config.target import parse_target
from kvsim.config.yaml_tree import read_text

CHECKS = frozenset({"writes_only_at_leader", "logs_name_roles"})
HEAD = "scenario: s\ncluster: cluster.yaml\n"


@pytest.fixture
def write(folder: Path) -> Callable[[str], Path]:
    def call(text: str) -> Path:
        (folder / "s.yaml").write_text(text)
        return Path("s.yaml")

    return call


@pytest.fixture
def read(write: Callable[[str], Path]) -> Callable[[str], Scenario]:
    return lambda text: load_scenario(write(text), CHECKS)


@pytest.fixture
def wrong(write: Callable[[str], Path], complaints: Callable[..., list[str]]) -> Callable[[str], list[str]]:
    """The problems of these steps, from their line on."""
    return lambda text: [
        line.removeprefix("s.yaml:") for line in complaints(load_scenario, write(text), CHECKS)
    ]


@pytest.fixture
def step(read: Callable[[str], Scenario]) -> Callable[[str], Step]:
    return lambda text: read(f"{HEAD}steps:\n  - {text}\n").steps[0]


ROLES = """\
scenario: roles
title: The leader accepts writes
cluster: ./cluster.yaml
needs: [roles]
vars: {k: random_key, v: random_value, w: on}
request_timeout: 250ms
steps:
  - group: The leader accepts a write
    steps:
      - put:    {at: leader, key: "{k}", value: "{v}", expect: ok}
      - get:    {at: leader, key: "{k}", expect: {value: "{v}"}}
  - sleep: {for: 1s, why: because}
  - kill: n2
  - group: Followers refuse writes
    steps:
      - put:    {at: each follower, key: "{k}", value: "{w}", expect: {refused: read_only, names: leader}}
      - check:  {state: unchanged, nodes: all}
checks: [writes_only_at_leader]
"""


def test_a_scenario(read: Callable[[str], Scenario], folder: Path) -> None:
    scenario = read(ROLES)
    assert [(group.title, [step.id for step in group.steps]) for group in scenario.groups] == [
        ("The leader accepts a write", ["1.1", "1.2"]),
        ("", ["2.1", "2.2"]),
        ("Followers refuse writes", ["3.1", "3.2"]),
    ]
    assert scenario.cluster == (folder / "cluster.yaml").resolve()
    assert scenario.variables == {"k": "random_key", "v": "random_value", "w": "on"}
    assert (scenario.needs, scenario.checks, scenario.request_timeout_s) == (
        {"roles"},
        ("writes_only_at_leader",),
        0.25,
    )
    put = scenario.groups[2].steps[0]
    assert put == Step(
        id="3.1",
        verb="put",
        fields={"at": parse_target("each follower"), "key": "{k}", "value": "{w}", "follow": None},
        line=16,
        column=9,
        text='put: {at: each follower, key: "{k}", value: "{w}", expect: {refused: read_only, names: leader}}',
        expect=Expectation("refused", reason="read_only", names="leader"),
    )


@pytest.mark.parametrize("text", ["on", "no", "012", "12:30:00", "null", "1e3", "~"])
def test_keys_and_values_are_what_was_typed(step: Callable[[str], Step], text: str) -> None:
    put = step(f"put: {{at: n1, key: {text}, value: {text}}}")
    assert (put.fields["key"], put.fields["value"]) == (text, text)


@pytest.mark.parametrize(
    ("text", "expect", "timing"),
    [
        ("put: {at: n1, key: k, value: v}", Expectation("ok"), Timing()),
        ("get: {at: n1, key: k, eventually: 2s}", Expectation("served"), Timing(eventually_s=2.0)),
        ("get: {at: n1, key: k, always: 500ms}", Expectation("served"), Timing(always_s=0.5)),
        ("raw: {at: n1, send: x, expect: {reply: a+}}", Expectation("reply", "a+"), Timing()),
        ("wait: {at: n1, until: ready}", None, Timing(within_s=5.0)),
        ("wait: {at: n1, until: gone, within: 1m}", None, Timing(within_s=60.0)),
        ("restart: n1", None, Timing()),
        ("start: {at: n1, within: 9s}", None, Timing(within_s=9.0)),
    ],
)
def test_what_is_expected_and_for_how_long(
    step: Callable[[str], Step], text: str, expect: Expectation | None, timing: Timing
) -> None:
    assert (step(text).expect, step(text).timing) == (expect, timing)


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        *(
            (word, Expectation(word))
            for word in ("ok", "not_found", "mismatch", "served", "refused", "unknown", "unreachable")
        ),
        ("{value: 012}", Expectation("value", "012")),
        ('{value: ""}', Expectation("value", "")),
        ("{refused: other}", Expectation("refused", reason="other")),
        (
            "{any_of: [ok, {any_of: [unknown]}]}",
            Expectation(
                "any_of",
                options=(Expectation("ok"), Expectation("any_of", options=(Expectation("unknown"),))),
            ),
        ),
    ],
)
def test_expectations_in_words(text: str, expect: Expectation) -> None:
    reading = Reading()
    assert EXPECTED.read(read_text(text, "f", reading.problems), reading) == expect
    assert not reading.problems


def test_a_bare_word_or_list_is_the_target(step: Callable[[str], Step]) -> None:
    assert step("kill: leader").fields == {"at": parse_target("leader"), "signal": "KILL"}
    assert step("stop: [n1, n3]").fields == {"at": parse_target("n1, n3")}


MISTAKES = """\
scenario: roles
cluster: ./cluster.yaml
ned: [roles]
vars: {k: random_kye, v: random_value, k: x}
steps:
  - group: The leader accepts a write
    steps:
      - put:    {at: leader, key: "{kk}", value: "{v}", expect: okay}
        eventually: 2s
      - get:    {at: each folower, key: on, expect: {value: 012, names: leader}, eventually: 2, always: 1s}
      - gte: {}
      - put: {at: n1, key: k, value: v}
        get: {at: n1, key: k}
      - group: inner
  - kill: {at: n2, signal: 9}
  - stop: {at: n2, signal: KILL}
  - check: {role: leader}
  - check: {}
  - check: {log: x, at: n1, nodes: n1}
  - raw: {at: n1, send: "a\\\\qb", expect: {any_of: []}}
  - sleep: {for: 1s}
  - put
  - {}
checks: [writes_only_at_leader, logs_name_rolse]
"""


def test_all_mistakes_at_once_each_with_its_place(wrong: Callable[[str], list[str]]) -> None:
    assert wrong(MISTAKES) == [
        '3:1: unknown key "ned"; did you mean `needs`?',
        '4:11: vars.k: unknown kind "random_kye"; did you mean `random_key`?',
        '4:40: key "k" a second time (first at line 4)',
        "8:35: {kk} is no name that can stand here; did you mean `k`? (literal braces: {{kk}})",
        '8:65: put.expect: expected an expectation, found "okay"; did you mean `ok`?',
        "9:9: `eventually` belongs inside the verb: `put: {…, eventually: …}`",
        '10:22: get.at: "each folower" is no target; did you mean `each follower`?',
        "10:73: get.expect: `names` goes with `refused`",
        '10:94: get.eventually: expected a time with its unit, such as 500ms, 2s or 1m, found "2"',
        "10:105: get: at most one of eventually, always, within; found eventually and always",
        '11:9: unknown verb "gte"; did you mean `get`?',
        "13:9: a step has exactly one verb; found put and get (make it another step, with its own `-`)",
        "14:9: a group cannot stand inside a group or a step",
        "15:28: kill.signal: expected a signal: TERM, INT, QUIT, HUP, KILL, ABRT, USR1, USR2, STOP, CONT, SEGV, "
        'found "9"',
        '16:20: stop: unknown key "signal"; known: at, within',
        "17:19: check: `role` goes with `at`",
        "18:12: check: expected exactly one of state, role, log; found none",
        "19:36: check: `nodes` goes with `state`",
        "20:25: raw.send: unknown escape \\q; known: \\r \\n \\t \\0 \\\\ and \\xHH",
        "20:51: raw.expect.any_of: expected at least 1 in this list, found an empty list",
        "21:12: sleep: `why` is missing: why no condition can be waited for",
        '22:5: expected a step such as `- put: {…}`, found "put"',
        "23:5: an empty step",
        '24:33: checks: there is no check "logs_name_rolse"; did you mean `logs_name_roles`?',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "scenario: s\n",
            [
                "1:1: `cluster` is missing: the cluster file, as seen from this file",
                "1:1: `steps` is missing",
            ],
        ),
        (
            HEAD.replace("cluster.yaml", "no.yaml") + "steps: [kill: n1]\n",
            ['2:10: cluster: there is no file "no.yaml"'],
        ),
        (HEAD + "steps:\n", ["3:7: steps: expected a list of steps, found nothing"]),
        (HEAD + "steps: []\n", ["3:8: steps: expected a list of steps, found an empty list"]),
        (
            HEAD + "steps:\n  - group: g\n    steps: []\n",
            ["5:12: expected a list of steps, found an empty list"],
        ),
        (HEAD + "steps:\n  - group: g\n", ["4:5: `steps` is missing: its steps"]),
        (HEAD + "steps: {put: {at: n1}}\n", ["3:8: steps: expected a list of steps, found a mapping"]),
        (HEAD + "vars: {k: random_key}\nsteps: [kill: n1]\n", ["3:8: vars: `k` is used by no step"]),
        (HEAD + "steps: [put: {at: n1, key: '{all:x}', value: v}]\n", ["3:28: {all:…} cannot stand here"]),
        (
            HEAD + "steps: [put: leader]\n",
            ["3:14: put: expected a mapping (at, key, value, follow, expect, eventually"],
        ),
    ],
)
def test_what_else_is_wrong(wrong: Callable[[str], list[str]], text: str, said: list[str]) -> None:
    assert [line[: len(start)] for line, start in zip(wrong(text), said, strict=True)] == said


def test_a_verb_that_holds_steps_is_one_row(
    read: Callable[[str], Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Verb("break it", {"pause": Field(Duration(), "how long", required=True)}, holds="do")
    monkeypatch.setitem(VERBS, "fault", fault)
    scenario = read(
        HEAD + "steps:\n  - fault: {pause: 1s, do: [{kill: n1}, {fault: {pause: 2s, do: [stop: n2]}}]}\n"
    )
    assert [(step.id, step.verb) for step in every_step(scenario.steps)] == [
        ("1.1", "fault"),
        ("1.1.1", "kill"),
        ("1.1.2", "fault"),
        ("1.1.2.1", "stop"),
    ]
    assert scenario.steps[0].text == "fault: {pause: 1s}"


def test_the_kinds_of_variables_are_those_that_can_be_drawn() -> None:
    assert set(KINDS) == set(variables.KINDS)


# --- held against a cluster ------------------------------------------------------------------------------------------


@pytest.fixture
def linted(read: Callable[[str], Scenario]) -> Callable[..., list[str]]:
    def call(steps: str, head: str = HEAD) -> list[str]:
        scenario = read(f"{head}steps:\n  - {steps}\n")
        return [str(problem) for problem in lint(scenario, load_cluster("cluster.yaml"))]

    return call


@pytest.mark.parametrize("steps", ["kill: n3", "kill: leader", "kill: each follower", "stop: majority"])
def test_a_scenario_that_fits_its_cluster(linted: Callable[..., list[str]], steps: str) -> None:
    assert linted(steps) == []


def test_nodes_and_targets_that_match_nobody(linted: Callable[..., list[str]]) -> None:
    assert linted("kill: n7") == [
        "s.yaml:4:5: kill: there is no node `n7` in cluster three; known: n1, n2, n3"
    ]
    assert linted("stop: follower") == [
        "s.yaml:4:5: stop: target `follower` is one of 2: say `any follower` or `each follower`"
    ]


def test_a_cluster_without_followers(linted: Callable[..., list[str]], folder: Path) -> None:
    (folder / "cluster.yaml").write_text("cluster: one\nprogram: toy\nnodes: {n1: {role: leader}}\n")
    assert linted("kill: any follower") == [
        "s.yaml:4:5: kill: target `any follower` matches nobody: cluster one has no follower"
    ]


def test_a_request_that_no_program_has(linted: Callable[..., list[str]]) -> None:
    asked = "cas: {at: leader, key: k, expected: a, value: b}"
    assert linted(asked) == [
        "s.yaml:4:5: cas: program toy has no request `cas`: describe it in its node.yaml "
        "or say `needs: [cas]`, which skips programs that have none"
    ]
    assert linted(asked, HEAD + "needs: [cas]\n") == []
    assert linted("delete: {at: leader, key: k}") == [
        "s.yaml:4:5: delete: program toy has no request `delete`: describe it in its node.yaml"
    ]


def test_a_load_asks_for_what_its_programs_have(linted: Callable[..., list[str]]) -> None:
    assert linted("load: {start: w, mix: {put: 1, get: 1, delete: 0}}") == []
    assert linted("load: {start: w, mix: {put: 1, delete: 1}}")[0].startswith(
        "s.yaml:4:5: load: program toy has no request `delete`"
    )


def test_a_load_that_compares_also_writes(linted: Callable[..., list[str]], folder: Path) -> None:
    described = folder / "nodes/toy/node.yaml"
    described.write_text(
        described.read_text().replace("ping: PING,", 'ping: PING, cas: "CAS {key} {expected} {value}",')
    )
    assert linted("load: {start: w, mix: {put: 1, cas: 1}}") == []
    assert linted("load: {start: w, mix: {get: 1, cas: 1}}") == [
        "s.yaml:4:5: load: `cas` replaces values that the load itself wrote, so its mix needs `put` too"
    ]
    assert linted("load: {start: w, minima: {cas: 5}}") == [
        "s.yaml:4:5: load: `minima` wants compare-and-sets, but `mix` has no `cas`"
    ]


def test_a_need_nobody_knows_is_a_mistake_and_a_known_one_a_reason_to_skip(
    linted: Callable[..., list[str]], read: Callable[[str], Scenario]
) -> None:
    assert linted("kill: n1", HEAD + "needs: [redirekt]\n") == [
        "s.yaml: needs: nobody knows the capability `redirekt`; did you mean `redirect`?"
    ]
    scenario = read(HEAD + "needs: [elects, roles]\nsteps: [kill: n1]\n")
    assert missing_capabilities(scenario, load_cluster("cluster.yaml")) == [
        "program toy has no capability `elects`"
    ]
