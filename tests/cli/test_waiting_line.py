"""What a command waits for: at a terminal, once it was quiet; gone before anything is printed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import pytest

from kvsim.cli import ENDLESS, MODULES, waiting_line
from kvsim.cli.streams import safe_streams
from kvsim.cli.waiting_line import REMOVE, Wait, line_of, waiting_for
from kvsim.waiting import Deadline, wait_until


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    """stdout and stderr on one terminal; a command is quiet after 20 ms."""
    made = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(waiting_line, "QUIET_S", 0.02)
    return made


@contextlib.contextmanager
def command(terminal: Terminal, text: str) -> Iterator[None]:
    """A command on the terminal."""
    with (
        contextlib.redirect_stdout(terminal),
        contextlib.redirect_stderr(terminal),
        safe_streams(),
        waiting_line.waiting_line(text),
    ):
        yield


def wait_for(terminal: Terminal, text: str) -> None:
    wait_until(lambda: text in terminal.getvalue(), Deadline.after(180), text)


def test_a_quiet_command_says_what_it_waits_for(terminal):
    with command(terminal, "kvsim up: start a cluster"):
        wait_for(terminal, "kvsim up: start a cluster … 0 s")
        with waiting_for("every node to be ready") as wait:
            wait_for(terminal, "every node to be ready … 0 s")
            wait.text = "n3 to be ready"
            wait_for(terminal, "n3 to be ready")
        print("ready")
    # Removed before the text, and not drawn after it.
    assert terminal.getvalue().endswith(f"{REMOVE}ready\n") or terminal.getvalue().endswith(REMOVE)
    assert waiting_line.WAITS == []


def test_an_unfinished_line_is_not_drawn_over(terminal):
    with command(terminal, "waits"):
        wait_for(terminal, "waits")
        print("how are you? ", end="")
        printed = terminal.getvalue()
        # Longer than a command is quiet, many times.
        began = Deadline.after(0.2)
        wait_until(began.passed, Deadline.after(180), "some time")
        assert terminal.getvalue() == printed


def test_nothing_is_said_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(waiting_line, "QUIET_S", 0.001)
    with safe_streams(), waiting_line.waiting_line("waits"), waiting_for("an answer"):
        began = Deadline.after(0.05)
        wait_until(began.passed, Deadline.after(180), "some time")
    assert capsys.readouterr() == ("", "")


def test_the_line_fits_the_terminal_and_cannot_speak_to_it():
    wait = Wait("a name \x1b[31m that is much longer than the terminal is wide", 0.0)
    assert line_of(wait, 61.2, width=40) == "a name \\x1b[31m that is much lo… … 61 s"


def test_commands_without_the_line_exist():
    assert set(MODULES) >= ENDLESS
