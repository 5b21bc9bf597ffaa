"""A program's node.yaml for one submission: every command of it behind the words that limit it. From tree to text; starts nothing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from kvsim.config.yaml_tree import Fields, Items, Mark, Scalar, Tree, flow, replaced

HERE = Mark("", 0, 0)
COMMANDS_IN_LISTS = ("init", "after_start")


def wrapped(program: Fields, folder: str, beside_data: Sequence[str], anywhere: Sequence[str]) -> str:
    """The text of a node.yaml whose relative paths and `{program_dir}` mean `folder`.

    `beside_data` goes before commands of a node (it may use {data_dir}), `anywhere` before those of a command-line client.
    """
    rule = _Rule(folder, tuple(beside_data), tuple(anywhere))
    by_command = _kind_of(program.get("speak")) == "command"
    entries = [
        (key, rule.entry(key.text, value, by_command))
        for key, value in replaced(program, "{program_dir}", folder).entries
    ]
    return "".join(f"{key.text}: {flow(value)}\n" for key, value in entries)


def _kind_of(speak: Tree | None) -> str:
    if isinstance(speak, Fields):
        speak = speak.get("kind")
    return speak.text if isinstance(speak, Scalar) else ""


class _Rule:
    """How each kind of command is rewritten."""

    def __init__(self, folder: str, beside_data: tuple[str, ...], anywhere: tuple[str, ...]) -> None:
        self.folder, self.beside_data, self.anywhere = folder, beside_data, anywhere

    def entry(self, key: str, value: Tree, by_command: bool) -> Tree:
        if key == "start":
            return self.command(value)
        if key in COMMANDS_IN_LISTS and isinstance(value, Items):
            return Items(value.mark, tuple(self.command(one) for one in value.items))
        if key == "stop" and isinstance(value, Fields):
            return self.stop(value)
        if key == "requests" and by_command and isinstance(value, Fields):
            return Fields(value.mark, tuple((verb, self.request(one)) for verb, one in value.entries))
        return value

    def command(self, value: Tree) -> Tree:
        """A list of arguments, or a mapping that holds some under `run`, `leader`, `follower` or `argv`."""
        if isinstance(value, Items):
            return self.prefixed(value, self.beside_data)
        if isinstance(value, Fields):
            lists = {"run", "leader", "follower"}
            return Fields(
                value.mark, tuple((k, self.command(v) if k.text in lists else v) for k, v in value.entries)
            )
        return value

    def stop(self, value: Fields) -> Fields:
        def one(key: str, tree: Tree) -> Tree:
            if key == "command":
                return self.command(tree)
            if key == "steps" and isinstance(tree, Items):
                return Items(
                    tree.mark,
                    tuple(self.stop(step) if isinstance(step, Fields) else step for step in tree.items),
                )
            return tree

        return Fields(value.mark, tuple((key, one(key.text, tree)) for key, tree in value.entries))

    def request(self, value: Tree) -> Tree:
        if isinstance(value, Items):
            return self.prefixed(value, self.anywhere)
        if isinstance(value, Scalar):
            first, space, rest = value.text.partition(" ")
            return Scalar(
                value.mark, f"{shlex.join(self.anywhere)} {self.anchored(first)}{space}{rest}".strip(), False
            )
        return Fields(
            value.mark, tuple((k, self.request(v) if k.text == "argv" else v) for k, v in value.entries)
        )

    def prefixed(self, value: Items, words: Sequence[str]) -> Items:
        if not value.items or not isinstance(value.items[0], Scalar):
            return value
        first = Scalar(value.items[0].mark, self.anchored(value.items[0].text), False)
        return Items(value.mark, (*(Scalar(HERE, word, False) for word in words), first, *value.items[1:]))

    def anchored(self, word: str) -> str:
        """A relative path to a program is meant from the submission's folder."""
        if "/" not in word or word.startswith(("/", "{")):
            return word
        return f"{self.folder}/{word.removeprefix('./')}"
