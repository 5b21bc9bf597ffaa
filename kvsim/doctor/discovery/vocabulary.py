"""The words that a program knows, read from its files and its own help: which options to try first.

A guess only: what counts is what the program does with an option.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

FILE_BYTES_MAX = 8 << 20
# A file with a zero byte in these is no text.
HEAD_BYTES = 4096
CODE_WORD_LENGTH_MIN = 6
FLAG = re.compile(r"(?<![\w-])(--?[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*)")
VARIABLE = re.compile(r"(?<![A-Za-z0-9_])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*(?![A-Za-z0-9_])")
PATH = re.compile(r"[\"'`](/[a-z][a-z0-9_/-]*/?)")
# How the names of options of each kind are recognized.
KINDS = {
    "port": re.compile(r"port|listen|bind|addr", re.IGNORECASE),
    "data_dir": re.compile(r"dir|data|path|(?<![a-z])stor(?:e|age)|folder|db", re.IGNORECASE),
    "role": re.compile(r"role|mode", re.IGNORECASE),
    "leader": re.compile(
        r"leader|primary|master|replica-?of|follow|upstream|join|peer", re.IGNORECASE
    ),
}
# Which kind a name is of that fits several: the first.
KIND_CLAIMS = ("leader", "port", "role", "data_dir")
NAMES = {
    "port": ("--port", "-p", "-port", "--listen", "--client-port", "--addr", "--bind"),
    "data_dir": ("--data-dir", "--dir", "--data", "-d", "--datadir", "--data_dir", "-data-dir"),
    "role": ("--role", "-role", "--mode", "-r"),
    "leader": (
        "--leader",
        "-leader",
        "--leader-addr",
        "--leader-port",
        "--leader-address",
        "--primary",
        "--master",
        "--replicaof",
        "--replica-of",
        "--follow",
        "-l",
    ),
}
VARIABLES = {
    "port": ("PORT", "KV_PORT", "KVSTORE_PORT"),
    "data_dir": ("DATA_DIR", "KV_DATA_DIR", "DATADIR"),
    "role": ("ROLE", "KV_ROLE", "NODE_ROLE"),
    "leader": ("LEADER", "LEADER_ADDR", "LEADER_PORT", "KV_LEADER", "PRIMARY", "MASTER"),
}
# Options and variables whose name fits a kind and that mean something else.
OTHER_OPTIONS = re.compile(
    r"transport|import|export|support|report|update|metadata|debug|IPPORT|^SO_|^INADDR"
)


class Vocabulary:
    """Words found in a program's files and output. `add` takes more text.

    `flags` are options as they are written. A machine's code has texts like `-d` by chance; those
    with one dash are in `chance_flags`.
    """

    def __init__(self, text: str = "") -> None:
        self.text = ""
        self._known: dict[str, bool] = {}
        self.flags: dict[str, None] = {}
        self.chance_flags: dict[str, None] = {}
        self._code = ""
        self.variables: dict[str, None] = {}
        self.add(text)

    def add(self, text: str, *, is_code: bool = False) -> bool:
        """Take more text; whether it has an option that was not known. `is_code`: a machine's."""
        before = len(self.flags)
        self.text += "\n" + text
        self._known.clear()
        self._code += "\n" + text.lower() if is_code else ""
        found = dict.fromkeys(FLAG.findall(text))
        by_chance = [flag for flag in found if is_code and not flag.startswith("--")]
        self.chance_flags.update(dict.fromkeys(by_chance))
        self.flags.update({flag: None for flag in found if flag not in by_chance})
        self.variables.update(dict.fromkeys(VARIABLE.findall(text)))
        return len(self.flags) > before

    def has(self, word: str) -> bool:
        """Whether the word stands alone somewhere, in any case."""
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = _stands_alone(word.lower(), self.text.lower())
        return found

    @property
    def has_code(self) -> bool:
        """Whether some of it is a machine's code."""
        return bool(self._code)

    def has_spelling(self, word: str) -> bool:
        """Whether the word stands alone in exactly these letters, or inside a machine's code."""
        inside = len(word) >= CODE_WORD_LENGTH_MIN and bool(self._code) and word in self.text
        return inside or _stands_alone(word, self.text)

    def has_name(self, word: str) -> bool:
        """Whether the word stands alone, or inside another in a machine's code: compilers put texts
        beside each other. Short words are there by chance."""
        inside = len(word) >= CODE_WORD_LENGTH_MIN and word.lower() in self._code
        return inside or self.has(word)

    def options(self, kind: str) -> list[str]:
        """Names of options of one kind, the most likely first: `--port`, `-p`."""
        usual = NAMES[kind]
        known = [name for name in usual if name in self.flags]
        bare = [name for name in usual if len(name) > 3 and self.has_name(name.lstrip("-"))]
        own = [
            flag
            for flag in self.flags
            if KINDS[kind].search(flag) and not OTHER_OPTIONS.search(flag) and len(flag) > 3
        ]
        own = [flag for flag in own if not _belongs_elsewhere(flag, kind)]
        if self._code and kind != "port":
            # Short words of a machine's code stand beside others, and some are there by chance.
            bare.insert(0, usual[0])
        chance = [name for name in usual if name in self.chance_flags]
        return list(dict.fromkeys([*known, *own, *bare, *chance]))

    def environment(self, kind: str) -> list[str]:
        """Names of variables of one kind that the program's text has."""
        found = [name for name in VARIABLES[kind] if name in self.variables]
        own = [
            name
            for name in self.variables
            if name.rpartition("_")[0] and KINDS[kind].search(name) and name not in found
        ]
        own = [name for name in own if not _belongs_elsewhere(name, kind)]
        return [*found, *(name for name in own if not OTHER_OPTIONS.search(name))][:4]

    def paths(self) -> list[str]:
        """Paths of HTTP that the program's text has."""
        return list(dict.fromkeys(PATH.findall(self.text)))


def _belongs_elsewhere(name: str, kind: str) -> bool:
    """Whether another kind claims this name first: `--leader-port`, `STORE_PORT`."""
    claims = KIND_CLAIMS[: KIND_CLAIMS.index(kind)]
    return any(KINDS[other].search(name) for other in claims)


def _stands_alone(word: str, text: str) -> bool:
    """Whether the word is in the text with no letter beside it."""
    begin = text.find(word)
    while begin >= 0:
        beside = text[max(begin - 1, 0) : begin] + text[begin + len(word) : begin + len(word) + 1]
        if not any(letter.isascii() and letter.isalpha() for letter in beside):
            return True
        begin = text.find(word, begin + 1)
    return False


def read_vocabulary(command: Sequence[str], folder: Path) -> Vocabulary:
    """The words in the files that a command names, and in files that those name."""
    vocabulary = Vocabulary()
    files = list(dict.fromkeys(_files(command, folder)))
    for path in files:
        vocabulary.add(_text(path), is_code=_is_code(path))
    named = re.findall(r"[\w./-]+", " ".join(_text(path) for path in files if _is_script(path)))
    for path in list(dict.fromkeys(_files(named[:2000], folder)))[:20]:
        # A script names its interpreter, too, and that knows all sorts of words.
        if path not in files and path.resolve().is_relative_to(folder.resolve()):
            vocabulary.add(_text(path), is_code=_is_code(path))
    return vocabulary


def _files(words: Iterable[str], folder: Path) -> Iterable[Path]:
    for word in words:
        text = word.replace("{program_dir}", str(folder)).lstrip("$@")
        if not text or len(text) > 200:
            continue
        # `"$(dirname "$0")/store.py"` is beside the script.
        text = text.lstrip("/") if not Path(text).exists() else text
        for path in (folder / text, folder / f"{text}.class", folder / f"{text}.py"):
            try:
                if path.is_file() and path.suffix != ".yaml":
                    yield path
            except OSError:
                continue


def _is_script(path: Path) -> bool:
    return path.stat().st_size < 64 << 10 and _text(path).startswith("#!")


def _is_code(path: Path) -> bool:
    """Whether the file is a machine's code, where letters stand beside each other by chance."""
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(HEAD_BYTES)
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX)
    except OSError:
        return ""
    if b"\0" in data[:HEAD_BYTES]:
        data = b"\n".join(re.findall(rb"[\x20-\x7e]{2,}", data))
    return data.decode("utf-8", "replace")
