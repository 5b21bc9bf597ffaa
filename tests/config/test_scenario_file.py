"""Scenario files: groups, steps, expectations and variables read into values; every mistake with
its position.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from kvsim.config import variables
from kvsim.config.cluster_loader import load_cluster
from kvsim.config.expectation import EXPECTED
from kvsim.config.lint import lint, reasons_to_skip
from kvsim.config.scenario import Expectation, Scenario, Step, Timing, walk_steps
from kvsim.config.scenario_loader import load_scenario
from kvsim.config.scenario_schema import VARIABLE_KINDS
from kvsim.config.schema import Validation
from kvsim.config.target import parse_target
from kvsim.config.yaml_nodes import SourceLocation, read_text
from kvsim.runner.registry import REGISTRY
from kvsim.runner.steps.faults import FaultStep
from kvsim.runner.steps.processes import KillStep, StopStep
from kvsim.runner.steps.requests import PutStep

# The names of checks are few here, so that messages about unknown ones stay short.
CHECKS = frozenset({"writes_only_at_leader", "logs_name_roles"})
FEW_CHECKS = replace(REGISTRY, load_checks=lambda: CHECKS)
HEAD = "scenario: s\ncluster: cluster.yaml\n"


@pytest.fixture
def write(folder: Path) -> Callable[[str], Path]:
    def call(text: str) -> Path:
        (folder / "s.yaml").write_text(text)
        return Path("s.yaml")

    return call


@pytest.fixture
def read(write: Callable[[str], Path]) -> Callable[[str], Scenario]:
    return lambda text: load_scenario(write(text), FEW_CHECKS)


@pytest.fixture
def problems_in(
    write: Callable[[str], Path], problems_of: Callable[..., list[str]]
) -> Callable[[str], list[str]]:
    """The problems of these steps, from their line on."""
    return lambda text: [
        line.removeprefix("s.yaml:") for line in problems_of(load_scenario, write(text), FEW_CHECKS)
    ]


@pytest.fixture
def step(read: Callable[[str], Scenario]) -> Callable[[str], Step]:
    return lambda text: read(f"{HEAD}steps:\n  - {text}\n").steps[0]


LEADER_NAMED = Expectation("refused", reason="read_only", names="leader")
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
      - put:    {at: each follower, key: "{k}", value: "{w}", expect: {refused: read_only}}
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
    assert put == PutStep(
        id="3.1",
        verb="put",
        at=parse_target("each follower"),
        key="{k}",
        value="{w}",
        follow=None,
        location=SourceLocation("s.yaml", 16, 9),
        text='put: {at: each follower, key: "{k}", value: "{w}", expect: {refused: read_only}}',
        expect=Expectation("refused", reason="read_only"),
    )


@pytest.mark.parametrize("text", ["on", "no", "012", "12:30:00", "null", "1e3", "~"])
def test_keys_and_values_stay_as_typed(step: Callable[[str], Step], text: str) -> None:
    put = step(f"put: {{at: n1, key: {text}, value: {text}}}")
    assert isinstance(put, PutStep)
    assert (put.key, put.value) == (text, text)


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
def test_expectations_and_time_modifiers(
    step: Callable[[str], Step], text: str, expect: Expectation | None, timing: Timing
) -> None:
    assert (step(text).expect, step(text).timing) == (expect, timing)


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        *(
            (word, Expectation(word))
            for word in (
                "ok",
                "not_found",
                "mismatch",
                "served",
                "refused",
                "unknown",
                "unreachable",
            )
        ),
        ("{value: 012}", Expectation("value", "012")),
        ("{refused: read_only, names: leader}", LEADER_NAMED),
        ('{value: ""}', Expectation("value", "")),
        ("{refused: other}", Expectation("refused", reason="other")),
        (
            "{any_of: [ok, {any_of: [unknown]}]}",
            Expectation(
                "any_of",
                options=(
                    Expectation("ok"),
                    Expectation("any_of", options=(Expectation("unknown"),)),
                ),
            ),
        ),
    ],
)
def test_expectations_are_read(text: str, expect: Expectation) -> None:
    validation = Validation()
    tree = read_text(text, "f", validation.problems)
    assert tree is not None
    assert EXPECTED.read(tree, validation) == expect
    assert not validation.problems


def test_a_bare_word_or_list_is_the_target(step: Callable[[str], Step]) -> None:
    kill, stop = step("kill: leader"), step("stop: [n1, n3]")
    assert isinstance(kill, KillStep)
    assert (kill.at, kill.signal) == (parse_target("leader"), "KILL")
    assert isinstance(stop, StopStep)
    assert stop.at == parse_target("n1, n3")


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
      - get: {at: each folower, key: k,expect: {value: 1, names: leader}, eventually: 2, always: 1s}
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


def test_all_mistakes_at_once_each_with_its_location(
    problems_in: Callable[[str], list[str]],
) -> None:
    assert problems_in(MISTAKES) == [
        '3:1: unknown key "ned"; did you mean `needs`?',
        '4:11: vars.k: unknown kind "random_kye"; did you mean `random_key`?',
        '4:40: key "k" is repeated (first at line 4)',
        "8:35: {kk} is no known name here; did you mean `k`? (literal braces: {{kk}})",
        '8:65: put.expect: expected an expectation, found "okay"; did you mean `ok`?',
        "9:9: `eventually` belongs inside the verb: `put: {…, eventually: …}`",
        '10:19: get.at: "each folower" is no target; did you mean `each follower`?',
        "10:66: get.expect: `names` needs `refused`",
        '10:87: get.eventually: expected a time with its unit, such as 500ms, 2s or 1m, found "2"',
        "10:98: get: at most one of eventually, always, within; found eventually and always",
        '11:9: unknown verb "gte"; did you mean `get`?',
        "13:9: a step has exactly one verb; found put and get (make it another step, with its own "
        "`-`)",
        "14:9: a group cannot be inside a group or a step",
        "15:28: kill.signal: expected a signal that ends a process: TERM, INT, QUIT, HUP, KILL, "
        'ABRT, USR1, USR2, SEGV, found "9"',
        '16:20: stop: unknown key "signal"; known: at, needs, within',
        "17:19: check: `role` needs `at`",
        "18:12: check: expected exactly one of state, role, log; found none",
        "19:36: check: `nodes` needs `state`",
        "20:25: raw.send: unknown escape \\q; known: \\r \\n \\t \\0 \\\\ and \\xHH",
        "20:51: raw.expect.any_of: expected at least 1 in this list, found an empty list",
        "21:12: sleep: `why` is missing: why no condition can be waited for",
        '22:5: expected a step such as `- put: {…}`, found "put"',
        "23:5: an empty step",
        '24:33: checks: there is no check "logs_name_rolse"; did you mean `logs_name_roles`?',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "scenario: s\n",
            [
                "1:1: `cluster` is missing: the cluster file, relative to this file",
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
        (
            HEAD + "steps: {put: {at: n1}}\n",
            ["3:8: steps: expected a list of steps, found a mapping"],
        ),
        (
            HEAD + "vars: {k: random_key}\nsteps: [kill: n1]\n",
            ["3:8: vars: `k` is used by no step"],
        ),
        (
            HEAD + "steps: [put: {at: n1, key: '{all:x}', value: v}]\n",
            ["3:28: {all:…} is not allowed here"],
        ),
        (
            HEAD + "steps: [put: leader]\n",
            ["3:14: put: expected a mapping (at, key, value, follow, expect, eventually"],
        ),
    ],
)
def test_other_mistakes(
    problems_in: Callable[[str], list[str]], text: str, expected: list[str]
) -> None:
    assert [
        line[: len(start)] for line, start in zip(problems_in(text), expected, strict=True)
    ] == expected


def test_a_step_may_have_steps_inside(read: Callable[[str], Scenario]) -> None:
    inner = "{fault: {pause: n3, do: [stop: n2]}}"
    scenario = read(f"{HEAD}steps:\n  - fault: {{pause: n2, do: [{{kill: n1}}, {inner}]}}\n")
    assert [(step.id, step.verb) for step in walk_steps(scenario.steps)] == [
        ("1.1", "fault"),
        ("1.1.1", "kill"),
        ("1.1.2", "fault"),
        ("1.1.2.1", "stop"),
    ]
    outer = scenario.steps[0]
    assert isinstance(outer, FaultStep)
    assert (outer.text, outer.kind.name) == ("fault: {pause: n2}", "pause")
    assert list(outer.targets()) == [parse_target("n2")]


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("steps: [fault: {pause: n2, receipt: optional, do: [kill: n1]}]", "receipt", "evidence"),
        (
            "steps: [fault: {kill: {at: n2, into: 2ms}, do: [kill: n1]}]",
            "into",
            "after_request",
        ),
        (
            "steps: [fault: {drop: {from: n1, to: n2, percent: 5}, do: [kill: n1]}]",
            "drop",
            "random_reset",
        ),
        ("steps: [storm: {for: 1s, hits: leader}]", "hits", "targets"),
        ("steps: [storm: {for: 1s, quiet: 1s}]", "quiet", "interval"),
    ],
)
def test_a_word_that_was_renamed_names_the_new_word(
    problems_in: Callable[[str], list[str]], text: str, old: str, new: str
) -> None:
    found = [line for line in problems_in(HEAD + text) if f'"{old}"' in line]
    assert len(found) == 1
    assert found[0].endswith(f'unknown key "{old}"; it is called `{new}` now')


def test_a_check_that_was_renamed_names_the_new_name(
    write: Callable[[str], Path], problems_of: Callable[..., list[str]]
) -> None:
    path = write(HEAD + "steps: [kill: n1]\nchecks: [faults_have_receipts]\n")
    (line,) = problems_of(load_scenario, path, REGISTRY)
    assert line.endswith("; it is called `faults_have_evidence` now")


def test_the_kinds_of_variables_are_those_that_can_be_drawn() -> None:
    assert set(VARIABLE_KINDS) == {*variables.KINDS, "random_text_N"}


def test_a_text_of_so_many_letters_is_drawn_from_the_seed() -> None:
    kinds = {"a": "random_text_4096", "b": "random_text_0", "c": "random_text"}
    drawn = variables.draw(kinds, 7)
    assert (len(drawn["a"]), drawn["b"], drawn["c"]) == (4096, "", "random_text")
    assert drawn["a"] != variables.draw(kinds, 8)["a"]


# --- on a cluster ----------------------------------------------------------------------------


@pytest.fixture
def linted(read: Callable[[str], Scenario]) -> Callable[..., list[str]]:
    def call(steps: str, head: str = HEAD) -> list[str]:
        scenario = read(f"{head}steps:\n  - {steps}\n")
        return [str(problem) for problem in lint(scenario, load_cluster("cluster.yaml", REGISTRY))]

    return call


@pytest.mark.parametrize(
    "steps", ["kill: n3", "kill: leader", "kill: each follower", "stop: majority"]
)
def test_a_scenario_that_fits_its_cluster(linted: Callable[..., list[str]], steps: str) -> None:
    assert linted(steps) == []


def test_nodes_and_targets_that_match_no_node(linted: Callable[..., list[str]]) -> None:
    assert linted("kill: n7") == [
        "s.yaml:4:5: kill: there is no node `n7` in cluster three; known: n1, n2, n3"
    ]
    assert linted("stop: follower") == [
        "s.yaml:4:5: stop: target `follower` is one of 2: write `any follower` or `each follower`"
    ]


def test_a_cluster_without_followers(linted: Callable[..., list[str]], folder: Path) -> None:
    (folder / "cluster.yaml").write_text(
        "cluster: one\nprogram: toy\nnodes: {n1: {role: leader}}\n"
    )
    assert linted("kill: any follower") == [
        "s.yaml:4:5: kill: target `any follower` matches no node: cluster one has no follower"
    ]


def test_a_request_that_no_program_has(linted: Callable[..., list[str]]) -> None:
    step = "cas: {at: leader, key: k, expected: a, value: b}"
    assert linted(step) == [
        "s.yaml:4:5: cas: program toy has no request `cas`: describe it in its node.yaml "
        "or write `needs: [cas]`, which skips programs that have none"
    ]
    assert linted(step, HEAD + "needs: [cas]\n") == []
    assert linted("delete: {at: leader, key: k}") == [
        "s.yaml:4:5: delete: program toy has no request `delete`: describe it in its node.yaml"
    ]


def test_a_load_needs_requests_that_its_programs_have(linted: Callable[..., list[str]]) -> None:
    assert linted("load: {start: w, mix: {put: 1, get: 1, delete: 0}}") == []
    # A load does without deletes, not without anything else.
    assert linted("load: {start: w, mix: {put: 1, delete: 1}}") == []
    assert linted("load: {start: w, mix: {put: 1, cas: 1}}")[0].startswith(
        "s.yaml:4:5: load: program toy has no request `cas`"
    )


def test_a_load_that_compares_also_writes(linted: Callable[..., list[str]], folder: Path) -> None:
    program = folder / "nodes/toy/node.yaml"
    request = 'cas: "CAS {key} {expected} {value}"'
    program.write_text(program.read_text().replace("ping: PING,", f"ping: PING, {request},"))
    assert linted("load: {start: w, mix: {put: 1, cas: 1}}") == []
    assert linted("load: {start: w, mix: {get: 1, cas: 1}}") == [
        "s.yaml:4:5: load: `cas` replaces values that the load itself wrote, so its mix needs "
        "`put` too"
    ]
    assert linted("load: {start: w, minima: {cas: 5}}") == [
        "s.yaml:4:5: load: `minima` wants compare-and-sets, but `mix` has no `cas`"
    ]


def test_an_unknown_need_is_a_mistake_and_a_known_need_a_reason_to_skip(
    linted: Callable[..., list[str]], read: Callable[[str], Scenario]
) -> None:
    assert linted("kill: n1", HEAD + "needs: [redirekt]\n") == [
        "s.yaml:3:9: needs: there is no capability `redirekt`; did you mean `redirect`?"
    ]
    scenario = read(HEAD + "needs: [elects, roles]\nsteps: [kill: n1]\n")
    assert reasons_to_skip(scenario, load_cluster("cluster.yaml", REGISTRY)) == [
        "program toy has no capability `elects`, which it needs"
    ]
