"""The words of a command of node.yaml: templates filled in, one argument for each node where the
author wants that, and files beside the description found there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from kvsim.config.template import render_words

# Options of Java whose value is a list of folders and files.
CLASS_PATH = ("-cp", "-classpath", "--class-path")


def fill_words(
    argv: Iterable[str],
    names: Mapping[str, Any],
    folder: Path,
    cwd: Path | None = None,
    verbs: Collection[str] = (),
) -> tuple[str, ...]:
    """The words of a command. `folder` is that of node.yaml, `cwd` where the command runs.

    `verbs` are words that mean a request, even if a file has that name.
    """
    words = [word for template in argv for word in render_words(template, names)]
    return tuple(
        beside(folder, word)
        if number == 0
        else _find_class_path(word, folder)
        if words[number - 1] in CLASS_PATH
        else find_word(word, folder, cwd, verbs)
        for number, word in enumerate(words)
    )


def _find_class_path(text: str, folder: Path) -> str:
    """A class path whose relative parts start at the folder of node.yaml, where they exist."""
    return ":".join(
        str(folder / part) if part and _exists(folder / part.removesuffix("/*")) else part
        for part in text.split(":")
    )


def beside(folder: Path, word: str) -> str:
    """The path of a program; a relative path starts at the folder of its node.yaml."""
    return str(folder / word) if "/" in word and not Path(word).is_absolute() else word


def find_word(word: str, folder: Path, cwd: Path | None, verbs: Collection[str]) -> str:
    """An argument, as a path where it is a file beside node.yaml and none where it runs.

    `folder` is that of node.yaml, `cwd` where the command runs; `verbs` are left as they are.
    """
    if not word or word.startswith(("-", "/")) or "\0" in word or word in verbs:
        return word
    if cwd is not None and _exists(cwd / word):
        return word
    path = folder / word
    return str(path) if _exists(path) and path.is_file() else word


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # A word that is too long for a path.
        return False
