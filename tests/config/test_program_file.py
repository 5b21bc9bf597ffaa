"""node.yaml: every key is read into a Program; all mistakes are reported at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from kvsim.config.program import Probe, Program, Ready, ReplyRule, Role, Stop, StopSequenceStep
from kvsim.config.program_loader import load_program
from kvsim.config.protocol_schema import ProtocolLanguage, no_language
from kvsim.config.registry import Registry
from kvsim.config.schema import Field, Int, Text
from kvsim.errors import FileProblems, Problem
from kvsim.runner.registry import REGISTRY

# The settings and requests of protocols are not checked here.
ANY_SETTING = replace(REGISTRY, language_of=no_language)

SMALL = "program: toy\nstart: [./toy]\n"


def load(
    path: Path | str,
    registry: Registry = ANY_SETTING,
    base: Path | None = None,
    nodes: set[str] | None = None,
) -> Program:
    problems: list[Problem] = []
    program = load_program(str(path), base or Path.cwd(), problems, registry, nodes=nodes)
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
def problems_in(
    write: Callable[[str], Path], problems_of: Callable[..., list[str]]
) -> Callable[[str], list[str]]:
    return lambda text: problems_of(load, write(text))


def test_the_smallest_program(read: Callable[[str], Program]) -> None:
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


def test_a_name_is_searched_for_upward(folder: Path) -> None:
    below = folder / "scenarios" / "deep"
    below.mkdir(parents=True)
    assert load("toy", base=below).name == "toy"


def test_a_name_may_be_a_yaml_file_in_nodes(folder: Path) -> None:
    (folder / "nodes" / "broken").mkdir()
    (folder / "nodes" / "broken" / "late.yaml").write_text(
        "program: late\nlike: toy\nstart: [./late]\n"
    )
    program = load("broken/late")
    assert (program.name, program.start[Role.LEADER]) == ("late", ("./late",))
    assert program.replies["any"][0] == ReplyRule("ok", "^OK$")


def test_the_paths_of_another_program_refer_to_its_folder(folder: Path) -> None:
    (folder / "nodes" / "toy" / "node.yaml").write_text(
        "program: toy\nstart: ['{program_dir}/toy']\ncwd: '{program_dir}'\n"
    )
    (folder / "mine").mkdir()
    (folder / "mine" / "node.yaml").write_text("program: mine\nlike: toy\ncwd: '{program_dir}'\n")
    program = load("./mine")
    assert program.start[Role.LEADER] == (f"{folder.resolve()}/nodes/toy/toy",)
    assert (program.cwd, program.folder) == ("{program_dir}", (folder / "mine").resolve())


def test_a_relative_start_is_relative_to_the_file_it_is_written_in(folder: Path) -> None:
    (folder / "mine.yaml").write_text("program: mine\nlike: toy\n")
    assert load("./mine.yaml").start[Role.LEADER][0] == f"{folder.resolve()}/nodes/toy/./toy"


def test_file_names_are_templates_too(
    read: Callable[[str], Program], problems_in: Callable[[str], list[str]]
) -> None:
    assert read('files: {"{name}.conf": x}').files == {"{name}.conf": "x"}
    assert "{nme} is no known name" in problems_in(SMALL + 'files: {"{nme}.conf": x}')[0]


def test_a_circle_of_likes_is_a_mistake(
    folder: Path, problems_of: Callable[..., list[str]]
) -> None:
    (folder / "nodes" / "toy" / "node.yaml").write_text("program: toy\nlike: toy\n")
    assert "leads in a circle" in problems_of(load, "toy")[0]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (
            "tyo",
            '--program: no node.yaml for program "tyo": searched nodes/ in . and above, and '
            "kvsim's own programs; did you mean `toy`?",
        ),
        (
            "./tyo",
            '--program: no node.yaml for program "./tyo": searched that path from .; did you mean '
            "`toy`?",
        ),
        ("/", '--program: no node.yaml for program "/"'),
        ("~nobody-here/x", "--program: no node.yaml"),
    ],
)
def test_a_program_that_is_not_there(
    folder: Path, problems_of: Callable[..., list[str]], reference: str, expected: str
) -> None:
    assert problems_of(load, reference)[0].startswith(expected)


def test_start_is_per_role(read: Callable[[str], Program], write: Callable[[str], Path]) -> None:
    text = (
        "program: p\nstart: {leader: [a, 'b c'], follower: [d]}\n"
        "start_leader: [x]\nstart_follower: [y, z]\n"
    )
    assert load(write(text)).start == {
        Role.LEADER: ("a", "b c", "x"),
        Role.FOLLOWER: ("d", "y", "z"),
    }


def test_replies_keep_their_order_and_forms(read: Callable[[str], Program]) -> None:
    program = read(
        """
requests: {put: "{key} {value}", get: "{key}"}
replies:
  put:
    read_only: [one, {reply: two, status: 403, headers: {X-Why: ro}, stderr: bad}]
    ok: {status: [200, 201]}
  any: {refused: "^ERR"}
  unknown: "^MAYBE"
"""
    )
    assert program.replies["put"] == (
        ReplyRule("read_only", "one"),
        ReplyRule("read_only", "two", frozenset({403}), {"X-Why": "ro"}, "bad"),
        ReplyRule("ok", None, frozenset({200, 201})),
    )
    assert program.replies["any"] == (ReplyRule("refused", "^ERR"), ReplyRule("unknown", "^MAYBE"))


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
            Probe("http", {"url": "/health", "status": frozenset({200})}),
            Probe("command", {"run": ("check", "{port}"), "exit": frozenset({0})}),
        ),
        0.5,
    )
    assert program.cluster_ready == Ready((Probe("request", {"request": "info"}),), (), 20.0)
    assert (program.log.mode, program.log.extra) == ("pty", ("*.log",))


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("{signal: SIGINT, grace: 1s}", Stop((StopSequenceStep("INT", (), 1.0),))),
        (
            "{command: [halt], exit: [0, 3], pid_file: x.pid}",
            Stop(
                (StopSequenceStep(None, ("halt",), 3.0),),
                frozenset({0, 3}),
                "x.pid",
                own_signal=False,
            ),
        ),
        (
            "{steps: [{signal: TERM, wait: 2s}, {command: [halt]}]}",
            Stop((StopSequenceStep("TERM", (), 2.0), StopSequenceStep(None, ("halt",), 3.0))),
        ),
    ],
)
def test_stop_sequences(read: Callable[[str], Program], text: str, stop: Stop) -> None:
    assert read(f"stop: {text}").stop == stop


def test_the_status_request_and_its_fields(read: Callable[[str], Program]) -> None:
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


def test_a_status_request_without_fields_has_those_of_the_reference_store(
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
guarantees: {writes: acked_by_leader}
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


def test_all_mistakes_at_once_each_with_its_location(
    problems_in: Callable[[str], list[str]],
) -> None:
    assert problems_in(MISTAKES) == [
        'p.yaml:2:1: unknown key "strat"; did you mean `start`?',
        "p.yaml:3:12: {prot} is no known name here; did you mean `port`? (literal braces: "
        "{{prot}})",
        "p.yaml:3:22: {ports.peer} is no known name here; known: addr, cluster, data_dir, host, "
        "id, index0, leader.addr, leader.data_dir, leader.host, leader.id, leader.index0, "
        "leader.name, leader.port, leader.role, name, port, … (literal braces: {{ports.peer}})",
        "p.yaml:4:6: user: expected a user name, found nothing",
        'p.yaml:5:7: env: expected the name of a variable, found "1A"',
        'p.yaml:6:9: files: expected a file name below the data directory, found "../x"',
        'p.yaml:6:18: files: expected a file name below the data directory, found "/etc/passwd"',
        'p.yaml:7:14: ready.log: "(" is not a regular expression: missing ), unterminated '
        "subpattern at position 0",
        "p.yaml:7:25: ping: true needs a `ping` in `requests`",
        'p.yaml:7:37: ready.port: expected a known word, found "ownd"; did you mean `owned`?',
        "p.yaml:7:49: ready.any: expected exactly one of log, port, ping, request, http, command; "
        "found log and ping",
        "p.yaml:7:64: ping: true needs a `ping` in `requests`",
        "p.yaml:7:80: ready.within: expected a time with its unit, such as 500ms, 2s or 1m, found "
        '"5"',
        "p.yaml:8:7: stop: write only one of signal and steps (`steps` can hold every kind)",
        "p.yaml:8:16: stop.signal: expected a signal that ends a process: TERM, INT, QUIT, HUP, "
        'KILL, ABRT, USR1, USR2, SEGV, found "TERMINATE"',
        "p.yaml:8:35: stop.steps: expected exactly one of signal, command; found signal and "
        "command",
        "p.yaml:9:8: speak: expected a protocol (command, frames, http, lines, resp) or "
        'package.module:Class, found "linse"; did you mean `lines`?',
        "p.yaml:10:17: {kye} is no known name here; did you mean `key`? (literal braces: {{kye}})",
        "p.yaml:10:17: {value.jsn} is no known name here; did you mean `value.json`? (literal "
        "braces: {{value.jsn}})",
        'p.yaml:11:21: replies.put.ok: "[[a]]" is not a regular expression: Possible nested set at '
        "position 1",
        'p.yaml:11:30: replies.put: unknown key "okay"; did you mean `ok`?',
        'p.yaml:11:40: replies for "gte", which is not in `requests`; known: put',
        "p.yaml:12:16: status.role: expected a regular expression with exactly one ( ) group, "
        "found 0",
        "p.yaml:12:31: status asks with `status`, which is not in `requests`",
        "p.yaml:13:10: an option cannot be called `port`: templates use that name already",
        'p.yaml:14:8: order: expected a known word, found "leader-first"; did you mean '
        "`leader_first`?",
    ]


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("promises: {writes: acked_by_leader}", "promises", "guarantees"),
        ("requests: {status: S}\nstatus: {epoch: $.epoch}", "epoch", "term"),
    ],
)
def test_a_key_that_was_renamed_names_the_new_key(
    problems_in: Callable[[str], list[str]], text: str, old: str, new: str
) -> None:
    (line,) = problems_in(SMALL + text)
    assert line.endswith(f'unknown key "{old}"; it is called `{new}` now')


def test_nodes_that_templates_name_must_exist(
    write: Callable[[str], Path], problems_of: Callable[..., list[str]]
) -> None:
    path = write(SMALL + 'env: {A: "{nodes.n1.port} {nodes.n9.port}"}')
    assert [
        "{nodes.n9.port} is no known name" in line for line in problems_of(load, path, nodes={"n1"})
    ] == [True]


def test_settings_and_requests_of_a_protocol_by_its_language(
    write: Callable[[str], Path], problems_of: Callable[..., list[str]]
) -> None:
    size = Field(Int(1, 8, "a size"), "the size", default=1)
    lines = ProtocolLanguage({"size": size}, Text("a text"), lambda _: Text("a text"))
    registry = replace(REGISTRY, language_of={"lines": lines}.get)
    path = write(SMALL + "speak: {kind: lines, size: big, szie: 3}\nrequests: {get: [GET]}")
    assert problems_of(load, path, registry) == [
        'p.yaml:3:28: speak.size: expected a size from 1 to 8, found "big"',
        'p.yaml:3:33: speak: unknown key "szie"; did you mean `size`?',
        "p.yaml:4:17: requests.get: expected a text, found a list",
    ]


WRONG_SHAPES = {
    "http": ("{metod: PUT, path: '/{key}'}", 'unknown key "metod"; did you mean `method`?'),
    "lines": ("[GET, k]", "expected a text, found a list"),
    "resp": ("{argv: [GET]}", "expected a list of words"),
    "frames": ("[GET, k]", "found a list"),
    "command": ("{argv: [x, '{key}'], stdni: y}", 'unknown key "stdni"; did you mean `stdin`?'),
}


@pytest.mark.parametrize("kind", WRONG_SHAPES)
def test_a_request_that_its_protocol_cannot_send_is_a_mistake_of_the_file(
    write: Callable[[str], Path], problems_of: Callable[..., list[str]], kind: str
) -> None:
    text, message = WRONG_SHAPES[kind]
    path = write(SMALL + f"speak: {kind}\nrequests: {{get: {text}}}")
    (line,) = problems_of(load, path, REGISTRY)
    assert line.startswith("p.yaml:4:") and ": requests.get: " in line and message in line


WORDS = {
    "replies: {get: {value: '(?P<valeu>.*)'}}": "no rule uses a group `valeu`; did you mean",
    "capabilities: [roles, redirects]": "no capability `redirects`; did you mean `redirect`?",
    "guarantees: {write: acked_by_leader}": 'unknown key "write"; did you mean `writes`?',
    "guarantees: {writes: durable}": 'expected a known word, found "durable"',
    "options: {fsync: []}": "at least 1",
    "keeps: nothing\ncapabilities: [restart]": "contradicts the capability `restart`",
    "keeps: nothing\nguarantees: {writes: durable_at_all}": "contradicts the guarantee",
    "elections: {timeout: 1s}\ncapabilities: [status]": "do not say that it `elects`",
    "elections: {timeout: fast}": '"fast" is no time such as 500ms',
    "elections: {timeout: '{t}ms'}\noptions: {t: [1, x]}": "with t=x is no time such as 500ms",
    "elections: {timeout: 1s, logs: {leader: 'leads'}}": "no group `(?P<term>…)`",
    "elections: {timeout: 1s, logs: {votes: 'x'}}": 'unknown key "votes"; did you mean `vote`?',
    "elections: {logs: {}}": "`timeout` is missing",
    "keeps: everything": 'expected a known word, found "everything"',
}


@pytest.mark.parametrize("text", WORDS)
def test_words_that_other_tables_define_are_known(
    write: Callable[[str], Path], problems_of: Callable[..., list[str]], text: str
) -> None:
    assert any(WORDS[text] in line for line in problems_of(load, write(SMALL + text)))


def test_a_group_may_serve_the_pattern_itself_and_a_capability_may_be_the_authors_own(
    read: Callable[[str], Program],
) -> None:
    program = read("replies: {ok: '(?P<q>[ab])x(?P=q)'}\ncapabilities: [writes_twice]")
    assert program.capabilities == {"writes_twice"}


def test_an_option_may_list_its_values(read: Callable[[str], Program]) -> None:
    program = read("options: {fsync: [interval, always], size: 3}")
    assert program.options == {"fsync": "interval", "size": "3"}
    assert program.option_values == {"fsync": ("interval", "always")}


def test_the_reference_store_is_read() -> None:
    root = Path(__file__).parents[2]
    assert load("kvstore", base=root).capabilities >= {"roles", "redirect"}
