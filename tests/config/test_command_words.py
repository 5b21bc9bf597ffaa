"""The words of a command: which of them are found beside the description. No process."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvsim.config.command_words import fill_words


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["java", "-cp", ".", "Store", "--port={port}"], ["-cp", "HERE", "Store", "--port=7"]),
        (["java", "-cp", ".:lib/*:more", "Store"], ["-cp", "HERE:HERE/lib/*:more", "Store"]),
        (["java", "--class-path", "/usr/share/x.jar:lib", "S"], None),
        (["node", "store.js", "{port}"], ["HERE/store.js", "7"]),
        # A word that only looks like a folder stays what it is.
        (["./run", "--dir", "."], ["--dir", "."]),
        (["./run", "lib"], ["lib"]),
    ],
)
def test_files_and_class_paths_are_found_beside_the_description(tmp_path: Path, argv, found):
    (tmp_path / "lib").mkdir()
    (tmp_path / "store.js").touch()
    words = fill_words(argv, {"port": "7"}, tmp_path, tmp_path / "elsewhere")
    if found is None:
        found = ["--class-path", "/usr/share/x.jar:HERE/lib", "S"]
    assert [
        word.replace(str(tmp_path), "HERE").replace("HERE/.", "HERE") for word in words[1:]
    ] == (found)
