"""A file that a user names is a regular file of bounded size, or the reason why it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import kvsim.cli
from kvsim.user_files import UnreadableFile, read_user_file


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UnreadableFile, match="is no file, but a pipe"):
        read_user_file(tmp_path / "pipe.yaml", 10)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/dev/zero", "is no file, but a device"),
        ("/", "Is a directory"),
        ("/no/such/file", "No such file"),
        ("x" * 300, "File name too long"),
        ("a\0b", "null byte"),
    ],
)
def test_what_is_no_file_is_named(path: str, why: str) -> None:
    with pytest.raises(UnreadableFile, match=why):
        read_user_file(Path(path), 10)


def test_a_link_to_itself_and_a_large_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UnreadableFile, match="symbolic links"):
        read_user_file(tmp_path / "loop", 10)
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    with pytest.raises(UnreadableFile, match="is larger than 2 MiB"):
        read_user_file(tmp_path / "large", 2 << 20)
    assert read_user_file(tmp_path / "large", 3 << 20) == bytes(3 << 20)


@pytest.mark.parametrize("command", ["lint", "run"])
def test_commands_end_on_a_pipe_in_place_of_a_file(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "s.yaml")
    assert kvsim.cli.main([command, str(tmp_path / "s.yaml")]) == 4
    assert "is no file, but a pipe" in capsys.readouterr().err


def test_what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(name: str) -> None:
        raise OSError(28, "No space left on device", "/full/x")

    monkeypatch.setattr(kvsim.cli, "find_command", refuse)
    assert kvsim.cli.main(["lint", "x"]) == 4
    assert capsys.readouterr().err == "kvsim: /full/x: No space left on device\n"


def test_a_missing_file_is_answered_with_a_similar_name(tmp_path):
    (tmp_path / "roles.yaml").touch()
    with pytest.raises(UnreadableFile, match=r"did you mean `.*/roles\.yaml`\?"):
        read_user_file(tmp_path / "rols.yaml", 100)
    with pytest.raises(UnreadableFile, match=r"No such file or directory$"):
        read_user_file(tmp_path / "quite-another.txt", 100)
