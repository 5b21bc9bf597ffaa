"""What `kvsim lint` says of a node.yaml: whatever a run would find only when nodes are up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.config.cluster_loader import load_cluster
from kvsim.config.program_loader import load_program
from kvsim.errors import FileProblems, Problem
from kvsim.runner.registry import REGISTRY

# `true` is on every machine.
GOOD = """\
program: shelf
start: ["true", "--port={port}"]
requests: {put: "SET {key} {value}", get: "FETCH {key}", delete: "DROP {key}"}
replies:
  put: {ok: "^DONE$"}
  get: {value: "^HAS (?P<value>.*)$", not_found: "^NONE$"}
  any: {read_only: "^NO, ask (?P<leader_port>[0-9]+)$"}
capabilities: [roles, restart]
guarantees: {writes: acked_by_leader, leader_reads: linearizable}
"""

Lint = Callable[..., list[str]]


@pytest.fixture
def lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lint:
    """Load the file with these changes; what is wrong with it, one line each."""
    monkeypatch.chdir(tmp_path)

    def run(*changes: tuple[str, str], more: str = "") -> list[str]:
        text = GOOD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "node.yaml").write_text(text + more)
        problems: list[Problem] = []
        load_program("./node.yaml", tmp_path, problems, REGISTRY)
        return [str(problem) for problem in problems]

    return run


def test_the_good_file_has_no_mistakes(lint: Lint) -> None:
    assert lint() == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("FETCH {key}", "FETCH", "node.yaml:3:43: requests.get: {key} is missing"),
        ("SET {key} {value}", "SET {key}", "requests.put: {value} is missing"),
        ("DROP {key}", "DROP all", "requests.delete: {key} is missing"),
        ("FETCH {key}", "FETCH {key} {value}", "requests.get: {value} has no value in a get"),
        ("SET {key} {value}", "SET {key.url} {value.json} {expected}", "{expected} has no value"),
        (
            "(?P<value>.*)",
            "(?P<valeu>.*)",
            "no rule uses a group `valeu`; did you mean `value`?",
        ),
        ("leader_port>", "leader_prot>", "did you mean `leader_port`?"),
        (
            "writes: acked_by_leader",
            "writes: acked_by_laeder",
            "node.yaml:9:22: guarantees.writes: expected a known word",
        ),
        (
            "leader_reads:",
            "leader_raeds:",
            "did you mean `leader_reads`?",
        ),
        ("[roles, restart]", "[roles, restrat]", "did you mean `restart`?"),
        ('"^DONE$"', '"^(.*)*$"', 'node.yaml:5:13: replies.put.ok: "^(.*)*$" repeats'),
        ('"^DONE$"', '"^((?:D+))*E$"', "may never end: `.+` matches the same"),
    ],
)
def test_a_mistake_has_its_place(lint: Lint, old: str, new: str, expected: str) -> None:
    (problem,) = lint((old, new))
    assert expected in problem


def test_a_capability_of_its_own_and_a_group_for_the_pattern_itself_are_allowed(lint: Lint) -> None:
    quoted = """'^HAS (?P<quote>")(?P<value>.*)(?P=quote)$'"""
    assert lint(("[roles, restart]", "[roles, sharded_by_colour]")) == []
    assert lint(('"^HAS (?P<value>.*)$"', quoted)) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("ready: {command: [no-such-prober]}", "ready.command: there is no program"),
        ("ready: {any: [{command: [no-such-prober]}]}", "ready.command: there is no program"),
        ("init: [[no-such-initdb, -D, x]]", "init: there is no program"),
        ("init: [{run: [./no/such/file]}]", "init: there is no file"),
        ("after_start: [[no-such-join]]", "after_start: there is no program"),
        ("stop: {command: [no-such-stop]}", "stop.command: there is no program"),
        ("stop: {steps: [{command: [no-such-stop]}]}", "stop.command: there is no program"),
        ("cwd: /no/such/folder", "cwd: there is no folder"),
        ("init: [['{program_dir}/node.yaml']]", "is not executable"),
    ],
)
def test_what_this_machine_lacks_is_named(lint: Lint, more: str, expected: str) -> None:
    (problem,) = lint(more=more + "\n")
    assert problem.startswith("node.yaml:10:")
    assert expected in problem


def test_a_client_program_that_does_not_exist_is_named(lint: Lint) -> None:
    changes = (
        ('put: "SET', 'put: "./no-such-client SET'),
        ('get: "FETCH', 'get: "no-such-client FETCH'),
        ('delete: "DROP', 'delete: "true DROP'),
    )
    put, get = lint(*changes, more="speak: command\n")
    assert put.startswith("node.yaml:3:17: requests.put: there is no file")
    assert get.startswith("node.yaml:3:60: requests.get: there is no program")


def test_of_a_program_that_is_not_installed_nothing_else_is_expected(lint: Lint) -> None:
    """A description of Redis is no mistake on a machine without Redis."""
    assert lint(('"true"', "no-such-server"), more="init: [[no-such-initdb]]\n") == []


@pytest.mark.parametrize(
    "more",
    [
        'options: {conf: "../x.conf"}\nfiles: {"{conf}": "a"}',
        'options: {conf: "/etc/x.conf"}\nfiles: {"{conf}": "a"}',
        'options: {up: ".."}\nfiles: {"a/{up}/{up}/b": "a"}',
        'options: {pid: "/elsewhere/pid"}\nstop: {pid_file: "{pid}"}',
    ],
)
def test_a_template_that_leads_out_of_the_data_directory_is_refused(lint: Lint, more: str) -> None:
    (problem,) = lint(more=more + "\n")
    assert "is outside the data directory of the node" in problem


def test_paths_below_the_data_directory_are_allowed(lint: Lint) -> None:
    files = '{"{conf}": "a", "{data_dir}/b": "b", "x/../{name}.conf": "c"}'
    assert (
        lint(more=f'options: {{conf: "etc/a.conf"}}\nfiles: {files}\n'.replace("x/../", "x/")) == []
    )


def test_a_key_that_replaces_one_of_like_is_blamed_in_its_own_file(
    lint: Lint, tmp_path: Path
) -> None:
    lint()
    (tmp_path / "node.yaml").rename(tmp_path / "base.yaml")
    (tmp_path / "mine.yaml").write_text(
        'program: mine\nlike: ./base.yaml\nrequests: {put: "P {key} {value}"}\n'
    )
    problems: list[Problem] = []
    load_program("./mine.yaml", tmp_path, problems, REGISTRY)
    assert problems
    for problem in problems:
        assert (problem.file, problem.line, problem.column) == ("mine.yaml", 3, 1)
        assert "base.yaml:" in problem.message


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("yes", 'expected an address of this machine, such as 127.0.0.1, found "yes"'),
        ("db.invalid", "expected an address of this machine"),
        ("8.8.8.8", '"8.8.8.8" is no address of this machine'),
        ("256.0.0.1", "expected an address of this machine"),
        ("224.0.0.1", "expected an address of this machine"),
    ],
)
def test_a_host_is_an_address_of_this_machine(
    lint: Lint, tmp_path: Path, host: str, expected: str
) -> None:
    lint()
    cluster = f"cluster: c\nhost: {host}\nprogram: ./node.yaml\nnodes: {{n1: {{role: leader}}}}\n"
    (tmp_path / "cluster.yaml").write_text(cluster)
    with pytest.raises(FileProblems) as caught:
        load_cluster(tmp_path / "cluster.yaml", REGISTRY)
    (problem,) = caught.value.problems
    assert str(problem).startswith("cluster.yaml:2:7: host: ")
    assert expected in problem.message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.5", "0.0.0.0"])
def test_loopback_addresses_are_addresses_of_this_machine(
    lint: Lint, tmp_path: Path, host: str
) -> None:
    lint()
    cluster = f"cluster: c\nhost: {host}\nprogram: ./node.yaml\nnodes: {{n1: {{role: leader}}}}\n"
    (tmp_path / "cluster.yaml").write_text(cluster)
    assert load_cluster(tmp_path / "cluster.yaml", REGISTRY).host == host
