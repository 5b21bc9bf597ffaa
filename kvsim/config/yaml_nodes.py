"""From the text of a YAML file to a tree of nodes with their source locations.

Below every reader of this package; knows nothing of clusters, programs or scenarios. Scalars keep
the author's text: `on`, `no`, `012`, `12:30:00` stay what was typed. A repeated key, a tag, a merge
key (`<<`), a second document, an alias inside its own anchor, a control character: each is one
Problem. An alias is allowed and means a copy; a mistake inside it is reported at the anchor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, TypeGuard

import yaml

from kvsim.errors import Problem
from kvsim.text import truncate
from kvsim.user_files import UnreadableFile, read_user_file

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

BYTES_MAX = 4 * 1024 * 1024
DEPTH_MAX = 50
# A message quotes at most so many characters.
QUOTED_MAX = 60
# Aliases count as often as they are used: this ends an "alias bomb".
NODES_MAX = 200_000

FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SURROGATE = re.compile("[\ud800-\udfff]")
PLAIN = re.compile(r"[A-Za-z0-9_./~+@-]+(?: [A-Za-z0-9_./~+@-]+)*")


class SourceLocation(NamedTuple):
    """A position in a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def problem(self, message: str) -> Problem:
        return Problem(self.file, self.line, self.column, one_line(message))


class Mark(Protocol):
    """A position that the parser reports; counts from 0."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


class Scalar(NamedTuple):
    """One text as typed. `plain`: without quotes. The value of `key:` is a plain empty text."""

    location: SourceLocation
    text: str
    plain: bool = True

    @property
    def absent(self) -> bool:
        return self.plain and not self.text

    def describe(self) -> str:
        """For messages: `nothing`, or the text on one short line."""
        return "nothing" if self.absent else quote(self.text)


class Items(NamedTuple):
    """A list in the order written."""

    location: SourceLocation
    items: tuple[Tree, ...]

    def describe(self) -> str:
        return "a list" if self.items else "an empty list"


class Fields(NamedTuple):
    """A mapping in the order written. A repeated key is a problem; its first value is used."""

    location: SourceLocation
    entries: tuple[tuple[Scalar, Tree], ...]

    def describe(self) -> str:
        return "a mapping" if self.entries else "an empty mapping"

    def get(self, name: str) -> Tree | None:
        return next((value for key, value in self.entries if key.text == name), None)

    def key(self, name: str) -> Scalar | None:
        return next((key for key, _ in self.entries if key.text == name), None)


Tree = Scalar | Items | Fields


def read_file(path: Path, problems: list[Problem]) -> Fields | None:
    """Read a YAML file whose top level is a mapping.

    Adds what is wrong to `problems`; None when there is no tree at all.
    """
    file = display_path(path)
    data = _read_bytes(path, file, problems)
    text = None if data is None else _decode(data, file, problems)
    tree = None if text is None else read_text(text, file, problems)
    if tree is None or isinstance(tree, Fields):
        return tree
    found = tree.describe()
    problems.append(
        tree.location.problem(f"a mapping (`key: value` lines) was expected here, found {found}")
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
            builder.handle(event)
    except yaml.MarkedYAMLError as error:
        problems.append(_syntax(error, builder))
        return None
    except _GiveUp:
        return None
    if builder.root is None and not builder.stopped:
        problems.append(Problem(file, 1, 1, "the file is empty"))
    return builder.root


def display_path(path: Path) -> str:
    """The path for messages: relative when it lies below the current folder."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def is_file(path: Path) -> bool:
    """Whether a file exists; False for a path that cannot be examined."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def quote(text: str) -> str:
    """The text in double quotes on one short line, for messages."""
    escaped = (
        truncate(text, QUOTED_MAX)
        .replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("\n", "\\n")
        .replace("\t", "\\t")
        .replace("\r", "\\r")
    )
    return f'"{escaped}"'


def one_line(message: str) -> str:
    """The message with line ends and other unprintable characters escaped."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def flow_style(tree: Tree) -> str:
    """The tree on one line in YAML's flow style, as reports show a step."""
    if isinstance(tree, Scalar):
        return tree.text if tree.plain and PLAIN.fullmatch(tree.text) else double_quoted(tree.text)
    if isinstance(tree, Items):
        return "[" + ", ".join(flow_style(item) for item in tree.items) + "]"
    entries = [f"{flow_style(key)}: {flow_style(value)}" for key, value in tree.entries]
    return "{" + ", ".join(entries) + "}"


def tree_of(value: object, location: SourceLocation) -> Tree:
    """Plain values (texts, numbers, lists, mappings) as a tree, all of it at one location."""
    if isinstance(value, Mapping):
        entries = (
            (Scalar(location, str(key)), tree_of(item, location)) for key, item in value.items()
        )
        return Fields(location, tuple(entries))
    if isinstance(value, list | tuple):
        return Items(location, tuple(tree_of(item, location) for item in value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Scalar(location, text, plain=False)


def double_quoted(text: str) -> str:
    """The text as a YAML double-quote scalar."""
    table = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    escaped = [table.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text]
    return '"' + "".join(escaped) + '"'


def scalars_in(tree: Tree) -> Iterator[Scalar]:
    """Every scalar that is a value, in order."""
    if isinstance(tree, Scalar):
        yield tree
    elif isinstance(tree, Items):
        for item in tree.items:
            yield from scalars_in(item)
    else:
        for _, value in tree.entries:
            yield from scalars_in(value)


def replace_text(tree: Tree, old: str, new: str) -> Tree:
    """The tree with a text replaced in every value."""
    if isinstance(tree, Scalar):
        return Scalar(tree.location, tree.text.replace(old, new), tree.plain)
    if isinstance(tree, Items):
        return Items(tree.location, tuple(replace_text(item, old, new) for item in tree.items))
    entries = tuple((key, replace_text(value, old, new)) for key, value in tree.entries)
    return Fields(tree.location, entries)


def _read_bytes(path: Path, file: str, problems: list[Problem]) -> bytes | None:
    try:
        return read_user_file(path, BYTES_MAX)
    except UnreadableFile as error:
        hint = ": is this a YAML file?" if "larger" in str(error) else ""
        problems.append(Problem(file, 0, 0, f"{error}{hint}"))
        return None


def _decode(data: bytes, file: str, problems: list[Problem]) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _line_and_column(data[: error.start].decode("utf-8", "replace"))
        message = f"byte 0x{data[error.start]:02x} is not UTF-8 text: is this a YAML file?"
        problems.append(Problem(file, line, column, message))
        return None


def _line_and_column(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _control_character(text: str, index: int, file: str) -> Problem:
    line, column = _line_and_column(text[:index])
    message = f"control character U+{ord(text[index]):04X}: is this a YAML file?"
    return Problem(file, line, column, message)


def _syntax(error: yaml.MarkedYAMLError, builder: _Builder) -> Problem:
    location = builder.locate(error.problem_mark or error.context_mark)
    what = error.problem or "cannot be parsed"
    if "'\\t'" in what or "cannot start any token" in what:
        what = (
            "a tab or another character that YAML does not allow to start anything "
            "(indent with spaces, quote the text)"
        )
    elif "mapping values are not allowed" in what:
        what = "a `:` where no key is possible (put the text in quotes, or check the indentation)"
    context = ""
    if error.context and error.context_mark:
        line = builder.locate(error.context_mark).line
        context = f" ({error.context} that starts at line {line})"
    return location.problem(f"not valid YAML: {what}{context}")


class _GiveUp(Exception):
    """The problem is reported, and the rest of the file cannot be trusted."""


class _Open:
    """A list or mapping that is still being read."""

    __slots__ = ("anchor", "children", "is_map", "location", "size")

    def __init__(self, location: SourceLocation, is_map: bool, anchor: str | None) -> None:
        self.location, self.is_map, self.anchor = location, is_map, anchor
        self.children: list[Tree] = []
        self.size = 1


class _Builder:
    """Builds the tree from parser events, without recursion: no nesting can exhaust the stack."""

    def __init__(self, file: str, problems: list[Problem], lines: int) -> None:
        self.file, self.problems, self.lines = file, problems, max(lines, 1)
        self.root: Tree | None = None
        self.stopped = False
        self.open: list[_Open] = []
        # None: the node of the anchor is still being read.
        self.anchors: dict[str, tuple[Tree, int] | None] = {}
        self.documents = self.total = 0
        self.aliases = False

    def locate(self, mark: Mark | None) -> SourceLocation:
        if mark is None:
            return SourceLocation(self.file, 1, 1)
        past_end = mark.line >= self.lines
        column = 1 if past_end else mark.column + 1
        return SourceLocation(self.file, min(mark.line + 1, self.lines), column)

    def report(self, location: SourceLocation, message: str) -> None:
        self.problems.append(location.problem(message))

    def give_up(self, location: SourceLocation, message: str) -> NoReturn:
        self.report(location, message)
        self.stopped = True
        self.root = None
        raise _GiveUp

    def handle(self, event: yaml.Event) -> None:
        handler = HANDLERS.get(type(event))
        if handler:
            handler(self, event)

    def document(self, event: yaml.Event) -> None:
        self.documents += 1
        if self.documents > 1:
            self.give_up(
                self.locate(event.start_mark),
                "a second document (`---`): a file must hold one document",
            )

    def scalar(self, event: yaml.ScalarEvent) -> None:
        location = self.start(event)
        node = Scalar(location, self.clean(event.value, location), plain=not event.style)
        self.add(node, 1, event.anchor)

    def clean(self, text: str, location: SourceLocation) -> str:
        if not text.isascii() and SURROGATE.search(text):
            self.report(location, "an escape that is half of a character (U+D800 to U+DFFF)")
            return ""
        return text

    def alias(self, event: yaml.AliasEvent) -> None:
        location = self.locate(event.start_mark)
        anchor = event.anchor or ""
        if anchor not in self.anchors:
            self.give_up(location, f"alias *{anchor} has no anchor &{anchor} before it")
        known = self.anchors[anchor]
        if known is None:
            self.give_up(location, f"alias *{anchor} is inside its own anchor: a loop")
        self.aliases = True
        self.total += known[1]
        self.add(known[0], known[1], None)

    def begin(self, event: yaml.CollectionStartEvent) -> None:
        location = self.start(event)
        if len(self.open) >= DEPTH_MAX:
            self.give_up(location, f"nested more than {DEPTH_MAX} levels deep")
        if event.anchor:
            self.anchors[event.anchor] = None
        self.open.append(_Open(location, isinstance(event, yaml.MappingStartEvent), event.anchor))

    def end(self, _: yaml.Event) -> None:
        done = self.open.pop()
        node = self.mapping(done) if done.is_map else Items(done.location, tuple(done.children))
        self.add(node, done.size, done.anchor)

    def start(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> SourceLocation:
        location = self.locate(event.start_mark)
        if event.tag is not None and event.tag != "!":
            self.report(
                location, f"a tag ({event.tag}): tags are not used here; everything is text"
            )
        return location

    def add(self, node: Tree, size: int, anchor: str | None) -> None:
        self.total += 1
        if self.total > NODES_MAX:
            why = (
                "aliases make this file grow beyond" if self.aliases else "this file has more than"
            )
            self.give_up(node.location, f"{why} {NODES_MAX} values")
        if anchor:
            self.anchors[anchor] = (node, size)
        if self.open:
            self.open[-1].children.append(node)
            self.open[-1].size += size
        else:
            self.root = node

    def mapping(self, done: _Open) -> Fields:
        keys: dict[str, Scalar] = {}
        entries: list[tuple[Scalar, Tree]] = []
        for key, value in zip(done.children[::2], done.children[1::2], strict=True):
            if self.is_new_key(key, keys):
                keys[key.text] = key
                entries.append((key, value))
        return Fields(done.location, tuple(entries))

    def is_new_key(self, key: Tree, keys: dict[str, Scalar]) -> TypeGuard[Scalar]:
        if not isinstance(key, Scalar):
            self.report(
                key.location,
                f"a key must be a text, found {key.describe()} "
                "(a template such as {port} needs quotes)",
            )
        elif key.plain and key.text == "<<":
            self.report(
                key.location,
                "merge keys (<<) are not used here: write the keys out, or alias the whole value",
            )
        elif key.text in keys:
            first = keys[key.text].location
            self.report(
                key.location, f"key {quote(key.text)} is repeated (first at line {first.line})"
            )
        else:
            return True
        return False


HANDLERS: dict[type[yaml.Event], Callable[[_Builder, Any], None]] = {
    yaml.DocumentStartEvent: _Builder.document,
    yaml.ScalarEvent: _Builder.scalar,
    yaml.AliasEvent: _Builder.alias,
    yaml.SequenceStartEvent: _Builder.begin,
    yaml.MappingStartEvent: _Builder.begin,
    yaml.SequenceEndEvent: _Builder.end,
    yaml.MappingEndEvent: _Builder.end,
}
