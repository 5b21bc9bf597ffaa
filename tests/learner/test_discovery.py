"""What `kvsim init` learns, without processes: rules, refusals, command lines, the written file."""

from __future__ import annotations

import importlib.util
import itertools
import re
import string
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kvsim.cli.loading import load_program
from kvsim.client.exchange import Exchange
from kvsim.client.outcomes import classify
from kvsim.doctor.discovery import protocol
from kvsim.doctor.discovery.candidates import client_candidates
from kvsim.doctor.discovery.command import (
    anchored,
    as_written,
    follower_forms,
    leader_forms,
    rejected_options,
    rejects_role_word,
    role_pairs,
    subcommands,
    with_role_words,
)
from kvsim.doctor.discovery.draft import Draft, StartForm
from kvsim.doctor.discovery.generate import node_yaml
from kvsim.doctor.discovery.measurements import _ready_line, as_pattern
from kvsim.doctor.discovery.protocol import Attempts, LearnedProtocol, ProtocolSearch
from kvsim.doctor.discovery.refusal import read_refusal
from kvsim.doctor.discovery.reply_rules import Answer, effect_of, learn_rules, misread
from kvsim.doctor.discovery.role_search import RoleFindings, observe_roles
from kvsim.doctor.discovery.sniff import Sniffed
from kvsim.doctor.discovery.vocabulary import Vocabulary, read_vocabulary
from kvsim.errors import Problem
from kvsim.timeouts import PLAIN

HERE = Path(__file__).parent
LEADER_PORT, FOLLOWER_PORT = 9001, 9002


def load_mini_store() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mini_store", HERE / "mini_store.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MINI = load_mini_store()


def exchange(text: str, status: int | None = None, stderr: str = "") -> Exchange:
    data = text.encode()
    return Exchange("", b"", data, 0, 0, status=status, stderr=stderr.encode(), reply=data)


class FakeProbe:
    """Answers as a mini store's leader `n1` and follower `n2` would, over lines of text."""

    timeouts, took_s = PLAIN, 0.1

    def __init__(self, style: dict[str, Any], leader: str = str(LEADER_PORT)) -> None:
        self.stores = {
            "n1": MINI.Store(style),
            "n2": MINI.Store(style, role="follower", leader=leader),
        }

    def ask(
        self, draft: Draft, node: str, verb: str, key: str, value: str = "", *, guess: bool = False
    ) -> Exchange:
        template = draft.requests[verb]
        assert isinstance(template, str)
        return exchange(
            self.stores[node].reply(template.replace("{key}", key).replace("{value}", value))
        )

    def port(self, node: str) -> int:
        return {"n1": LEADER_PORT, "n2": FOLLOWER_PORT}[node]

    def log_lines(self, node: str, count: int) -> list[str]:
        return ["a line"]


def describe(
    monkeypatch: pytest.MonkeyPatch, style: dict[str, Any], leader: str = str(LEADER_PORT)
) -> tuple[LearnedProtocol, RoleFindings]:
    """What is learned of a mini store of this style."""
    monkeypatch.setattr(protocol, "sniff", lambda *_: Sniffed(reply=b"an answer\n"))
    probe: Any = FakeProbe(style, leader)
    search = ProtocolSearch(probe, Vocabulary(), Attempts())
    learned = search.find(Draft("mini", ("./store",)), ())
    assert learned is not None, search.attempts.lines
    return learned, observe_roles(learned, learned.draft, probe)


def read_reply(draft: Draft, verb: str, text: str) -> tuple[str, str | None]:
    outcome, _ = classify((*draft.rules.get(verb, ()), *draft.common), exchange(text))
    return effect_of(outcome), outcome.value


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", MINI.ANSWERS)
def test_every_answer_style_is_read_rightly(monkeypatch, answers):
    _, found = describe(monkeypatch, {"answers": answers})
    draft = found.draft
    assert not draft.remarks
    assert set(draft.requests) == {"put", "get", "delete"}
    store = MINI.Store({"answers": answers})
    assert read_reply(draft, "get", store.reply("GET k-1")) == ("not_found", None)
    assert read_reply(draft, "put", store.reply("PUT k-1 v-1"))[0] == "ok"
    assert read_reply(draft, "get", store.reply("GET k-1")) == ("value", "v-1")
    for value in (
        'say "hi" \\ {x}',
        "\N{FOX FACE} \N{LATIN SMALL LETTER E WITH ACUTE}",
        "a\tb",
        "",
    ):
        store.reply(f"PUT k-2 {value}")
        shown = read_reply(draft, "get", store.reply("GET k-2"))
        assert shown == ("value", value) or not value
    assert read_reply(draft, "delete", store.reply("DELETE k-1"))[0] == "ok"
    assert read_reply(draft, "get", store.reply("GET k-1")) == ("not_found", None)
    for verb in ("put", "get", "delete"):
        refusal = "ERR read-only, leader is on port 7777"
        assert read_reply(draft, verb, refusal)[0] == "read_only"
        assert read_reply(draft, verb, "ERR unknown command")[0] == "unknown"


def test_a_verb_that_the_store_lacks_is_left_out(monkeypatch):
    _, found = describe(monkeypatch, {"answers": "bare_not_found", "without": "delete del"})
    assert set(found.draft.requests) == {"put", "get"}
    assert set(found.draft.rules) == {"put", "get"}
    assert any("no usual delete" in remark for remark in found.draft.remarks)


@pytest.mark.parametrize("without", ["put", "delete", "put delete"])
def test_other_words_for_verbs_are_found(monkeypatch, without):
    _, found = describe(monkeypatch, {"without": without})
    words = {verb: str(request).split()[0] for verb, request in found.draft.requests.items()}
    assert words == {
        "put": "SET" if "put" in without else "PUT",
        "get": "GET",
        "delete": "DEL" if "delete" in without else "DELETE",
    }


WORD = st.text(string.ascii_letters + string.digits + " .:_-\"'(){}[]+*?|", max_size=12)


@given(ok=WORD, head=WORD, tail=WORD, missing=WORD, refusal=WORD)
def test_rules_give_each_answer_its_effect(ok, head, tail, missing, refusal):
    """Whatever a store answers, as long as its answers differ where they mean something else."""
    values = ("value-one", "value-two")
    found = [f"{head}{value}{tail}" for value in values]
    texts = [ok, missing, refusal]
    if len(set(texts)) < 3 or any(a == b or "value-" in a for a in texts for b in found):
        return
    answers = [
        Answer("put", "ok", exchange(ok), "key", "value-one"),
        *(
            Answer("get", "value", exchange(text), "key", value)
            for text, value in zip(found, values, strict=True)
        ),
        Answer("get", "not_found", exchange(missing), "key"),
        Answer("put", "read_only", exchange(refusal), "key", "value-two"),
    ]
    rules = learn_rules(answers)
    for answer in answers:
        assert not misread(rules[answer.verb], rules["any"], [answer]), (answer, rules)


@pytest.mark.parametrize(
    "refusal",
    [
        "ERR read-only, leader is on port 9001",
        "ERR read-only: leader is on port 9001.",
        "err: READ ONLY; leader is on port: 9001",
        "ERR readonly -- leader is on port=9001",
    ],
)
def test_a_refusal_need_not_be_exact_to_the_letter(monkeypatch, refusal):
    _, found = describe(monkeypatch, {})
    for verb in ("put", "get", "delete"):
        assert read_reply(found.draft, verb, refusal)[0] == "read_only"
    (rule,) = found.draft.common
    assert re.search(rule.reply, refusal)["leader_port"] == "9001"


@pytest.mark.parametrize(
    "other",
    ["ERR disk is read-only", "ERR read-only, no leader", "ERR", "OK", "ERR read only 9001"],
)
def test_a_tolerant_refusal_accepts_no_other_words(monkeypatch, other):
    _, found = describe(monkeypatch, {})
    (rule,) = found.draft.common
    assert not re.search(rule.reply, other)


def test_a_refusal_is_exact_where_another_answer_differs_in_punctuation_only():
    answers = [
        Answer("put", "ok", exchange("moved: key"), "key", "value"),
        Answer("get", "value", exchange("value"), "key", "value"),
        Answer("get", "not_found", exchange("moved key!"), "key"),
        Answer("put", "read_only", exchange("MOVED KEY"), "other", "value"),
    ]
    rules = learn_rules(answers)
    for answer in answers:
        assert not misread(rules[answer.verb], rules["any"], [answer]), (answer, rules)


def test_values_in_different_frames_have_one_rule():
    answers = [
        Answer("get", "value", exchange("new: value-one!"), "key", "value-one"),
        Answer("get", "value", exchange("old: value-two"), "key", "value-two"),
        Answer("get", "not_found", exchange("none"), "key"),
    ]
    rules = learn_rules(answers)
    assert not misread(rules["get"], (), answers)


def test_an_exit_status_alone_tells_a_missing_key():
    answers = [
        Answer("put", "ok", exchange("", 0), "key", "value"),
        Answer("get", "value", exchange("value", 0), "key", "value"),
        Answer("get", "not_found", exchange("", 1), "key"),
        Answer("put", "read_only", exchange("", 2, "read-only: leader 9001"), leader="9001"),
    ]
    rules = learn_rules(answers)
    assert not misread(rules["get"], rules["any"], answers[1:3])
    (refusal,) = rules["any"]
    assert refusal.stderr is not None
    assert "leader_port" in refusal.stderr


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "ERR read-only",
        "READONLY You can't write against a read only replica.",
        "error: not the leader",
        "NOT_LEADER",
        "I am a follower",
        "this node is a replica",
        "writes are not allowed here",
        "cannot write",
        "ask the leader",
        "only the primary accepts writes",
        '{"error": "redirect", "to": "n1"}',
        "MOVED 127.0.0.1:9001",
        "ERR 9001",
    ],
)
def test_words_that_refuse_because_of_the_role(text):
    assert read_refusal(text, leader=("9001", "n1")).says_so


@pytest.mark.parametrize(
    "text", ["ERR internal error", "ERR unknown command", "no", "ERR disk full", "ERR 19001", ""]
)
def test_another_error_is_no_refusal_of_a_follower(text):
    assert not read_refusal(text, leader=("9001", "n1")).says_so


def test_a_redirect_by_http_names_its_leader_in_a_header():
    refusal = read_refusal(
        "", leader=("9001",), status=307, headers={"Location": "http://127.0.0.1:9001/kv/a"}
    )
    assert (refusal.says_so, refusal.leader, refusal.true_leader) == (True, "9001", True)


@pytest.mark.parametrize("refusal", ["ERR internal error", "ERR unknown command", "no"])
def test_any_other_answer_is_a_question(monkeypatch, refusal):
    _, found = describe(monkeypatch, {"answers": "bare_not_found", "refusal": refusal})
    assert [rule.outcome for rule in found.draft.common] == ["refused"]
    assert "because the node is a follower?" in found.draft.questions["refused"]
    assert "# Question: a follower answers a put" in node_yaml(found.draft)
    assert not found.refuses


def test_a_leader_that_is_named_wrongly_is_reported(monkeypatch):
    _, found = describe(monkeypatch, {"refusal": "ERR read-only, leader is on port 9999"})
    assert any("names 9999" in remark for remark in found.draft.remarks)
    assert not found.names_leader
    # So that the first scenario compares it.
    assert "redirect" in found.draft.capabilities


def test_roles_are_claimed_only_where_a_follower_differs(monkeypatch):
    _, found = describe(monkeypatch, {"refusal": ""})
    assert not found.differs
    assert "roles" not in found.draft.capabilities


# --- the command line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "start", "follower"),
    [
        (
            "./kv --port 9001 --data-dir ./node1 --role=leader",
            "./kv --port {port} --data-dir {data_dir} --role={role}",
            "",
        ),
        ("./kv -p 9001 -d /tmp/x", "./kv -p {port} -d {data_dir}", ""),
        ("./kv 9002 follower", "./kv {port} {role}", ""),
        (
            "node store.js --port=9002 --role=replica --leader=127.0.0.1:9001",
            "node store.js --port={port} --role={role}",
            "--leader={leader.addr}",
        ),
        ("./kv --listen :9001 --leader 9001", "./kv --listen :{port}", "--leader {leader.port}"),
        ("./kv --listen 0.0.0.0:9001 --id 2", "./kv --listen {addr} --id {id}", ""),
        ("./kv --port {port} --leader=9", "./kv --port {port} --leader=9", ""),
    ],
)
def test_a_command_as_it_was_typed(written, start, follower):
    found = as_written(tuple(written.split()))
    assert found is not None
    command, form = found
    assert " ".join((*command, *form.words)) == start
    assert " ".join(form.follower) == follower


def test_a_command_without_a_port_is_not_complete():
    assert as_written(("./kv", "--verbose")) is None
    assert as_written(("java", "-cp", ".", "Store")) is None


def test_words_that_are_files_are_found_beside_the_description(tmp_path):
    for name in ("store.js", "run.sh", "kv.jar"):
        (tmp_path / name).write_text("")
    (tmp_path / "run.sh").chmod(0o755)
    assert anchored(("node", "store.js"), tmp_path) == ("node", "{program_dir}/store.js")
    assert anchored(("java", "-cp", ".:kv.jar", "Store"), tmp_path) == (
        "java",
        "-cp",
        "{program_dir}:{program_dir}/kv.jar",
        "Store",
    )
    assert anchored(("./run.sh",), tmp_path) == ("./run.sh",)
    # It cannot be executed, so its interpreter runs it.
    assert anchored(("store.js",), tmp_path) == ("node", "{program_dir}/store.js")


@pytest.mark.parametrize("style", list(itertools.product((True, False), repeat=3)))
def test_every_mix_of_forms_is_a_candidate(style):
    """Of the lesson's options, each with `=` or without."""
    vocabulary = Vocabulary("usage: --port N --data-dir DIR --role R --leader L")
    options = (("--port", "{port}"), ("--data-dir", "{data_dir}"), ("--role", "{role}"))
    words = [
        f"{name}={value}" if equals else f"{name} {value}"
        for (name, value), equals in zip(options, style, strict=True)
    ]
    expected = tuple(" ".join(words).split())
    assert expected in [form.words for form in leader_forms(vocabulary)[:8]]


def test_variables_come_first_for_a_program_that_reads_them():
    vocabulary = Vocabulary("port = os.environ['KV_PORT']; role = os.environ['KV_ROLE']")
    first = leader_forms(vocabulary, ignores_options=True)[0]
    assert dict(first.env) == {"KV_PORT": "{port}", "KV_ROLE": "{role}"}


def test_a_follower_is_given_its_leader_as_address_port_and_name():
    vocabulary = Vocabulary("--port --role leader follower --primary")
    form = StartForm(("--port={port}", "--role={role}"))
    tried = [form.follower for form in follower_forms(form, vocabulary)]
    for value in ("{leader.addr}", "{leader.port}", "{leader.name}"):
        assert (f"--primary={value}",) in tried
        assert ("--primary", value) in tried
    assert () in tried


def test_only_the_option_that_is_called_unknown_is_rejected():
    words = ("--port={port}", "--dir", "{data_dir}", "--role={role}")
    assert rejected_options("unknown option --dir", words) == {"--dir"}
    assert rejected_options("unrecognized arguments: --port=9001", words) == {"--port="}
    assert rejected_options("usage: store --port N", words) == set()


# --- the file -----------------------------------------------------------------------------------


def test_a_line_of_the_log_becomes_a_pattern_for_every_start():
    line = "2024-01-01 10:00:00 INFO LEADER listening on 127.0.0.1:9001, data in /tmp/a/data"
    assert as_pattern(line, 9001) == r"INFO \w+ listening on \d+\.\d+\.\d+\.\d+:{port}, data in \S+"


@pytest.mark.parametrize("answers", MINI.ANSWERS)
def test_what_is_written_is_a_description(monkeypatch, tmp_path, answers):
    _, found = describe(monkeypatch, {"answers": answers})
    draft = replace(
        found.draft,
        form=StartForm(("--port={port}",), env=(("ROLE", "{role}"),), role_words=("a", "b")),
        exits=(0, 143),
    )
    path = tmp_path / "node.yaml"
    path.write_text(node_yaml(draft))
    problems: list[Problem] = []
    program = load_program(path, problems)
    assert program is not None, problems
    assert program.replies["get"] == draft.rules["get"]
    assert program.stop.exits == {0, 143}


def test_a_nearest_guess_is_written_too(tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text(node_yaml(Draft("store", ("./store",), StartForm(("-p", "{port}")))))
    problems: list[Problem] = []
    assert load_program(path, problems), problems
    assert "# To do: how a key is set and read" in path.read_text()


def test_words_in_a_machines_code_are_found_inside_others():
    """Compilers put texts beside each other, and texts like `-d` are there by chance."""
    vocabulary = Vocabulary()
    vocabulary.add("TimedOutdata-dirprotocol -d -fDb xleaderfollowery", is_code=True)
    assert vocabulary.options("data_dir")[0] == "--data-dir"
    assert vocabulary.options("data_dir")[-1] == "-d"
    assert not vocabulary.flags
    assert vocabulary.has_name("follower") and not vocabulary.has("follower")
    assert vocabulary.options("role")[0] == "--role"


def test_a_leader_is_given_as_an_option_and_as_a_variable_in_turn():
    """LEADER may be a word of the log only."""
    vocabulary = Vocabulary()
    vocabulary.add("starting as LEADER", is_code=True)
    forms = itertools.islice(follower_forms(StartForm(("--role={role}",)), vocabulary), 2)
    assert [(form.follower, form.env_follower) for form in forms] == [
        (("--leader={leader.addr}",), ()),
        ((), (("LEADER", "{leader.addr}"),)),
    ]


def test_a_variable_alone_makes_a_follower():
    """It is set for followers only: a leader with it would be none."""
    vocabulary = Vocabulary("const leader = process.env.LEADER_URL; require('http')")
    form = StartForm(env=(("PORT", "{port}"),))
    first = next(iter(follower_forms(form, vocabulary)))
    assert (first.env, first.env_follower) == (
        (("PORT", "{port}"),),
        (("LEADER_URL", "http://{leader.addr}"),),
    )
    assert first.names_role


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("--leader-port", "{leader.port}"),
        ("--leader-url http", "http://{leader.addr}"),
        ("--leader-name", "{leader.name}"),
        ("--leader", "{leader.addr}"),
    ],
)
def test_the_name_of_an_option_says_what_it_holds(text, value):
    form = StartForm(("--port={port}",))
    found = next(iter(follower_forms(form, Vocabulary(f"--port follower {text}"))))
    assert found.follower == (f"{text.split()[0]}={value}",)


@pytest.mark.parametrize(
    "output",
    [
        "kv.py: error: argument c: invalid choice: '--port=1' (choose from 'dump', 'serve')",
        "kv.py: error: argument c: invalid choice: '--port=1' (choose from dump, serve)",
        "usage: kv.py [-h] {dump,serve} ...",
        "usage: kv <dump|serve> [options]",
        "A store\n\nUsage: kv [command]\n\nAvailable Commands:\n  dump  all\n  serve  a node\n",
        "Usage: kv <COMMAND>\n\nCommands:\n  dump   all keys\n  serve  a node\n  help   more\n",
        "expected 'dump' or 'serve' subcommands",
    ],
)
def test_a_subcommand_that_starts_a_node_is_read_from_the_output(output):
    assert subcommands(output) == ["serve"]


@pytest.mark.parametrize(
    "output",
    ["cannot start the server", "unknown option --port; run with --help", "node [n1] is down", ""],
)
def test_a_sentence_names_no_subcommand(output):
    assert subcommands(output) == []


def test_a_host_before_an_address_names_no_leader():
    """The program puts its host before what it was given: it wanted the port alone."""
    for text in ("MOVED localhost:127.0.0.1:9001", "leader is http://http://127.0.0.1:9001/"):
        refusal = read_refusal(text, leader=("9001", "n1"))
        assert refusal.says_so and not refusal.true_leader
    assert read_refusal("MOVED localhost:9001", leader=("9001", "n1")).true_leader
    assert read_refusal("not leader:127.0.0.1:9001", leader=("9001", "n1")).true_leader


def test_a_text_has_its_options_all_or_none():
    """One that writes `--port` has no `--role` that is not written."""
    vocabulary = Vocabulary("take --port and --dir; the role is by default")
    forms = leader_forms(vocabulary)
    assert forms[0].words == ("--port={port}", "--dir={data_dir}")


@pytest.mark.parametrize("spell", [str.lower, str.capitalize, str.upper])
def test_role_words_are_spelled_as_in_the_programs_text(spell):
    vocabulary = Vocabulary(f'role in ("{spell("primary")}", "{spell("backup")}")')
    assert role_pairs(vocabulary)[0] == (spell("primary"), spell("backup"))


def test_a_rejected_role_word_is_not_tried_again():
    form = StartForm(("--role={role}",), role_words=("leader", "follower"))
    vocabulary = Vocabulary("Primary Replica")
    found = with_role_words(form, vocabulary, {"leader"})
    assert found is not None and found.role_words == ("Primary", "Replica")
    assert rejects_role_word(found, "error: invalid role 'Primary'")
    assert not rejects_role_word(found, "error: no port")


def test_a_follower_may_be_made_by_a_flag_and_told_its_leader():
    vocabulary = Vocabulary("--port --follower --leader-addr")
    forms = itertools.islice(follower_forms(StartForm(("--port={port}",)), vocabulary), 3)
    assert ("--follower", "--leader-addr={leader.addr}") in [form.follower for form in forms]


def test_a_script_does_not_lend_its_interpreters_words(tmp_path):
    (tmp_path / "store").write_text(f"#!{sys.executable}\nimport this\n")
    assert read_vocabulary(("./store",), tmp_path).flags == {}


def test_a_client_may_be_one_program_for_each_verb():
    there = {"./kvset", "./kvget", "./kvdel"}
    found = next(client_candidates(("./kvset",), Vocabulary(), there.__contains__))
    assert found.put == ("./kvset", "--port={port}", "{key}", "{value}")
    assert found.get == ("./kvget", "--port={port}", "{key}")
    assert ("./kvdel", "--port={port}", "{key}") in found.deletes


def test_a_client_may_take_its_options_behind_the_verb():
    candidates = list(itertools.islice(client_candidates(("./c",), Vocabulary(), bool), 60))
    puts = [candidate.put for candidate in candidates]
    assert ("./c", "put", "{key}", "{value}", "-p", "{port}") in puts
    assert ("./c", "put", "{port}", "{key}", "{value}") in puts


def command_answer(effect: str, status: int, stderr: str, **more: str) -> Answer:
    return Answer("put", effect, exchange("", status, stderr), "k-1", "v-1", **more)


def test_a_port_in_an_address_on_stderr_is_read_whole():
    """No number of the address is taken for the port."""
    text = "ERR read-only, leader is 127.0.0.1:{port}\n"
    learned = command_answer(
        "read_only", 3, text.format(port=26200), leader="26200", host="127.0.0.1"
    )
    rules = learn_rules([command_answer("ok", 0, ""), learned])
    for port in ("9001", "31000"):
        outcome, _ = classify(
            (*rules["put"], *rules["any"]),
            exchange("", 3, text.format(port=port)),
        )
        assert outcome.leader is not None and outcome.leader.endswith(port)


def test_a_client_that_fails_without_a_word_is_not_one_that_says_why():
    """A missing key and a refusal have one exit status, and only the refusal has a text."""
    answers = [
        replace(command_answer("ok", 0, ""), verb="delete"),
        replace(command_answer("not_found", 1, "\n"), verb="delete"),
    ]
    rules = learn_rules(answers)["delete"]
    assert effect_of(classify(rules, exchange("", 1, "\n"))[0]) == "not_found"
    refusal = exchange("", 1, "read-only\n")
    assert effect_of(classify(rules, refusal)[0]) == "unknown"


def test_a_path_of_this_run_is_another_one_in_the_next():
    def refusal(path: str) -> Answer:
        return Answer("put", "refused", exchange(f"no: {path}"), "k-1", "v-1")

    rules = learn_rules([refusal("/tmp/run-1/nodes/n2/data")])["any"]
    assert effect_of(classify(rules, refusal("/srv/x/y/z").exchange)[0]) == "refused"


@pytest.mark.parametrize(
    ("lines", "pattern"),
    [
        (("loading", "up on 9001"), "up on {port}"),
        (("http://127.0.0.1:9001",), r"http://\d+\.\d+\.\d+\.\d+:{port}"),
        (("starting on 9001", "ready on 9001"), "ready on {port}"),
        (("error on 9001", "hello"), ""),
    ],
)
def test_the_line_that_says_that_it_serves(lines, pattern):
    assert _ready_line(lines, 9001) == pattern


def test_a_name_that_fits_several_kinds_is_of_one():
    vocabulary = Vocabulary("STORE_PORT STORE_DIR STORE_ROLE LEADER_PORT --store-port --store-mode")
    assert vocabulary.environment("port") == ["STORE_PORT"]
    assert vocabulary.environment("data_dir") == ["STORE_DIR"]
    assert vocabulary.environment("role") == ["STORE_ROLE"]
    assert "--store-mode" not in vocabulary.options("data_dir")
    assert "--store-port" not in vocabulary.options("data_dir")
