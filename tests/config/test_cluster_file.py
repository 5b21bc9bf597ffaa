"""cluster.yaml and its programs: read together, and every mistake of both reported at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.config.cluster import Lag
from kvsim.config.cluster_loader import load_cluster
from kvsim.config.program import Role
from kvsim.config.template import render
from kvsim.network.addresses import NodeAddress, names_for
from kvsim.runner.registry import REGISTRY


@pytest.fixture
def problems_in(folder: Path, problems_of: Callable[..., list[str]]) -> Callable[..., list[str]]:
    def call(text: str, **kwargs: object) -> list[str]:
        (folder / "cluster.yaml").write_text(text)
        return problems_of(load_cluster, "cluster.yaml", REGISTRY, **kwargs)

    return call


def test_a_cluster_of_three(folder: Path) -> None:
    cluster = load_cluster("cluster.yaml", REGISTRY)
    assert [(node.name, node.id, node.role, node.port) for node in cluster.nodes] == [
        ("n1", 1, Role.LEADER, 9001),
        ("n2", 2, Role.FOLLOWER, 9002),
        ("n3", 3, Role.FOLLOWER, 9003),
    ]
    assert (cluster.path.parent, cluster.host, cluster.lag) == (
        folder.resolve(),
        "127.0.0.1",
        Lag(),
    )
    assert cluster.node("n2").options == {"fsync": "never"}


def test_a_cluster_with_two_programs_and_options(folder: Path) -> None:
    (folder / "cluster.yaml").write_text(
        """\
cluster: mixed
program: toy
host: 127.0.0.2
options: {fsync: always}
lag: {follower: must, within: 1s}
nodes:
  n1: {role: leader, args: ["--x={port}"], env: {A: "{leader.addr}"}}
  n2: {role: follower, options: {fsync: interval}}
  n3: {role: follower, program: {like: toy, program: mine, start: [./mine]}}
"""
    )
    cluster = load_cluster("cluster.yaml", REGISTRY)
    n1, n2, n3 = cluster.nodes
    assert (n1.args, n1.env, n1.options) == (
        ("--x={port}",),
        {"A": "{leader.addr}"},
        {"fsync": "always"},
    )
    assert n2.options == {"fsync": "interval"}
    assert (n3.program.name, n3.program.start[Role.FOLLOWER]) == (
        "mine",
        ("./mine", "--leader={leader.addr}"),
    )
    assert cluster.lag == Lag("must", 1.0)


def test_arguments_override_the_file(folder: Path) -> None:
    (folder / "nodes" / "other").mkdir()
    (folder / "nodes" / "other" / "node.yaml").write_text(
        "program: other\nstart: [x]\noptions: {fsync: a, b: c}\n"
    )
    cluster = load_cluster("cluster.yaml", REGISTRY, program="other", options={"fsync": "z"})
    assert {node.program.name for node in cluster.nodes} == {"other"}
    assert cluster.nodes[0].options == {"fsync": "z", "b": "c"}


@pytest.mark.parametrize(
    ("own", "capabilities", "asked", "of_another"),
    [
        ("program: toy", "[]", "must", "may"),
        ("program: toy", "[replicates]", "must", "must"),
        ("program: toy", "[]", "never", "never"),
        ("program: toy", "[replicates]", "never", "may"),
        # It was written for any program.
        ("title: three", "[]", "must", "must"),
    ],
)
def test_the_lag_of_the_files_program_is_not_asked_of_one_that_says_otherwise(
    folder: Path, own: str, capabilities: str, asked: str, of_another: str
) -> None:
    (folder / "other.yaml").write_text(
        f"program: other\nstart: [x]\ncapabilities: {capabilities}\n"
    )
    (folder / "cluster.yaml").write_text(
        f"cluster: c\n{own}\nlag: {{follower: {asked}, within: 3s}}\n"
        "nodes: {n1: {role: leader}}\n"
    )
    cluster = load_cluster("cluster.yaml", REGISTRY, program="./other.yaml")
    assert cluster.lag == Lag(of_another, 3.0)


def test_an_option_with_listed_values_has_one_of_them(
    folder: Path, problems_of: Callable[..., list[str]]
) -> None:
    (folder / "one.yaml").write_text(
        "program: one\nstart: [x]\noptions: {fsync: [never, always]}\n"
    )
    (folder / "two.yaml").write_text(
        "cluster: c\nprogram: ./one.yaml\noptions: {fsync: alway}\n"
        "nodes: {n1: {role: leader, options: {fsync: nevr}}}\n"
    )
    assert problems_of(load_cluster, "two.yaml", REGISTRY, options={"fsync": "x"}) == [
        '--option: `fsync` of program one cannot be "x"; it is one of never, always',
        'two.yaml:3:11: options: `fsync` of program one cannot be "alway"; '
        "it is one of never, always; did you mean `always`?",
        'two.yaml:4:38: nodes.n1: options: `fsync` of program one cannot be "nevr"; '
        "it is one of never, always; did you mean `never`?",
    ]


def test_a_program_argument_is_searched_for_from_here_then_from_the_cluster(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert (
        load_cluster(folder / "cluster.yaml", REGISTRY, program="toy").nodes[0].program.folder
        == folder / "nodes" / "toy"
    )
    (elsewhere / "toy.yaml").write_text("program: mine\nstart: [x]\n")
    assert (
        load_cluster(folder / "cluster.yaml", REGISTRY, program="./toy.yaml").nodes[0].program.name
        == "mine"
    )


def test_ports_and_options_that_another_program_does_not_have_are_ignored(folder: Path) -> None:
    text = (
        "cluster: c\nprogram: {like: toy, ports: peer}\noptions: {fsync: a}\n"
        "nodes: {n1: {role: leader, ports: {peer: 7}}}\n"
    )
    (folder / "cluster.yaml").write_text(text)
    (folder / "bare.yaml").write_text("program: bare\nstart: [x]\n")
    node = load_cluster("cluster.yaml", REGISTRY, program="./bare.yaml").nodes[0]
    assert (node.options, node.ports) == ({}, {})
    assert load_cluster("cluster.yaml", REGISTRY).nodes[0].ports == {"peer": 7}


def test_a_program_argument_may_replace_a_missing_program(folder: Path) -> None:
    (folder / "cluster.yaml").write_text("cluster: c\nnodes: {n1: {role: leader}}\n")
    assert load_cluster("cluster.yaml", REGISTRY, program="toy").nodes[0].program.name == "toy"


def test_programs_that_elect_need_no_leader(folder: Path) -> None:
    (folder / "cluster.yaml").write_text(
        "cluster: c\nprogram: {like: toy, start_follower: [], capabilities: [elects]}\nnodes: {n1: "
        "{}, n2: {}}\n"
    )
    assert [node.role for node in load_cluster("cluster.yaml", REGISTRY).nodes] == [
        Role.FOLLOWER,
        Role.FOLLOWER,
    ]


def test_programs_that_elect_have_no_leader_to_name_at_start(
    folder: Path, problems_of: Callable[..., list[str]]
) -> None:
    text = (
        "cluster: c\n"
        "program: {program: p, start: ['{leader.addr}'], capabilities: [elects]}\n"
        "nodes: {n1: {}}\n"
    )
    (folder / "cluster.yaml").write_text(text)
    assert (
        "{leader.addr} is no known name here"
        in problems_of(load_cluster, "cluster.yaml", REGISTRY)[0]
    )
    (folder / "cluster.yaml").write_text(text.replace("n1: {}", "n1: {role: leader}"))
    assert load_cluster("cluster.yaml", REGISTRY).nodes[0].role is Role.LEADER


HEAD = "cluster: c\nprogram: toy\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cluster: c\nprogram: toy", ["1:1: `nodes` is missing: the nodes: name → role, port, …"]),
        (
            HEAD + "nodes: {}",
            ["3:8: nodes: expected at least 1 in this mapping, found an empty mapping"],
        ),
        (
            HEAD + "nodes:\n  n1: {role: leader}\n  n1: {role: follower}",
            ['5:3: key "n1" is repeated (first at line 4)'],
        ),
        (
            HEAD + "nodes: {n1: {role: leadr}}",
            ['3:20: nodes.n1.role: expected a known word, found "leadr"; did you mean `leader`?'],
        ),
        (
            HEAD + "nodes: {n1: {role: leader, prot: 1}}",
            ['3:28: nodes.n1: unknown key "prot"; did you mean `port`?'],
        ),
        (
            HEAD + "nodes: {n1: {role: leader, port: 0}}",
            ['3:34: nodes.n1.port: expected a port from 1 to 65535, found "0"'],
        ),
        (
            HEAD + "nodes: {n1: {role: leader, port: 012}}",
            ['3:34: nodes.n1.port: expected a port from 1 to 65535, found "012"'],
        ),
        (
            HEAD + "nodes: {n1: {role: leader, port: 9}, n2: {role: follower, port: 9}}",
            ["3:65: nodes.n2.port: port 9 is used already, by nodes.n1.port"],
        ),
        (
            HEAD + "nodes: {n1: {role: leader}, n2: {role: leader}}",
            ["3:40: nodes.n2: a second leader, beside n1; roles of this program are fixed"],
        ),
        (
            HEAD + "nodes: {n1: {role: follower}}",
            [
                "3:8: nodes: none of them is the leader, and their program does not elect one "
                "(capability `elects`)"
            ],
        ),
        (HEAD + "nodes: {n1: {}}", ["3:13: nodes.n1: `role` is missing: leader or follower"]),
        (
            HEAD + "nodes: {N1: {role: leader}}",
            ['3:9: nodes: expected a node name (small letters, digits, - and _), found "N1"'],
        ),
        (
            HEAD + "nodes: {leader: {role: leader}}",
            ["3:9: a node cannot be called `leader`: that is a word for a target"],
        ),
        (
            HEAD + "nodes: {n1: {role: leader, options: {fsnc: a}}}\noptions: {fsyn: b}",
            [
                "3:38: nodes.n1: options: no program here has an option `fsnc`; "
                "did you mean `fsync`?",
                "4:11: options: no program here has an option `fsyn`; did you mean `fsync`?",
            ],
        ),
        (
            HEAD + "nodes: {n1: {role: leader, ports: {peer: 7}}}",
            ["3:35: nodes.n1.ports: program toy has no port `peer`"],
        ),
        (
            HEAD + 'nodes: {n1: {role: leader, args: ["{prot}"]}}',
            [
                "3:35: nodes.n1: {prot} is no known name here; did you mean `port`? "
                "(literal braces: {{prot}})"
            ],
        ),
        (
            "cluster: c\nnodes: {n1: {role: leader}}",
            ["1:1: `program` is missing: what the nodes run"],
        ),
        (
            "cluster: c\nprogram: tyo\nnodes: {n1: {role: leader}}",
            [
                '2:10: no node.yaml for program "tyo": searched nodes/ in . and above, and '
                "kvsim's own programs; did you mean `toy`?"
            ],
        ),
        (
            "cluster: c\nprogram: {program: x}\nnodes: {n1: {role: leader, port: no}}",
            [
                "2:10: `start` is missing: the command that starts a node; an argument may hold "
                "spaces",
                '3:34: nodes.n1.port: expected a port from 1 to 65535, found "no"',
            ],
        ),
        (
            "cluster: c\nprogram: [toy]\nnodes: {n1: {role: leader}}",
            ["2:10: program: expected a program: a name in nodes/"],
        ),
    ],
)
def test_mistakes_in_the_file(
    problems_in: Callable[..., list[str]], text: str, expected: list[str]
) -> None:
    found = problems_in(text)
    starts = [f"cluster.yaml:{message}" for message in expected]
    assert [line[: len(start)] for line, start in zip(found, starts, strict=True)] == starts


def test_mistakes_of_the_program_are_reported_once_with_its_file(
    problems_in: Callable[..., list[str]], folder: Path
) -> None:
    (folder / "nodes" / "toy" / "node.yaml").write_text("program: toy\nstart: [x]\nredy: {}\n")
    found = problems_in(HEAD + "nodes: {n1: {role: leadr}, n2: {role: follower}}")
    assert found[1:] == ['nodes/toy/node.yaml:3:1: unknown key "redy"; did you mean `ready`?']
    assert len(found) == 2


def test_mistakes_in_arguments(problems_in: Callable[..., list[str]]) -> None:
    text = HEAD + "nodes: {n1: {role: leader}}"
    assert problems_in(text, options={"fsnc": "x"}) == [
        "--option: no program here has an option `fsnc`; did you mean `fsync`?"
    ]
    assert problems_in(text, program="tyo")[0].startswith(
        '--program: no node.yaml for program "tyo"'
    )


def test_a_cluster_file_that_does_not_exist(
    folder: Path, problems_of: Callable[..., list[str]]
) -> None:
    assert problems_of(load_cluster, "no.yaml", REGISTRY) == [
        "no.yaml: cannot be read: No such file or directory"
    ]


def test_names_for_templates(folder: Path) -> None:
    (folder / "cluster.yaml").write_text(
        "cluster: c\nprogram: {like: toy, ports: [peer], role_words: {leader: primary}}\n"
        "nodes: {n1: {role: leader}, n2: {role: follower}, n3: {role: follower}}\n"
    )
    cluster = load_cluster("cluster.yaml", REGISTRY)
    addresses = [
        NodeAddress(node, "h", 10 + node.id, f"/d/{node.name}", {"peer": 20 + node.id})
        for node in cluster.nodes
    ]
    names = names_for(cluster, addresses[1], addresses)
    text = (
        "{name} {id} {role} {addr} {ports.peer} {leader.addr} {leader.role} "
        "{nodes.n3.ports.peer} {fsync} {cluster} {data_dir}"
    )
    assert render(text, names) == "n2 2 follower h:12 22 h:11 primary 23 never c /d/n2"
    assert (
        render("{all:{name}={ports.peer}|,} {others:{id}|-} {followers:{name}|+}", names)
        == "n1=21,n2=22,n3=23 1-3 n2+n3"
    )


ELECTS = """\
cluster: electing
program:
  {program: raft, start: [raft, "--name={name}"], capabilities: [elects],
  requests: {status: STATUS}, replies: {status: {ok: .}}, status: {role: $.role}}
nodes:
  n1: {role: leader}
  n2: {role: follower}
  n3: {}
"""


def test_roles_are_not_fixed_for_a_program_that_elects(
    problems_in: Callable[..., list[str]],
) -> None:
    wrong = [
        f"cluster.yaml:{line}:14: nodes.{name}: program raft elects its leader (capability "
        "`elects`), and its start does not depend on a role: leave `role` out"
        for line, name in ((6, "n1"), (7, "n2"))
    ]
    assert problems_in(ELECTS) == wrong


@pytest.mark.usefixtures("folder")
def test_a_program_that_elects_may_be_started_by_roles() -> None:
    Path("cluster.yaml").write_text(ELECTS.replace("{name}", "{role}"))
    assert load_cluster("cluster.yaml", REGISTRY).node("n1").role is Role.LEADER
