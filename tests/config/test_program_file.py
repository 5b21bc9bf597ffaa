"""node.yaml: everything a program may say, read into a Program; and what is wrong in one, all at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.config.program import Probe, Program, Ready, Role, Rule, Stop, StopStep
from kvsim.config.program_file import ANYWHERE, Around, load_program
from kvsim.errors import FileProblems, Problem

SMALL = "program: toy\nstart: [./toy]\n"


def load(path: Path | str, around: Around = ANYWHERE, base: Path | None = None) -> Program:
    problems: list[Problem] = []
    program = load_program(str(path), base or Path.cwd(), problems, around)
    if problems:
        raise FileProblems(problems)
    assert program is not None
    return program


@pytest.fixture
def write(folder: Path) -> Callable[[str], Path]:
    def call(text: str) -> Path:
        (folder / "p.yaml").write_text(text)
        return folder / "p.yaml"

    return call


@pytest.fixture
def read(write: Callable[[str], Path]) -> Callable[[str], Program]:
    """A small program with this text added to it."""
    return lambda text: load(write(SMALL + text))


@pytest.fixture
def wrong(write: Callable[[str], Path], complaints: Callable[..., list[str]]) -> Callable[[str], list[str]]:
    return lambda text: complaints(load, write(text))


def test_the_least_a_program_says(read: Callable[[str], Program]) -> None:
    program = read("")
    assert program.start == {Role.LEADER: ("./toy",), Role.FOLLOWER: ("./toy",)}
    assert program.ready == Ready(all_of=(Probe("port", {"state": "owned"}),))
    assert program.stop == Stop()
    assert (program.speak.kind, program.status, program.order) == ("lines", None, "leader_first")


@pytest.mark.parametrize(
    "reference", ["toy", "nodes/toy", "nodes/toy/node.yaml", "./nodes/toy", "nodes/toy/"]
)
def test_a_program_is_found_by_name_folder_and_file(folder: Path, reference: str) -> None:
    assert load(reference).folder == (folder / "nodes" / "toy").resolve()


def test_a_name_is_looked_for_upward(folder: Path) -> None:
    below = folder / "scenarios" / "deep"
    below.mkdir(parents=True)
    assert load("toy", base=below).name == "toy"


def test_a_name_may_be_a_yaml_file_in_nodes(folder: Path) -> None:
    (folder / "nodes" / "broken").mkdir()
    (folder / "nodes" / "broken" / "late.yaml").write_text("program: late\nlike: toy\nstart: [./late]\n")
    program = load("broken/late")
    assert (program.name, program.start[Role.LEADER]) == ("late", ("./late",))
    assert program.replies["any"][0] == Rule("ok", "^OK$")


def test_what_is_taken_from_another_program_stays_in_its_folder(folder: Path) -> None:
    (folder / "nodes" / "toy" / "node.yaml").write_text(
        "program: toy\nstart: ['{program_dir}/toy']\ncwd: '{program_dir}'\n"
    )
    (folder / "mine").mkdir()
    (folder / "mine" / "node.yaml").write_text("program: mine\nlike: toy\ncwd: '{program_dir}'\n")
    program = load("./mine")
    assert program.start[Role.LEADER] == (f"{folder.resolve()}/nodes/toy/toy",)
    assert (program.cwd, program.folder) == ("{program_dir}", (folder / "mine").resolve())


def test_a_relative_start_is_seen_from_where_it_was_written(folder: Path) -> None:
    (folder / "mine.yaml").write_text("program: mine\nlike: toy\n")
    assert load("./mine.yaml").start[Role.LEADER][0] == f"{folder.resolve()}/nodes/toy/./toy"


def test_file_names_are_templates_too(
    read: Callable[[str], Program], wrong: Callable[[str], list[str]]
) -> None:
    assert read('files: {"{name}.conf": x}').files == {"{name}.conf": "x"}
    assert "{nme} is no name" in wrong(SMALL + 'files: {"{nme}.conf": x}')[0]


def test_like_leads_nowhere_twice(folder: Path, complaints: Callable[..., list[str]]) -> None:
    (folder / "nodes" / "toy" / "node.yaml").write_text("program: toy\nlike: toy\n")
    assert "leads round in a circle" in complaints(load, "toy")[0]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (
            "tyo",
            '--program: no node.yaml for program "tyo": looked in nodes/ beside and above .; did you mean `toy`?',
        ),
        (
            "./tyo",
            '--program: no node.yaml for program "./tyo": looked at that path from .; did you mean `toy`?',
        ),
        ("/", '--program: no node.yaml for program "/"'),
        ("~nobody-here/x", "--program: no node.yaml"),
    ],
)
def test_a_program_that_is_not_there(
    folder: Path, complaints: Callable[..., list[str]], reference: str, said: str
) -> None:
    assert complaints(load, reference)[0].startswith(said)


def test_start_is_per_role(read: Callable[[str], Program], write: Callable[[str], Path]) -> None:
    text = (
        "program: p\nstart: {leader: [a, 'b c'], follower: [d]}\nstart_leader: [x]\nstart_follower: [y, z]\n"
    )
    assert load(write(text)).start == {Role.LEADER: ("a", "b c", "x"), Role.FOLLOWER: ("d", "y", "z")}


def test_replies_keep_their_order_and_forms(read: Callable[[str], Program]) -> None:
    program = read(
        """
requests: {put: x, get: y}
replies:
  put:
    read_only: [one, {reply: two, status: 403, headers: {X-Why: ro}, stderr: bad}]
    ok: {status: [200, 201]}
  any: {refused: "^ERR"}
  unknown: "^MAYBE"
"""
    )
    assert program.replies["put"] == (
        Rule("read_only", "one"),
        Rule("read_only", "two", frozenset({403}), {"X-Why": "ro"}, "bad"),
        Rule("ok", None, frozenset({200, 201})),
    )
    assert program.replies["any"] == (Rule("refused", "^ERR"), Rule("unknown", "^MAYBE"))


def test_ready_probes(read: Callable[[str], Program]) -> None:
    program = read(
        """
ports: [peer]
requests: {ping: PING, info: INFO}
ready:
  log: "on {port}"
  port: {name: peer}
  ping: true
  request: {send: info, reply: "role:"}
  any: [{http: /health}, {command: [check, "{port}"]}]
  within: 500ms
cluster_ready: {request: info}
log: {mode: pty, extra: "*.log"}
"""
    )
    assert program.ready == Ready(
        (
            Probe("log", {"pattern": "on {port}"}),
            Probe("port", {"state": "owned", "name": "peer"}),
            Probe("ping"),
            Probe("request", {"request": "info", "reply": "role:"}),
        ),
        (
            Probe("http", {"url": "/health", "status": (200,)}),
            Probe("command", {"run": ("check", "{port}"), "exit": (0,)}),
        ),
        0.5,
    )
    assert program.cluster_ready == Ready((Probe("request", {"request": "info"}),), (), 20.0)
    assert (program.log.mode, program.log.extra) == ("pty", ("*.log",))


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("{signal: SIGINT, grace: 1s}", Stop((StopStep("INT", (), 1.0),))),
        (
            "{command: [halt], exit: [0, 3], pid_file: x.pid}",
            Stop((StopStep(None, ("halt",), 3.0),), frozenset({0, 3}), "x.pid"),
        ),
        (
            "{steps: [{signal: TERM, wait: 2s}, {command: [halt]}]}",
            Stop((StopStep("TERM", (), 2.0), StopStep(None, ("halt",), 3.0))),
        ),
    ],
)
def test_ways_to_stop(read: Callable[[str], Program], text: str, stop: Stop) -> None:
    assert read(f"stop: {text}").stop == stop


def test_roles_and_state_are_asked_for(read: Callable[[str], Program]) -> None:
    program = read(
        """
role_words: {leader: primary, follower: replica}
requests: {info: INFO}
status: {request: info, role: "role:(\\\\w+)", index: $.a.0.b, words: {Slave: follower}}
"""
    )
    assert program.status.request == "info"
    assert program.status.fields == {"role": r"role:(\w+)", "index": "$.a.0.b"}
    assert program.status.words["slave"] is program.status.words["replica"] is Role.FOLLOWER
    assert program.status.words["primary"] is Role.LEADER


def test_a_status_request_alone_is_asked_as_the_reference_store_answers(
    read: Callable[[str], Program],
) -> None:
    assert read("requests: {status: STATUS}").status.fields["role"] == "$.role"


def test_commands_files_and_the_rest(read: Callable[[str], Program]) -> None:
    program = read(
        """
init: [[initdb, "{data_dir}"], {run: [backup], roles: follower, needs: leader, within: 1m}]
files: {conf/a.conf: "port {port}\\n"}
env: {MODE: "{mode}"}
options: {mode: safe}
env_inherit: yes
user: nobody
cwd: "{data_dir}"
order: together
role_log: {leader: LEADER}
speak: {kind: http, timeout: 3}
promises: {writes: acked_by_leader}
"""
    )
    assert program.init[1].roles == {Role.FOLLOWER}
    assert (program.init[1].needs, program.init[1].within_s) == ("leader", 60.0)
    assert program.files == {"conf/a.conf": "port {port}\n"}
    assert (program.env_inherit, program.user, program.order) == (True, "nobody", "together")
    assert program.speak.settings == {"timeout": "3"}
    assert program.role_log.patterns == {Role.LEADER: "LEADER"}


MISTAKES = """\
program: toy
strat: [x]
start: [x, "{prot}", "{ports.peer}"]
user:
env: {1A: x}
files: {../x: y, /etc/passwd: z}
ready: {log: "(", ping: true, port: ownd, any: [{log: a, ping: true}], within: 5}
stop: {signal: TERMINATE, steps: [{signal: TERM, command: [x]}]}
speak: linse
requests: {put: "PUT {kye} {value.jsn}"}
replies: {put: {ok: "[[a]]", okay: x}, gte: {ok: x}}
status: {role: role, request: status}
options: {port: 1}
order: leader-first
start_follower: ["{nodes.n9.port}"]
"""


def test_all_mistakes_at_once_each_with_its_place(wrong: Callable[[str], list[str]]) -> None:
    assert wrong(MISTAKES) == [
        'p.yaml:2:1: unknown key "strat"; did you mean `start`?',
        "p.yaml:3:12: {prot} is no name that can stand here; did you mean `port`? (literal braces: {{prot}})",
        "p.yaml:3:22: {ports.peer} is no name that can stand here; known: addr, cluster, data_dir, host, "
        "id, leader.addr, leader.data_dir, leader.host, leader.id, leader.name, leader.port, "
        "leader.role, name, port, program_dir, python, … (literal braces: {{ports.peer}})",
        "p.yaml:4:6: user: expected a user name, found nothing",
        'p.yaml:5:7: env: expected the name of a variable, found "1A"',
        'p.yaml:6:9: files: expected a file name below the data directory, found "../x"',
        'p.yaml:6:18: files: expected a file name below the data directory, found "/etc/passwd"',
        'p.yaml:7:14: ready.log: "(" is not a regular expression: missing ), unterminated subpattern at '
        "position 0",
        "p.yaml:7:25: ping: true needs a `ping` in `requests`",
        'p.yaml:7:37: ready.port: expected a known word, found "ownd"; did you mean `owned`?',
        "p.yaml:7:49: ready.any: expected exactly one of log, port, ping, request, http, command; found "
        "log and ping",
        "p.yaml:7:64: ping: true needs a `ping` in `requests`",
        'p.yaml:7:80: ready.within: expected a time with its unit, such as 500ms, 2s or 1m, found "5"',
        "p.yaml:8:7: stop: write only one of signal and steps (`steps` can hold all of it)",
        "p.yaml:8:16: stop.signal: expected a signal: TERM, INT, QUIT, HUP, KILL, ABRT, USR1, USR2, "
        'STOP, CONT, SEGV, found "TERMINATE"',
        "p.yaml:8:35: stop.steps: expected exactly one of signal, command; found signal and command",
        "p.yaml:9:8: speak: expected a protocol (lines, frames, resp, http, command) or "
        'package.module:Class, found "linse"; did you mean `lines`?',
        "p.yaml:10:17: {kye} is no name that can stand here; did you mean `key`? (literal braces: {{kye}})",
        "p.yaml:10:17: {value.jsn} is no name that can stand here; did you mean `value.json`? (literal "
        "braces: {{value.jsn}})",
        'p.yaml:11:21: replies.put.ok: "[[a]]" is not a regular expression: Possible nested set at '
        "position 1",
        'p.yaml:11:30: replies.put: unknown key "okay"; did you mean `ok`?',
        'p.yaml:11:40: replies for "gte", which is not in `requests`; known: put',
        "p.yaml:12:16: status.role: expected a regular expression with exactly one ( ) group, found 0",
        "p.yaml:12:31: status asks with `status`, which is not in `requests`",
        "p.yaml:13:10: an option cannot be called `port`: templates use that name already",
        'p.yaml:14:8: order: expected a known word, found "leader-first"; did you mean `leader_first`?',
    ]


def test_nodes_that_templates_name_must_exist(
    write: Callable[[str], Path], complaints: Callable[..., list[str]]
) -> None:
    path = write(SMALL + 'env: {A: "{nodes.n1.port} {nodes.n9.port}"}')
    assert ["{nodes.n9.port} is no name" in line for line in complaints(load, path, Around({"n1"}))] == [True]


class Whole:
    def read(self, raw: object) -> int:
        return int(str(raw))


def test_settings_of_a_protocol_where_the_caller_knows_them(
    write: Callable[[str], Path], complaints: Callable[..., list[str]]
) -> None:
    around = Around(settings_of={"lines": {"size": Whole()}}.get)
    path = write(SMALL + "speak: {kind: lines, size: big, szie: 3}")
    first, second = complaints(load, path, around)
    assert first.startswith("p.yaml:3:28: speak.size: invalid literal for int()")
    assert second == "p.yaml:3:33: speak.szie: lines has no such setting; did you mean `size`?"


def test_the_reference_store_is_read() -> None:
    root = Path(__file__).parents[2]
    assert load("kvstore", base=root).capabilities >= {"roles", "redirect"}
