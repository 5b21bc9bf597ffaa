"""From the text of a YAML file to a tree that remembers where everything stands. Below every reader of this folder.

Scalars keep the author's text: `on`, `no`, `012`, `12:30:00` stay what was typed, whatever YAML thinks of them. A
repeated key, a tag, a merge key (`<<`), a second document, an alias inside its own anchor, a control character: each is
one Problem. Aliases are allowed and stand for a copy; a mistake inside one is shown where the anchor is. Knows nothing
of clusters, programs or scenarios.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from kvsim.errors import Problem

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

BYTES_MAX = 4 * 1024 * 1024
DEPTH_MAX = 50
NODES_MAX = 200_000  # aliases counted as often as they are used: an "alias bomb" ends here

FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SURROGATE = re.compile("[\ud800-\udfff]")
PLAIN = re.compile(r"[A-Za-z0-9_./~+@-]+(?: [A-Za-z0-9_./~+@-]+)*")


class Mark(NamedTuple):
    """A place in a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def problem(self, message: str) -> Problem:
        return Problem(self.file, self.line, self.column, one_line(message))


class Scalar(NamedTuple):
    """One text as typed. `plain`: written without quotes; a plain empty text is what YAML makes of `key:`."""

    mark: Mark
    text: str
    plain: bool = True

    @property
    def absent(self) -> bool:
        return self.plain and not self.text

    def said(self) -> str:
        """What a message calls it: `nothing`, or the text, cut to one short line."""
        return "nothing" if self.absent else quoted(self.text)


class Items(NamedTuple):
    """A list in the order written."""

    mark: Mark
    items: tuple[Tree, ...]

    def said(self) -> str:
        return "a list" if self.items else "an empty list"


class Fields(NamedTuple):
    """A mapping in the order written; a repeated key is reported when the file is read and only the first one kept."""

    mark: Mark
    entries: tuple[tuple[Scalar, Tree], ...]

    def said(self) -> str:
        return "a mapping" if self.entries else "an empty mapping"

    def get(self, name: str) -> Tree | None:
        return next((value for key, value in self.entries if key.text == name), None)

    def key(self, name: str) -> Scalar | None:
        return next((key for key, _ in self.entries if key.text == name), None)


Tree = Scalar | Items | Fields


def read_file(path: Path, problems: list[Problem]) -> Fields | None:
    """Read a YAML file whose top level is a mapping. Adds what is wrong to `problems`; None when there is no tree at all."""
    file = shown(path)
    data = _read_bytes(path, file, problems)
    text = None if data is None else _decode(data, file, problems)
    tree = None if text is None else read_text(text, file, problems)
    if tree is None or isinstance(tree, Fields):
        return tree
    problems.append(
        tree.mark.problem(f"a mapping (`key: value` lines) was expected here, found {tree.said()}")
    )
    return None


def read_text(text: str, file: str, problems: list[Problem]) -> Tree | None:
    """Parse one YAML document. None when the text is not YAML or holds nothing."""
    bad = FORBIDDEN.search(text)
    if bad:
        problems.append(_control_character(text, bad.start(), file))
        return None
    builder = _Builder(file, problems, lines=text.count("\n") + (not text.endswith("\n")))
    try:
        for event in yaml.parse(text, Loader=LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        problems.append(_syntax(error, builder))
        return None
    except _GiveUp:
        return None
    if builder.root is None and not builder.stopped:
        problems.append(Problem(file, 1, 1, "the file is empty"))
    return builder.root


def shown(path: Path) -> str:
    """The path as a message shows it: relative when it lies below the current folder."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def is_file(path: Path) -> bool:
    """Whether a file is there; a path that cannot even be looked at is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def quoted(text: str) -> str:
    """The text in double quotes on one short line, for messages."""
    cut = text if len(text) <= 60 else text[:57] + "..."
    escaped = (
        cut.replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("\n", "\\n")
        .replace("\t", "\\t")
        .replace("\r", "\\r")
    )
    return f'"{escaped}"'


def one_line(message: str) -> str:
    """The message with line ends and other unprintable characters of the user's own texts made visible."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def flow(tree: Tree) -> str:
    """The tree on one line in YAML's flow style: how reports show a step."""
    if isinstance(tree, Scalar):
        return tree.text if tree.plain and PLAIN.fullmatch(tree.text) else quoted_whole(tree.text)
    if isinstance(tree, Items):
        return "[" + ", ".join(flow(item) for item in tree.items) + "]"
    return "{" + ", ".join(f"{flow(key)}: {flow(value)}" for key, value in tree.entries) + "}"


def quoted_whole(text: str) -> str:
    """The text as a YAML double-quoted scalar."""
    table = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(table.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text) + '"'


def walk(tree: Tree) -> Iterator[Scalar]:
    """Every scalar that is a value, in order."""
    if isinstance(tree, Scalar):
        yield tree
    elif isinstance(tree, Items):
        for item in tree.items:
            yield from walk(item)
    else:
        for _, value in tree.entries:
            yield from walk(value)


def replaced(tree: Tree, old: str, new: str) -> Tree:
    """The tree with a text replaced in every value."""
    if isinstance(tree, Scalar):
        return Scalar(tree.mark, tree.text.replace(old, new), tree.plain)
    if isinstance(tree, Items):
        return Items(tree.mark, tuple(replaced(item, old, new) for item in tree.items))
    return Fields(tree.mark, tuple((key, replaced(value, old, new)) for key, value in tree.entries))


def _read_bytes(path: Path, file: str, problems: list[Problem]) -> bytes | None:
    try:
        with path.open("rb") as stream:
            data = stream.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        problems.append(Problem(file, 0, 0, f"cannot be read: {why}"))
        return None
    if len(data) > BYTES_MAX:
        problems.append(
            Problem(file, 0, 0, f"is larger than {BYTES_MAX // 1024 // 1024} MiB: is this a YAML file?")
        )
        return None
    return data


def _decode(data: bytes, file: str, problems: list[Problem]) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode("utf-8", "replace"))
        byte = data[error.start]
        problems.append(
            Problem(file, line, column, f"byte 0x{byte:02x} is not UTF-8 text: is this a YAML file?")
        )
        return None


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _control_character(text: str, at: int, file: str) -> Problem:
    line, column = _place(text[:at])
    return Problem(file, line, column, f"control character U+{ord(text[at]):04X}: is this a YAML file?")


def _syntax(error: yaml.MarkedYAMLError, builder: _Builder) -> Problem:
    mark = builder.mark(error.problem_mark or error.context_mark)
    what = error.problem or "cannot be parsed"
    if "'\\t'" in what or "cannot start any token" in what:
        what = "a tab or another character that YAML does not allow to start anything (indent with spaces, quote the text)"
    elif "mapping values are not allowed" in what:
        what = "a `:` where no key can stand (put the text in quotes, or check the indentation)"
    context = ""
    if error.context and error.context_mark:
        context = f" ({error.context} that starts at line {builder.mark(error.context_mark).line})"
    return mark.problem(f"not valid YAML: {what}{context}")


class _GiveUp(Exception):
    """The problem is already reported and the rest of the file cannot be trusted."""


class _Open:
    """A list or mapping that is still being read."""

    __slots__ = ("anchor", "children", "is_map", "mark", "size")

    def __init__(self, mark: Mark, is_map: bool, anchor: str | None) -> None:
        self.mark, self.is_map, self.anchor = mark, is_map, anchor
        self.children: list[Tree] = []
        self.size = 1


class _Builder:
    """Builds the tree from parser events, without recursion, so that no nesting can exhaust the stack."""

    def __init__(self, file: str, problems: list[Problem], lines: int) -> None:
        self.file, self.problems, self.lines = file, problems, max(lines, 1)
        self.root: Tree | None = None
        self.stopped = False
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Tree, int] | None] = {}  # None: its own node is still being read
        self.documents = self.total = 0

    def mark(self, mark: yaml.Mark) -> Mark:
        past_end = mark.line >= self.lines
        return Mark(self.file, min(mark.line + 1, self.lines), 1 if past_end else mark.column + 1)

    def say(self, mark: Mark, message: str) -> None:
        self.problems.append(mark.problem(message))

    def give_up(self, mark: Mark, message: str) -> None:
        self.say(mark, message)
        self.stopped = True
        self.root = None
        raise _GiveUp

    def take(self, event: yaml.Event) -> None:
        handler = HANDLERS.get(type(event))
        if handler:
            handler(self, event)

    def document(self, event: yaml.Event) -> None:
        self.documents += 1
        if self.documents > 1:
            self.give_up(
                self.mark(event.start_mark), "a second document (`---`): one file holds one document"
            )

    def scalar(self, event: yaml.ScalarEvent) -> None:
        mark = self.start(event)
        node = Scalar(mark, self.clean(event.value, mark), plain=not event.style)
        self.add(node, 1, event.anchor)

    def clean(self, text: str, mark: Mark) -> str:
        if not text.isascii() and SURROGATE.search(text):
            self.say(mark, "an escape that is half of a character (U+D800 to U+DFFF)")
            return ""
        return text

    def alias(self, event: yaml.AliasEvent) -> None:
        mark = self.mark(event.start_mark)
        if event.anchor not in self.anchors:
            self.give_up(mark, f"alias *{event.anchor} has no anchor &{event.anchor} before it")
        known = self.anchors[event.anchor]
        if known is None:
            self.give_up(mark, f"alias *{event.anchor} stands inside its own anchor: a loop")
        else:
            self.total += known[1]
            self.add(known[0], known[1], None)

    def begin(self, event: yaml.CollectionStartEvent) -> None:
        mark = self.start(event)
        if len(self.open) >= DEPTH_MAX:
            self.give_up(mark, f"nested more than {DEPTH_MAX} levels deep")
        if event.anchor:
            self.anchors[event.anchor] = None
        self.open.append(_Open(mark, isinstance(event, yaml.MappingStartEvent), event.anchor))

    def end(self, _: yaml.Event) -> None:
        done = self.open.pop()
        node = self.mapping(done) if done.is_map else Items(done.mark, tuple(done.children))
        self.add(node, done.size, done.anchor)

    def start(self, event: yaml.NodeEvent) -> Mark:
        mark = self.mark(event.start_mark)
        if event.tag is not None and event.tag != "!":
            self.say(mark, f"a tag ({event.tag}): tags are not used here; everything is text")
        return mark

    def add(self, node: Tree, size: int, anchor: str | None) -> None:
        self.total += 1
        if self.total > NODES_MAX:
            self.give_up(node.mark, f"aliases make this file grow beyond {NODES_MAX} values")
        if anchor:
            self.anchors[anchor] = (node, size)
        if self.open:
            self.open[-1].children.append(node)
            self.open[-1].size += size
        else:
            self.root = node

    def mapping(self, done: _Open) -> Fields:
        seen: dict[str, Scalar] = {}
        entries: list[tuple[Scalar, Tree]] = []
        for key, value in zip(done.children[::2], done.children[1::2], strict=True):
            if self.key_stands(key, seen):
                seen[key.text] = key
                entries.append((key, value))
        return Fields(done.mark, tuple(entries))

    def key_stands(self, key: Tree, seen: dict[str, Scalar]) -> bool:
        if not isinstance(key, Scalar):
            self.say(
                key.mark,
                f"a key must be a text, found {key.said()} (a template such as {{port}} needs quotes)",
            )
        elif key.plain and key.text == "<<":
            self.say(
                key.mark, "merge keys (<<) are not used here: write the keys out, or alias the whole value"
            )
        elif key.text in seen:
            first = seen[key.text].mark
            self.say(key.mark, f"key {quoted(key.text)} a second time (first at line {first.line})")
        else:
            return True
        return False


HANDLERS = {
    yaml.DocumentStartEvent: _Builder.document,
    yaml.ScalarEvent: _Builder.scalar,
    yaml.AliasEvent: _Builder.alias,
    yaml.SequenceStartEvent: _Builder.begin,
    yaml.MappingStartEvent: _Builder.begin,
    yaml.SequenceEndEvent: _Builder.end,
    yaml.MappingEndEvent: _Builder.end,
}
