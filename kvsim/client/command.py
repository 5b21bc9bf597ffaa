"""`speak: command`: the store's own command-line client. One command a request; command_run.py runs it.

A request is an argument list, `[./build/kv_client, "--port={port}", put, "{key}", "{value}"]`; or one text,
which is cut like a shell's command line before its fields are filled in, so that a value with spaces stays
one argument (no shell is ever started); or `{argv, stdin}`. A program written with a slash is looked for
beside node.yaml, then in the current directory; any other on PATH.

The rules read standard output without its last line end, the exit status (negative: the signal that ended it)
and stderr. In an exchange `sent` is the command line as one could paste it, then on lines of its own what
went to standard input.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kvsim.client.codec import STREAM_SETTINGS
from kvsim.client.command_run import Finished, run
from kvsim.client.exchange import Answer, Exchange, Request
from kvsim.client.outcomes import classify
from kvsim.client.settings import BadSetting, Setting, mapping_of, read_settings, text
from kvsim.client.templates import Template, UnknownVerb, Unsendable, compile_template
from kvsim.client.verbs import rules_of
from kvsim.config.program import Program
from kvsim.errors import UsageError

SETTINGS: dict[str, Setting] = {
    "reply_max_bytes": STREAM_SETTINGS["reply_max_bytes"],
    "cwd": Setting("the directory the command runs in; relative to node.yaml's", ".", text),
    "env": Setting("variables added to kvsim's own environment: name → text", {}, mapping_of(text)),
}


@dataclass(frozen=True)
class Recipe:
    """One verb's command, compiled."""

    argv: tuple[Template, ...]
    stdin: Template


class CommandClient:
    """A client.Client that starts a process for each request. Holds nothing between requests."""

    def __init__(self, program: Program, names: Mapping[str, str], settings: Mapping[str, object]) -> None:
        self._program = program
        self._rules = rules_of(program)
        self._cwd = program.folder / _filled(settings["cwd"], names)
        self._limit: int = settings["reply_max_bytes"]  # type: ignore[assignment]
        added: Mapping[str, str] = settings["env"]  # type: ignore[assignment]
        self._env = {**os.environ, **{name: _filled(value, names) for name, value in added.items()}}
        self._recipes = {verb: self._compile(verb, raw, names) for verb, raw in program.requests.items()}

    def ask(self, request: Request, timeout_s: float) -> Answer:
        """Run the verb's command at most `timeout_s`; then it is killed, and whether it did its work is
        unknown.
        """
        recipe = self._recipes.get(request.verb)
        if recipe is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        argv = [template.fill(request.fields) for template in recipe.argv]
        if any(b"\0" in argument for argument in argv):
            raise Unsendable(
                f"cannot send {request.verb}: a NUL byte cannot be passed as an argument of a command"
            )
        stdin = request.payload if request.payload is not None else recipe.stdin.fill(request.fields)
        invoked_ns = time.monotonic_ns()
        if request.when_sent:
            request.when_sent()  # nobody can see when the command itself does
        done = run(argv, stdin, self._env, self._cwd, time.monotonic() + timeout_s, self._limit)
        exchange = _exchange(request.verb, argv, stdin, done, invoked_ns)
        return Answer(exchange, *classify(self._rules(request.verb), exchange))

    def close(self) -> bytes:
        """Nothing to close."""
        return b""

    def _compile(self, verb: str, raw: object, names: Mapping[str, str]) -> Recipe:
        where = f"program {self._program.name}: request `{verb}`"
        given = raw if isinstance(raw, Mapping) else {"argv": raw}
        argv = given.get("argv")
        words = _split(argv, where) if isinstance(argv, str) else argv
        if not isinstance(words, (list, tuple)) or not words or set(given) - {"argv", "stdin"}:
            raise BadSetting(f"{where}: `speak: command` wants a command, or {{argv, stdin}}; got {raw!r}")
        first, *rest = (compile_template(str(word), names) for word in words)
        found = _find(os.fsdecode(first.fill({})), self._program.folder, where)
        return Recipe(
            (compile_template(found, {}), *rest), compile_template(str(given.get("stdin", "")), names)
        )


def _split(line: str, where: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise BadSetting(f"{where}: {line!r} is no command line: {error}") from None


def _find(command: str, folder: Path, where: str) -> str:
    """The command as it will be started. Raises UsageError when it is not there or cannot be started."""
    if "/" not in command:
        if shutil.which(command) is None:
            raise UsageError(f"{where}: there is no command `{command}` on PATH")
        return command
    tried = [folder / command, Path(command)]
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        raise UsageError(
            f"{where}: there is no {command}; looked at {tried[0].absolute()} and {tried[1].absolute()}"
        )
    if not os.access(found, os.X_OK):
        raise UsageError(f"{where}: {found} is not executable; chmod +x it")
    return str(found.absolute())


def _exchange(verb: str, argv: list[bytes], stdin: bytes, done: Finished, invoked_ns: int) -> Exchange:
    line = os.fsencode(shlex.join(map(os.fsdecode, argv)))
    stdout = bytes(done.stdout)
    return Exchange(
        verb=verb,
        sent=line + b"\n" + stdin if stdin else line,
        received=stdout,
        invoked_ns=invoked_ns,
        completed_ns=time.monotonic_ns(),
        failure=done.failure,
        problem=done.problem,
        status=done.status,
        stderr=bytes(done.stderr),
        reply=stdout.removesuffix(b"\n").removesuffix(b"\r") if stdout.endswith(b"\n") else stdout,
    )


def _filled(template: object, names: Mapping[str, str]) -> str:
    return os.fsdecode(compile_template(str(template), names).fill({}))


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> CommandClient:
    """A client that runs commands, which learn `host` and `port` from `names`. Raises BadSetting, UsageError."""
    settings = read_settings("command", SETTINGS, program.speak.settings)
    return CommandClient(program, {"host": host, "port": str(port), **names}, settings)
