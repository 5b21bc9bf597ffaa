"""What `kvsim lint` says of a scenario on its cluster: what a run would find only later."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.cli.loading import load_cases, read_cases
from kvsim.errors import FileProblems, Problem

# `true` is on every machine.
PROGRAM = """\
program: shelf
start: ["true", "--port={port}"]
requests: {put: "SET {key} {value}", get: "FETCH {key}", delete: "DROP {key}"}
replies: {put: {ok: "^DONE$"}, get: {value: "^HAS (?P<value>.*)$", not_found: "^NONE$"}}
capabilities: [roles, restart]
"""
CLUSTER = """\
cluster: four
program: ./shelf.yaml
links: proxied
nodes:
  a: {role: leader}
  b: {role: follower}
  c: {role: follower}
  d: {role: follower}
"""
ALONE = "cluster: one\nprogram: ./shelf.yaml\nlinks: proxied\nnodes: {a: {role: leader}}\n"
HEAD = "scenario: s\ncluster: cluster.yaml\nsteps:\n"

Lint = Callable[..., list[str]]


@pytest.fixture
def lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lint:
    """The mistakes of these steps (each a line from line 4 on), one line each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shelf.yaml").write_text(PROGRAM)

    def run(
        *steps: str, cluster: str = CLUSTER, head: str = HEAD, program: str = PROGRAM
    ) -> list[str]:
        (tmp_path / "shelf.yaml").write_text(program)
        (tmp_path / "cluster.yaml").write_text(cluster)
        (tmp_path / "s.yaml").write_text(head + "".join(f"  - {step}\n" for step in steps))
        problems: list[Problem] = []
        read_cases(Path("s.yaml"), problems)
        return [str(problem) for problem in sorted(problems)]

    return run


PUT = "put: {at: leader, key: k, value: v}"
GET = "get: {at: leader, key: k}"
SLEEP = "sleep: {for: 1s, why: x}"

WRONG_STATES = {
    "stopped twice": (["stop: b", "stop: b"], "s.yaml:5:5: stop: b is down here (line 4)"),
    "killed when it is stopped": (["stop: c", "kill: c"], "s.yaml:5:5: kill: c is down here"),
    "restarted when it is killed": (["kill: d", "restart: d"], "s.yaml:5:5: restart: d is down"),
    "started while it runs": (["start: b"], "s.yaml:4:5: start: b runs already (no step before"),
    "started twice": (["stop: b", "start: b", "start: b"], "start: b runs already (line 5)"),
    "all of them are down": (["kill: all", "kill: all"], "kill: a is down here (line 4)"),
    "the leader is down": (["kill: leader", PUT], "put: a is down here (line 4), and nothing"),
    "a reader of a node that is down": (
        ["stop: b", "get: {at: b, key: k, expect: {any_of: [not_found, {value: x}]}}"],
        "get: b is down here (line 4)",
    ),
    "a wait for a node that is down": (
        ["stop: b", "wait: {at: b, until: serving}"],
        "wait: b is down here (line 4), and nothing starts it",
    ),
    "a kill inside a kill": (
        [f"fault: {{kill: b, do: [{{fault: {{kill: b, do: [{{{GET}}}]}}}}]}}"],
        "fault: b is down here (line 4)",
    ),
    "a crash inside a restart": (
        [f"fault: {{restart: b, do: [{{fault: {{crash: {{at: b, file: x}}, do: [{{{GET}}}]}}}}]}}"],
        "fault: b is down here (line 4)",
    ),
    "a pause inside a pause": (
        [f"fault: {{pause: b, do: [{{fault: {{pause: b, do: [{{{GET}}}]}}}}]}}"],
        "inside a `pause` of b that still lasts (line 4)",
    ),
    "a stop of a paused node": (
        ["fault: {pause: b, do: [{stop: b}]}"],
        "stop: b is paused here (line 4), so that it cannot end in order",
    ),
    "a pause of a node that is down": (
        ["kill: b", f"fault: {{pause: b, do: [{{{GET}}}]}}"],
        "fault: b is down here (line 4)",
    ),
    "a partition inside a partition": (
        [
            "fault: {partition: leader alone, do: "
            f"[{{fault: {{partition: minority and majority, do: [{{{GET}}}]}}}}]}}"
        ],
        "inside a `partition` that still lasts",
    ),
    "a storm with a node down": (["kill: b", "storm: {for: 1s}"], "storm: b is down here (line 4)"),
    "a load that was never started": (["load: {stop: x}"], "load: no load called x is started"),
    "a load that is stopped twice": (
        ["load: {start: x}", "load: {stop: x}", "load: {stop: x}"],
        "s.yaml:6:5: load: load x is stopped already (line 5)",
    ),
    "a load that is started twice": (
        ["load: {start: x}", "load: {start: x}"],
        "s.yaml:5:5: load: a load called x is started before (line 4)",
    ),
    "a state before any write": (["check: {state: same}"], "there is no state to compare with"),
}


@pytest.mark.parametrize("name", WRONG_STATES)
def test_a_step_needs_a_node_in_another_state(lint: Lint, name: str) -> None:
    steps, expected = WRONG_STATES[name]
    assert expected in lint(*steps)[0]


RIGHT_STATES = {
    "stopped and started": ["stop: b", "start: b", "stop: b", "start: b"],
    "the ones that run": ["stop: b", "stop: all", "start: all"],
    "one that the seed draws": ["kill: any follower", "kill: any follower", "start: any follower"],
    "what is expected": ["stop: b", "get: {at: b, key: k, expect: unreachable}"],
    "started inside a kill": [f"fault: {{kill: b, do: [{{start: b}}, {{{GET}}}]}}", "stop: b"],
    "killed inside a pause": ["fault: {pause: b, do: [{kill: b}]}"],
    "two nodes": [f"fault: {{kill: b, do: [{{fault: {{kill: c, do: [{{{GET}}}]}}}}]}}"],
    "after the fault": [f"fault: {{kill: b, do: [{{{GET}}}]}}", "kill: b"],
    "a load that runs to the end": ["load: {start: x}", SLEEP],
    "a kill during a request": [
        f"fault: {{kill: {{at: leader, after_request: 1ms}}, do: [{{{PUT}}}, {{{GET}}}]}}"
    ],
    "a node that may have ended": ["wait: {at: b, until: gone}", "start: b"],
}


@pytest.mark.parametrize("name", RIGHT_STATES)
def test_what_may_be_right_is_no_mistake(lint: Lint, name: str) -> None:
    assert lint(*RIGHT_STATES[name]) == []


WITH_MEMBERS = PROGRAM.replace(
    "delete:", 'member_add: "ADD {member}", member_remove: "REMOVE {member}", delete:'
)


def test_members_are_nodes_of_the_cluster(lint: Lint) -> None:
    steps = ("member: {add: c}", "member: {remove: d, eventually: 5s}")
    assert lint(*steps, program=WITH_MEMBERS) == []


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("member: {add: n9}", "there is no node n9; the nodes are a, b, c, d"),
        ("member: {add: c, remove: d}", "give one of `add` and `remove`"),
        ("member: {at: leader}", "give one of `add` and `remove`"),
    ],
)
def test_a_wrong_change_of_members_is_reported(lint: Lint, step: str, message: str) -> None:
    (problem,) = lint(step, program=WITH_MEMBERS)
    assert message in problem
    assert problem.startswith("s.yaml:")


def test_who_leads_after_a_promotion_is_not_known(lint: Lint) -> None:
    program = PROGRAM.replace("delete:", "promote: PROMOTE, delete:")
    assert lint("kill: leader", "promote: b", PUT, "start: a", program=program) == []


NOBODY = {
    "a storm": ("storm: {for: 1s, targets: one follower}", "storm: targets: cluster one has no"),
    "a load": ("load: {start: x, at: each follower}", "load: `each follower` matches no node"),
    "reads of a load": ("load: {start: x, reads: each follower}", "`each follower` matches no"),
    "a step": ("get: {at: any follower, key: k}", "target `any follower` matches no node"),
    "a partition": (f"fault: {{partition: leader alone, do: [{{{GET}}}]}}", "one node alone"),
    "a link": (f"fault: {{cut: {{from: a, to: a}}, do: [{{{GET}}}]}}", "no link from a to a"),
    "two that are the same": ("check: {state: same}", "`same` compares two nodes or more"),
}


@pytest.mark.parametrize("name", NOBODY)
def test_a_target_that_matches_nobody_in_this_cluster(lint: Lint, name: str) -> None:
    step, expected = NOBODY[name]
    (problem,) = lint(PUT, step, cluster=ALONE)
    assert problem.startswith("s.yaml:5:")
    assert expected in problem


MEANINGLESS = {
    "weights of a load": ("load: {start: x, mix: {get: 0, delete: 0}}", "every weight in `mix`"),
    "weights of a storm": ("storm: {for: 1s, faults: {kill: 0}}", "every weight in `faults` is 0"),
    "a storm of moments": (
        "storm: {for: 1h, duration: 0.001ms, interval: 0s}",
        "faults; at most 10000",
    ),
    "a true clock": (
        f"fault: {{clock: {{at: b, by: 0s}}, do: [{{{GET}}}]}}",
        "at rate 1 it is this machine's clock",
    ),
    "a kill during no request": (
        f"fault: {{kill: {{at: b, after_request: 1ms}}, do: [{{{SLEEP}}}]}}",
        "no step in `do` sends a request",
    ),
    "no time to answer": ("get: {at: leader, key: k, within: 0s}", "expected a time above 0"),
    "no time to wait": ("get: {at: leader, key: k, eventually: 0ms}", "expected a time above 0"),
    "no sleep": ("sleep: {for: 0.0s, why: x}", "expected a time above 0"),
    "no storm": ("storm: {for: 0s}", "expected a time above 0"),
    "no delay": (f"fault: {{delay: {{from: a, to: b, by: 0ms}}, do: [{{{GET}}}]}}", "above 0"),
    "a crash outside": (
        f"fault: {{crash: {{at: b, file: ../x}}, do: [{{{GET}}}]}}",
        "a path below the data directory",
    ),
    "a signal that ends nobody": ("kill: {at: b, signal: CONT}", "a signal that ends a process"),
}


@pytest.mark.parametrize("name", MEANINGLESS)
def test_what_means_nothing_is_a_mistake(lint: Lint, name: str) -> None:
    step, expected = MEANINGLESS[name]
    (problem,) = lint(step)
    assert problem.startswith("s.yaml:4:")
    assert expected in problem


UNSENDABLE = {
    "a line end": ('put: {at: leader, key: k, value: "1\\n2"}', "contains a line end"),
    "a space in a key": ('put: {at: leader, key: "x y", value: v}', "' ' ends the key"),
    "a space in a key that is read": ('get: {at: leader, key: "x y"}', "cannot send put"),
    "no key": ('put: {at: leader, key: "", value: v}', "an empty key cannot be seen"),
}


@pytest.mark.parametrize("name", UNSENDABLE)
def test_a_key_or_value_that_the_protocol_cannot_carry(lint: Lint, name: str) -> None:
    step, expected = UNSENDABLE[name]
    (problem,) = lint(step)
    assert problem.startswith("s.yaml:4:5: ")
    assert expected in problem


def test_a_variable_that_the_protocol_cannot_carry(lint: Lint) -> None:
    head = HEAD.replace("steps:", 'vars: {w: "1\\n2"}\nsteps:')
    (problem,) = lint('put: {at: leader, key: k, value: "{w}"}', head=head)
    assert "contains a line end" in problem


def test_what_a_value_may_have_in_it(lint: Lint) -> None:
    assert lint('put: {at: leader, key: k, value: "a b  c"}', 'get: {at: leader, key: "ä"}') == []
    quoted = PROGRAM.replace('put: "SET {key} {value}"', "put: 'SET {key.json} {value.json}'")
    quoted = quoted.replace('get: "FETCH {key}"', "get: 'FETCH {key.json}'")
    assert lint('put: {at: leader, key: "a b", value: "x\\ny"}', program=quoted) == []


# --- a mistake in one part hides none in another ----------------------------------------------


def test_a_mistake_in_the_file_does_not_hide_those_on_the_cluster(lint: Lint) -> None:
    head = HEAD.replace("steps:", "titel: x\nneeds: [restrat]\nsteps:")
    problems = lint(
        "gett: {at: leader, key: k}",
        "get: {at: e, key: k}",
        "get: {at: f, kye: k}",
        f"fault: {{kill: g, do: [{{get: {{at: h}}}}, {{{GET}}}]}}",
        head=head,
    )
    found = [line.partition(": ")[2] for line in problems]
    assert len(found) == 10
    for part in ("titel", "restrat", "gett", "`e`", "`f`", "kye", "`g`", "`h`", "`key` is missing"):
        assert any(part in line for line in found), part


def test_a_mistake_in_the_matrix_does_not_hide_those_in_the_steps(lint: Lint) -> None:
    head = HEAD.replace("steps:", "matrix: {n: [1, 1], m: [x]}\nsteps:")
    problems = lint("get: {at: nobody, key: '{n}'}", "load: {start: x, clients: {m}}", head=head)
    for part in ("has the value 1 twice", "no node `nobody`", "needs quotes"):
        assert any(part in line for line in problems), part


def test_a_mistake_in_the_cluster_does_not_hide_those_in_the_scenario(lint: Lint) -> None:
    problems = lint("get: {at: nobody, key: k}", cluster=CLUSTER.replace("links:", "lnks:"))
    assert any("cluster.yaml:3:1" in line for line in problems)
    assert any("no node `nobody`" in line for line in problems)


def test_a_mistake_in_the_program_does_not_hide_those_in_the_scenario(lint: Lint) -> None:
    problems = lint("get: {at: nobody, key: k}", program=PROGRAM.replace("FETCH {key}", "FETCH"))
    assert any("shelf.yaml:3:" in line for line in problems)
    assert any("no node `nobody`" in line for line in problems)


def test_a_mistake_on_the_command_line_does_not_hide_those_in_files(
    lint: Lint, tmp_path: Path
) -> None:
    lint("get: {at: nobody, key: k}")
    arguments = argparse.Namespace(
        cell=["n=1"], option=["speed"], program=None, cluster=None, time_limits="calibrated"
    )
    with pytest.raises(FileProblems) as caught:
        load_cases([Path("s.yaml"), Path("t.yaml")], arguments)
    found = [str(problem) for problem in caught.value.problems]
    for part in ("-o speed: expected NAME=VALUE", "--cell n=1", "no node `nobody`", "t.yaml"):
        assert any(part in line for line in found), part


def test_a_program_that_is_not_on_this_machine_is_a_mistake_of_the_run(lint: Lint) -> None:
    (problem,) = lint(GET, program=PROGRAM.replace('"true"', "no-such-server"))
    assert problem.startswith("shelf.yaml:2:9: start: there is no program")


def test_all_of_a_large_file_is_read_in_time_that_grows_with_it(lint: Lint) -> None:
    """No part of lint looks at all steps for each step."""
    steps = [f"put: {{at: b, key: k{number}, value: v, expect: refused}}" for number in range(3000)]
    (problem,) = lint(*steps, "get: {at: nobody, key: k}")
    assert problem.startswith("s.yaml:3004:5: get: there is no node")


def test_a_cluster_has_at_most_so_many_nodes(lint: Lint) -> None:
    nodes = "".join(f"  f{number}: {{role: follower}}\n" for number in range(3000))
    (problem,) = lint(GET, cluster=CLUSTER + nodes)
    assert "nodes: expected at most 99 here, found 3004" in problem


def test_words_of_elections_need_a_program_that_elects_and_names_its_leader(lint: Lint) -> None:
    assert lint("kill: candidate") == [
        "s.yaml:4:5: kill: target `candidate` matches no node: no program here elects "
        "(capability `elects`)"
    ]
    assert lint("wait: {at: majority, until: leader_known}") == [
        "s.yaml:4:5: wait: the status of program shelf names no leader (`leader` of `status`)"
    ]
    nodes = CLUSTER.replace("{role: leader}", "{}").replace("{role: follower}", "{}")
    program = PROGRAM.replace("[roles, restart]", "[elects]").replace(
        'delete: "DROP {key}"}', "status: STAT}"
    )
    steps = ("wait: {at: majority, until: leader_known}", "kill: old leader", "kill: candidate")
    assert lint(*steps, cluster=nodes, program=program) == []
