"""The examples of docs/unusual-stores.md, read as files and asked over real sockets."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from kvsim.client.connect import connect
from kvsim.client.exchange import Client, Request, Response
from kvsim.client.status import ask_status
from kvsim.config.program import Program, Role
from kvsim.config.program_loader import load_program
from kvsim.errors import Problem
from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.runner.registry import REGISTRY
from tests.client.servers import Behaviour, answering, lines_of, serving

PAGE = Path(__file__).parents[2] / "docs/unusual-stores.md"
BLOCKS = re.findall(r"```yaml\n(program: (\S+)\n.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
EXAMPLES = {name: text for text, name in BLOCKS}
LONG_S = 20.0


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Program]:
    """An example of the page as a program; its commands exist."""

    def read(name: str) -> Program:
        (tmp_path / "node.yaml").write_text(EXAMPLES[name])
        for command in ("store", "is-leader"):
            (tmp_path / command).write_text("#!/bin/sh\n")
            (tmp_path / command).chmod(0o755)
        problems: list[Problem] = []
        found = load_program(str(tmp_path / "node.yaml"), tmp_path, problems, REGISTRY)
        assert problems == [] and found is not None
        return found

    return read


@pytest.mark.parametrize("name", [name for name in EXAMPLES if not name.startswith("memcached")])
def test_every_example_is_without_mistakes(program, name):
    program(name)


def ask(to: Client, verb: str, value: str = "v") -> Outcome:
    response: Response = to.ask(Request(verb, {"key": "k", "value": value}), LONG_S)
    return response.outcome


def serve(stack: ExitStack, behaviour: Behaviour) -> int:
    return stack.enter_context(serving(behaviour))


def memcached_binary(connection) -> None:
    """A store in memcached's binary protocol; before each reply comes one to another request."""
    data: dict[bytes, bytes] = {}
    with connection.makefile("rb") as stream:
        while head := stream.read(24):
            _, opcode, key_size, extras_size, _, _, total, number, _ = struct.unpack(
                ">BBHBBHIIQ", head
            )
            body = stream.read(total)
            key = body[extras_size : extras_size + key_size]
            status = int(opcode != 1 and key not in data)
            extras, value = (b"\0\0\0\0", data.get(key, b"")) if opcode == 0 else (b"", b"")
            if opcode == 1:
                data[key] = body[extras_size + key_size :]
            elif opcode == 4:
                data.pop(key, None)
            for of in (number - 1, number):
                size = len(extras) + len(value)
                reply = struct.pack(
                    ">BBHBBHIIQ", 0x81, opcode, 0, len(extras), 0, status, size, of, 9
                )
                connection.sendall(reply + extras + value)


def test_frames_with_a_header_are_matched_by_request_number(program, monkeypatch, tmp_path):
    (tmp_path / "memcached").write_text("#!/bin/sh\n")
    (tmp_path / "memcached").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with ExitStack() as stack:
        port = serve(stack, memcached_binary)
        to = connect(program("memcached-binary"), "127.0.0.1", port, names={})
        assert ask(to, "put", "a value").kind is OutcomeKind.OK
        read = to.ask(Request("get", {"key": "k"}), LONG_S)
        assert (read.outcome.value, len(read.exchange.unsolicited)) == ("a value", 35)
        assert ask(to, "delete").done
        assert ask(to, "get").found is False
        assert not ask(to, "delete").done
        to.close()


def strict(data: dict[bytes, bytes]) -> Behaviour:
    def reply(line: bytes) -> bytes:
        verb, *words = line.split()
        if verb == b"READ":
            return b"VALUE %b\n" % data[words[0]] if words[0] in data else b"NONE\n"
        if verb in (b"CREATE", b"MODIFY"):
            if (verb == b"CREATE") is (words[0] in data):
                return b"EXISTS\n"
            data[words[0]] = words[1]
            return b"DONE\n"
        if verb == b"REMOVE":
            data["removed"] = words[0] in data
            data.pop(words[0], None)
            return b"QUEUED\n"
        return b"OK\n" if verb == b"BEGIN" else b"REMOVED %d\n" % data.pop("removed")

    return answering(reply)


def test_a_request_made_of_several(program):
    with ExitStack() as stack:
        port = serve(stack, strict({}))
        to = connect(program("several-requests"), "127.0.0.1", port, names={})
        for value in ("v", "w"):
            assert ask(to, "put", value).kind is OutcomeKind.OK
            assert ask(to, "get").value == value
        assert [ask(to, "delete").done, ask(to, "delete").done] == [True, False]
        to.close()


def http_status(status: int) -> Behaviour:
    def behave(connection) -> None:
        for line in lines_of(connection):
            if line == b"\r\n":
                connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    return behave


def greeting(line: bytes) -> Behaviour:
    return lambda connection: connection.sendall(line)


@pytest.mark.parametrize(
    ("name", "port_name", "behaviour", "role"),
    [
        ("role-over-http", "admin", http_status(200), Role.LEADER),
        ("role-over-http", "admin", http_status(503), Role.FOLLOWER),
        ("role-in-a-greeting", "info", greeting(b"role main\n"), Role.LEADER),
        ("role-in-a-greeting", "info", greeting(b"role copy of h:1\n"), Role.FOLLOWER),
        ("role-in-a-greeting", "info", greeting(b"role copy of h:2\n"), None),
    ],
)
def test_a_role_in_another_protocol(program, name, port_name, behaviour, role):
    described = program(name)
    with ExitStack() as stack:
        extra = serve(stack, behaviour)
        port = serve(stack, answering(lambda _: b"VALUE v\n"))
        names = {f"ports.{port_name}": str(extra), "leader.addr": "h:1"}
        to = connect(described, "127.0.0.1", port, names=names)
        for _ in range(2):
            status = ask_status(to, described, LONG_S, names)
            assert status is not None and status.role is role
        assert ask(to, "get").value == "v"
        to.close()
