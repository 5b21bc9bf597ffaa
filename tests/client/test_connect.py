"""Make a client: for each protocol, and for a class of the user.

A mistake in node.yaml is reported before a byte is sent.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.client import protocols
from kvsim.client.codec import HandshakeStep
from kvsim.client.connect import connect, describe_protocol, language_of, protocol_names
from kvsim.client.exchange import Request
from kvsim.client.protocols.lines import LinesCodec
from kvsim.client.settings import BadSetting
from kvsim.client.stream import StreamClient
from kvsim.client.templates import UnknownVerb, Unsendable
from kvsim.config.program import ReplyRule
from kvsim.errors import UsageError
from kvsim.history.outcome import OutcomeKind, Reason
from tests.client.programs import client, program
from tests.client.servers import answering, serving

ROOT = Path(__file__).parents[2]
LONG_S = 20.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"conection": "persistent"}, 'unknown key "conection"; did you mean `connection`'),
        ({"connection": "sometimes"}, "expected a known word"),
        ({"reply_max_bytes": "many"}, "a number of bytes"),
        ({"line_end": "cr"}, "expected a known word"),
        ({"until": "("}, "regular expression"),
        ({"until": {"get": "("}}, "regular expression"),
        ({"counted": "LEN"}, r"\(\?P<bytes>"),
        ({"handshake": "AUTH"}, "list of"),
        ({"handshake": [{"send": "AUTH", "expect": "("}]}, "regular expression"),
    ],
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(BadSetting, match=message):
        client(1, program(settings=settings))


@pytest.mark.parametrize(
    "kind",
    ["line", "", "lines ", "nowhere.at.all:Client", "kvsim.errors:Nothing", "kvsim.errors:Exit"],
)
def test_an_unknown_protocol_is_a_usage_error(kind):
    with pytest.raises(UsageError, match="speak: "):
        client(1, program(kind))


def test_rules_are_checked_when_the_client_is_made():
    with pytest.raises(UsageError, match="replies: put: `ok`"):
        client(1, program(replies={"put": (ReplyRule("ok", reply="("),)}))
    with pytest.raises(UsageError, match="no condition"):
        client(1, program(replies={"any": (ReplyRule("refused"),)}))


def test_a_client_class_of_the_user(tmp_path):
    (tmp_path / "my_store_client.py").write_text(
        "class Mine:\n"
        "    def __init__(self, program, host, port, names): self.port = port\n"
        "    def ask(self, request, timeout_s): return (self.port, request.verb)\n"
        "    def close(self): return b''\n"
    )
    before = list(sys.path)
    to = client(9001, program("my_store_client:Mine", folder=tmp_path))
    assert to.ask(Request("get"), 1.0) == (9001, "get")
    assert sys.path == before
    del sys.modules["my_store_client"]


@pytest.mark.parametrize("kind", ["lines", "frames", "resp", "http"])
def test_an_unknown_verb_is_named_beside_the_known_ones(kind):
    described = program(kind, requests={"get": "GET /{key}"})
    with pytest.raises(UnknownVerb, match="program store describes no request `put`; it has get"):
        client(1, described).ask(Request("put", {"key": "k"}), LONG_S)


@pytest.mark.parametrize("kind", ["lines", "frames", "http"])
def test_a_request_of_the_wrong_type_is_named(kind):
    with pytest.raises(BadSetting, match="request `get`"):
        client(1, program(kind, requests={"get": ["GET", "{key}"]}))


def test_a_value_with_a_line_end_is_not_sent_and_not_a_refusal():
    with serving(answering(lambda _: b"ERR read-only\n")) as port:
        to = client(port, program())
        with pytest.raises(Unsendable, match=r"its value contains a line end.*\{value.bytes\}"):
            to.ask(Request("put", {"key": "k", "value": "a\nb"}), LONG_S)
        to.close()


def test_a_payload_is_sent_unchanged():
    with serving(answering(lambda line: b"ERR unknown " + line)) as port:
        to = client(port, program())
        answer = to.ask(Request("raw", payload=b"\x00nonsense\n"), LONG_S)
        to.close()
    assert (answer.outcome.kind, answer.outcome.reason) == (OutcomeKind.REFUSED, Reason.OTHER)
    assert answer.exchange.sent == b"\x00nonsense\n"


def test_every_connection_begins_with_a_handshake_that_must_succeed():
    def behave(connection):
        with connection.makefile("rb") as lines:
            good = next(lines) == b"AUTH s3cret\n"
            connection.sendall(b"+OK\n" if good else b"-ERR\n")
            for _ in lines:
                connection.sendall(b"OK\n")

    with serving(behave) as port:
        for word, kind in (("s3cret", OutcomeKind.OK), ("wrong", OutcomeKind.REFUSED)):
            settings = {
                "handshake": [{"send": f"AUTH {word}", "expect": r"^\+OK"}],
                "connection": "per_request",
            }
            to = client(port, program(settings=settings))
            outcome = to.ask(Request("put", {"key": "k", "value": "v"}), LONG_S).outcome
            assert outcome.kind is kind
    assert outcome.reason is Reason.UNREACHABLE
    assert "AUTH wrong" in outcome.detail


def test_a_store_with_crlf_prompts_and_counted_values():
    def behave(connection):
        connection.sendall(b"memstore 1.0\r\nready> ")
        with connection.makefile("rb") as lines:
            for line in lines:
                size = int(line.split()[-1])
                value = lines.read(size + 2)
                connection.sendall(b"VALUE %d\r\n%b\r\nready> " % (size, value[:-2]))

    settings = {"line_end": "crlf", "prompt": "ready> ", "counted": r"^VALUE (?P<bytes>\d+)$"}
    requests = {"put": "set {key} {value.bytes}\r\n{value}"}
    with serving(behave) as port:
        to = client(
            port,
            program(
                settings=settings,
                requests=requests,
                replies={"put": (ReplyRule("value", reply="^VALUE"),)},
            ),
        )
        for value in ("plain", "a\r\nready> b", ""):
            answer = to.ask(Request("put", {"key": "k", "value": value}), LONG_S)
            assert (answer.outcome.value, answer.exchange.unsolicited) == (value, b"")
        assert to.close() == b""


def test_frames_and_resp_with_a_server():
    def frames(connection):
        head = connection.recv(2, 256)
        body = connection.recv(int.from_bytes(head, "little"), 256)
        connection.sendall((len(body) + 3).to_bytes(2, "little") + b"OK:" + body)

    def resp(connection):
        data = connection.recv(65536)
        connection.sendall(
            b"+OK\r\n"
            if data == b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$1\r\nv\r\n"
            else b"-ERR what\r\n"
        )

    described = program(
        "frames",
        {"size": "2", "byte_order": "little"},
        {"put": "{0x01}{key.u8}{key}"},
        {"put": (ReplyRule("ok", reply="^OK:\x01\x03a b$"),)},
    )
    with serving(frames) as port:
        to = client(port, described)
        assert to.ask(Request("put", {"key": "a b"}), LONG_S).outcome.kind is OutcomeKind.OK
        to.close()
    for request in ("SET {key} {value}", ["SET", "{key}", "{value}"]):
        with serving(resp) as port:
            to = client(
                port,
                program("resp", {}, {"put": request}, {"put": (ReplyRule("ok", reply=r"^\+OK$"),)}),
            )
            assert (
                to.ask(Request("put", {"key": "a b", "value": "v"}), LONG_S).outcome.kind
                is OutcomeKind.OK
            )
            to.close()


def test_handshakes_are_compiled_with_the_nodes_names():
    to = client(9001, program(settings={"handshake": [{"send": "HELLO {port}"}]}))
    assert isinstance(to, StreamClient)
    assert isinstance(to._codec, LinesCodec)
    assert to._codec.handshake == (HandshakeStep(b"HELLO 9001\n", ""),)


def test_settings_are_described_for_every_protocol():
    for kind in protocol_names():
        for name, setting in language_of(kind).settings.items():
            assert setting.description, name
        assert 5 < len(describe_protocol(kind)) <= 60
    assert language_of("my.own:Client") is None


def test_a_new_file_is_a_new_protocol(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        '"""A protocol of this test."""\n'
        "LANGUAGE = 'its language'\n"
        "def connect(program, host, port, names): return (program.speak.kind, port)\n"
    )
    monkeypatch.setattr(protocols, "__path__", [*protocols.__path__, str(tmp_path)])
    protocol_names.cache_clear()
    try:
        assert "mine" in protocol_names()
        assert describe_protocol("mine") == "A protocol of this test"
        assert language_of("mine") == "its language"
        assert connect(program("mine"), "127.0.0.1", 9001, names={}) == ("mine", 9001)
    finally:
        monkeypatch.undo()
        protocol_names.cache_clear()
        sys.modules.pop("kvsim.client.protocols.mine", None)


def test_a_client_of_lines_imports_no_other_protocol():
    others = {"json", "http", "email", "subprocess", "asyncio"}
    script = (
        "import sys; from tests.client.programs import program, client; client(1, program());"
        f"print(*sorted({others} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
