"""The store's own command-line client, one command per request.

A request is an argument list, `[./build/kv_client, "--port={port}", put, "{key}", "{value}"]`. Or
it is a text, which is cut like a command line of a shell before its fields are filled in, so that a
value with spaces stays one argument (no shell is started). Or it is `{argv, stdin}`. A program with
a slash in its name is found beside node.yaml, else in the current directory; any other
program on PATH. A further word that is a file beside node.yaml is found there.

The outcome rules read standard output without its last line end, the exit status (negative: the
signal that ended the command) and stderr. In an exchange, `sent` is the command line, ready to
paste into a shell, and then, on its own lines, what was written to standard input.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from kvsim.client.codec import REPLY_MAX_BYTES
from kvsim.client.exchange import Exchange, Request, Response
from kvsim.client.outcomes import classify, rules_of
from kvsim.client.settings import (
    ProtocolSetting,
    SettingValues,
    language,
    read_plain,
    read_settings,
    table,
)
from kvsim.client.subprocess_io import CommandResult, run
from kvsim.client.templates import (
    Template,
    UnknownVerb,
    Unsendable,
    compile_template,
    request_in,
)
from kvsim.config.command_words import find_word
from kvsim.config.program import Program
from kvsim.config.schema import WRONG, ByNodeKind, Field, ListOf, MapOf, Record, Text, Validation
from kvsim.config.template import NODE_SCOPE
from kvsim.config.yaml_nodes import Scalar
from kvsim.errors import UsageError

CWD = ProtocolSetting(
    "cwd",
    "the directory the command runs in; relative to node.yaml's",
    Text("a folder", template=NODE_SCOPE, empty=False),
    ".",
    "that of node.yaml",
)
ENV: ProtocolSetting[Mapping[str, str]] = ProtocolSetting(
    "env",
    "variables added to kvsim's own environment: name → text",
    MapOf(Text(template=NODE_SCOPE)),
    {},
)


class CommandRequest(Struct, frozen=True):
    """One verb's command as node.yaml describes it."""

    argv: tuple[str, ...]
    stdin: str


class CommandLine(Text):
    """A command line of a shell, cut into words before its fields are filled in."""

    expected = "a command line"

    def __init__(self) -> None:
        super().__init__(self.expected, wire=True)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        try:
            words = shlex.split(node.text)
        except ValueError as error:
            validation.report(node, f"{node.describe()} is no command line: {error}")
            return WRONG
        return tuple(words) or validation.report_expected(node, "a command")


ARGUMENTS = ListOf(Text("one argument", wire=True), length_min=1)
COMMAND = ByNodeKind(
    "a command (a text, or a list of arguments)", text=CommandLine(), items=ARGUMENTS
)


def _without_stdin(argv: Iterable[str]) -> CommandRequest:
    return CommandRequest(tuple(argv), "")


class CommandForms(ByNodeKind):
    """A command, or a mapping with what is written to its standard input."""

    def build(self, value: Any) -> CommandRequest:
        built = super().build(value)
        return built if isinstance(built, CommandRequest) else _without_stdin(built)


REQUEST = CommandForms(
    "a command, or a mapping (argv, stdin)",
    text=CommandLine(),
    items=ARGUMENTS,
    mapping=Record(
        "request",
        {
            "argv": Field(COMMAND, "the command", required=True),
            "stdin": Field(Text(wire=True), "what it gets on standard input", default=""),
        },
        result=CommandRequest,
    ),
)
LANGUAGE = language(table(REPLY_MAX_BYTES, CWD, ENV), REQUEST)


class CommandTemplate(Struct, frozen=True):
    """The command of a verb, compiled."""

    argv: tuple[Template, ...]
    stdin: Template


class CommandClient:
    """An exchange.Client that starts a process for each request. Nothing is kept between them."""

    def __init__(self, program: Program, names: Mapping[str, str], settings: SettingValues) -> None:
        self._program = program
        self._rules = rules_of(program)
        self._cwd = program.folder / _fill(settings[CWD], names)
        self._limit = settings[REPLY_MAX_BYTES]
        added = {name: _fill(value, names) for name, value in settings[ENV].items()}
        self._env = {**os.environ, **added}
        self._templates = {
            verb: self._compile(verb, raw, names) for verb, raw in program.requests.items()
        }

    def ask(self, request: Request, timeout_s: float) -> Response:
        """Run the verb's command for at most `timeout_s`.

        After a time-out it is killed, and whether it did its work is unknown.
        """
        template = self._templates.get(request.verb)
        if template is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        argv = [argument.fill(request.fields) for argument in template.argv]
        if any(b"\0" in argument for argument in argv):
            problem = "a NUL byte cannot be passed as an argument of a command"
            raise Unsendable(f"cannot send {request.verb}: {problem}")
        stdin = (
            request.payload if request.payload is not None else template.stdin.fill(request.fields)
        )
        invoked_ns = time.monotonic_ns()
        # When the command itself sends its request cannot be observed.
        if request.when_sent:
            request.when_sent()
        deadline = time.monotonic() + timeout_s
        result = run(argv, stdin, self._env, self._cwd, deadline, self._limit)
        exchange = _exchange(request.verb, argv, stdin, result, invoked_ns)
        return Response(exchange, *classify(self._rules(request.verb), exchange))

    def close(self) -> bytes:
        """There is nothing to close."""
        return b""

    def _compile(self, verb: str, raw: object, names: Mapping[str, str]) -> CommandTemplate:
        prefix = request_in(self._program, verb)
        request: CommandRequest = read_plain(REQUEST, raw, prefix)
        folder, verbs = self._program.folder, self._program.requests
        first, *rest = request.argv
        path = _find(_fill(first, names), folder, prefix)
        words = [
            word if "{" in word else find_word(word, folder, self._cwd, verbs) for word in rest
        ]
        return CommandTemplate(
            tuple(compile_template(word, names) for word in (path, *words)),
            compile_template(request.stdin, names),
        )


def _find(command: str, folder: Path, prefix: str) -> str:
    """The command to start. Raises UsageError when it does not exist or cannot be executed."""
    if "/" not in command:
        if shutil.which(command) is None:
            raise UsageError(f"{prefix}: there is no command `{command}` on PATH")
        return command
    tried = [folder / command, Path(command)]
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        searched = " and ".join(str(path.absolute()) for path in tried)
        raise UsageError(f"{prefix}: there is no {command}; searched: {searched}")
    if not os.access(found, os.X_OK):
        raise UsageError(f"{prefix}: {found} is not executable; chmod +x it")
    return str(found.absolute())


def _exchange(
    verb: str, argv: list[bytes], stdin: bytes, result: CommandResult, invoked_ns: int
) -> Exchange:
    line = os.fsencode(shlex.join(map(os.fsdecode, argv)))
    stdout = bytes(result.stdout)
    return Exchange(
        verb=verb,
        sent=line + b"\n" + stdin if stdin else line,
        received=stdout,
        invoked_ns=invoked_ns,
        completed_ns=time.monotonic_ns(),
        failure=result.failure,
        problem=result.problem,
        status=result.status,
        stderr=bytes(result.stderr),
        reply=reply_in(stdout),
    )


def reply_in(stdout: bytes) -> bytes:
    """The reply in what a command printed: all of it, without its last line end."""
    return stdout.removesuffix(b"\n").removesuffix(b"\r") if stdout.endswith(b"\n") else stdout


def _fill(template: str, names: Mapping[str, str]) -> str:
    return os.fsdecode(compile_template(template, names).fill({}))


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> CommandClient:
    """A client that runs commands. Raises BadSetting or UsageError for mistakes in node.yaml.

    The templates of the commands may name `host` and `port`.
    """
    settings = read_settings(LANGUAGE, program.speak.settings)
    return CommandClient(program, {"host": host, "port": str(port), **names}, settings)
