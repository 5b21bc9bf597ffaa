"""The exit status is the verdict's, also when the output is lost; output is safe to print."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.cli.streams import SafeStream, escape_commands
from kvsim.text import escape

WRONG = """scenario: wrong
cluster: {root}/cluster.yaml
steps:
  - put: {{at: leader, key: k, value: v, expect: not_found}}
"""


@pytest.fixture
def wrong(tmp_path: Path, root: Path) -> Path:
    """A scenario that fails."""
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG.format(root=root))
    return path


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command line of bash, with `$KVSIM` for kvsim."""
    kvsim = f"{shlex.quote(sys.executable)} -m kvsim"
    return subprocess.run(
        ["bash", "-c", command.replace("$KVSIM", kvsim)],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 1),
        (">&-", 1),
        (">/dev/full", 1),
        ("2>&-", 1),
    ],
)
def test_a_run_keeps_its_verdict_when_its_output_is_lost(wrong, redirection, status):
    finished = shell(f"$KVSIM run {wrong} --out out {redirection}", wrong.parent)
    assert finished.returncode == status, finished.stderr
    assert "Traceback" not in finished.stderr
    assert list((wrong.parent / "out").glob("*/proof.txt"))


@pytest.mark.parametrize("redirection", ["2>&1 | true; exit ${PIPESTATUS[0]}", "2>/dev/full"])
def test_a_mistake_keeps_its_exit_status_when_its_message_is_lost(tmp_path, redirection):
    finished = shell(f"$KVSIM lint nothing.yaml {redirection}", tmp_path)
    assert finished.returncode == 4, finished.stderr


def test_a_full_disk_behind_stdout_is_reported_on_stderr(tmp_path):
    finished = shell("$KVSIM --help >/dev/full", tmp_path)
    assert finished.returncode == 0
    assert finished.stderr == "kvsim: stdout could not be written: No space left on device\n"


def test_letters_that_the_encoding_lacks_are_replaced(tmp_path):
    finished = shell("$KVSIM run --help", tmp_path, PYTHONIOENCODING="ascii")
    assert finished.returncode == 0
    assert finished.stdout.isascii()


def test_following_logs_ends_when_the_reader_has_closed_the_pipe(tmp_path):
    stream = SafeStream(BrokenStream())
    stream.write("a line\n")
    assert isinstance(stream.error, BrokenPipeError)
    assert stream.write("another\n") == len("another\n")


class BrokenStream(io.StringIO):
    """A pipe whose reader has closed it."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@given(st.text())
def test_escaped_text_has_no_control_characters(text):
    escaped = escape(text)
    assert not any(ord(letter) < 0x20 and letter not in "\t\n" for letter in escaped)
    assert not any(0x7F <= ord(letter) <= 0x9F or letter in "\u202e\u2066" for letter in escaped)


@given(st.lists(st.sampled_from(["::", "##[", " ", "\t", "\n", "a", "error", "]", ":"])))
def test_no_line_of_a_pipe_is_a_command_to_a_runner(pieces):
    """The text may be split into writes at any point."""
    target = io.StringIO()
    stream = SafeStream(target)
    for piece in pieces:
        stream.write(piece)
    for line in target.getvalue().split("\n"):
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_kvsims_own_commands_pass():
    target = io.StringIO()
    stream = SafeStream(target)
    stream.trusted.write("::error file=a::b\n")
    assert target.getvalue() == "::error file=a::b\n"
    assert escape_commands("  ::set-env::x", blank=True) == "  \\x3a:set-env::x"


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--junit /proc/none/junit.xml", "cannot be written"),
        ("--junit .", "is a folder"),
        ("--out file/runs", "Not a directory"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_starts(tmp_path, option, reason, root):
    (tmp_path / "file").write_text("")
    finished = shell(f"$KVSIM run {root}/scenarios/roles.yaml {option}", tmp_path)
    assert finished.returncode == 4
    assert reason in finished.stderr
    assert finished.stdout == ""


def test_the_folder_of_a_file_that_an_option_names_is_made(wrong):
    finished = shell(f"$KVSIM run {wrong} --out out --junit new/folder/junit.xml", wrong.parent)
    assert finished.returncode == 1
    assert (wrong.parent / "new/folder/junit.xml").read_text().startswith("<?xml")
