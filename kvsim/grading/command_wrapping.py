"""A program's node.yaml for one submission: each of its commands behind the words that limit it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from msgspec import Struct

from kvsim.config.yaml_nodes import (
    Fields,
    Items,
    Scalar,
    SourceLocation,
    Tree,
    flow_style,
    replace_text,
)

NO_LOCATION = SourceLocation("", 0, 0)
COMMAND_LISTS = ("init", "after_start")
COMMANDS_BY_ROLE = ("run", "leader", "follower")


def wrap_commands(
    program: Fields, folder: str, node_prefix: Sequence[str], client_prefix: Sequence[str]
) -> str:
    """The text of a node.yaml whose relative paths and `{program_dir}` mean `folder`.

    `node_prefix` goes before commands of a node (it may use {data_dir}), `client_prefix` before
    those of a command-line client.
    """
    wrapping = _Wrapping(folder, tuple(node_prefix), tuple(client_prefix))
    own_client = _kind_of(program.get("speak")) == "command"
    lines = []
    for key, value in program.entries:
        value = replace_text(value, "{program_dir}", folder)
        lines.append(f"{key.text}: {flow_style(wrapping.entry(key.text, value, own_client))}\n")
    return "".join(lines)


def _kind_of(speak: Tree | None) -> str:
    if isinstance(speak, Fields):
        speak = speak.get("kind")
    return speak.text if isinstance(speak, Scalar) else ""


class _Wrapping(Struct, frozen=True):
    """How each kind of command is rewritten."""

    folder: str
    node_prefix: tuple[str, ...]
    client_prefix: tuple[str, ...]

    def entry(self, key: str, value: Tree, own_client: bool) -> Tree:
        if key == "start":
            return self.command(value)
        if key in COMMAND_LISTS and isinstance(value, Items):
            return Items(value.location, tuple(map(self.command, value.items)))
        if key == "stop" and isinstance(value, Fields):
            return self.stop(value)
        if key == "requests" and own_client and isinstance(value, Fields):
            requests = tuple((verb, self.request(tree)) for verb, tree in value.entries)
            return Fields(value.location, requests)
        return value

    def command(self, value: Tree) -> Tree:
        """A list of arguments, or a mapping with such lists under COMMANDS_BY_ROLE."""
        if isinstance(value, Items):
            return self.prefixed(value, self.node_prefix)
        if isinstance(value, Fields):
            entries = (
                (key, self.command(tree) if key.text in COMMANDS_BY_ROLE else tree)
                for key, tree in value.entries
            )
            return Fields(value.location, tuple(entries))
        return value

    def stop(self, value: Fields) -> Fields:
        entries = ((key, self.stop_entry(key.text, tree)) for key, tree in value.entries)
        return Fields(value.location, tuple(entries))

    def stop_entry(self, key: str, value: Tree) -> Tree:
        if key == "command":
            return self.command(value)
        if key == "steps" and isinstance(value, Items):
            steps = (self.stop(step) if isinstance(step, Fields) else step for step in value.items)
            return Items(value.location, tuple(steps))
        return value

    def request(self, value: Tree) -> Tree:
        if isinstance(value, Items):
            return self.prefixed(value, self.client_prefix)
        if isinstance(value, Scalar):
            program, space, rest = value.text.partition(" ")
            command = f"{self.anchored(program)}{space}{rest}"
            text = f"{shlex.join(self.client_prefix)} {command}".strip()
            return Scalar(value.location, text, plain=False)
        entries = (
            (key, self.request(tree) if key.text == "argv" else tree) for key, tree in value.entries
        )
        return Fields(value.location, tuple(entries))

    def prefixed(self, value: Items, prefix: Sequence[str]) -> Items:
        if not value.items or not isinstance(value.items[0], Scalar):
            return value
        program = value.items[0]
        words = [Scalar(NO_LOCATION, word, plain=False) for word in prefix]
        anchored = Scalar(program.location, self.anchored(program.text), plain=False)
        return Items(value.location, (*words, anchored, *value.items[1:]))

    def anchored(self, word: str) -> str:
        """A relative path to a program is relative to the submission's folder."""
        if "/" not in word or word.startswith(("/", "{")):
            return word
        return f"{self.folder}/{word.removeprefix('./')}"
