"""Compare every start of a node with what the run kept of its start command.

The words of a command are filled in before paths are looked up, because a file may come into being
between the two: a recorded word is the same, or a path that ends with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kvsim.client.description import ClientDescription
from kvsim.config.command_words import CLASS_PATH
from kvsim.history.run_record import RunRecord


def wrong_starts(
    record: RunRecord, nodes: Mapping[str, ClientDescription]
) -> Iterator[tuple[int, str]]:
    """The line of each start that is not how the program is started, and what is wrong."""
    for line, event in enumerate(record.events, 1):
        node = nodes.get(event.get("node", "")) if event.kind == "spawn" else None
        if node is None or event["attached"]:
            continue
        if node.start and not _is_command(event["argv"], node.start, node.program.folder):
            yield line, f"{event['node']} is not started by `{' '.join(event['argv'])}`"
        within_s = event.get("ready_within_s")
        if node.ready_within_s is not None and within_s != node.ready_within_s:
            yield line, f"{event['node']} has {node.ready_within_s} s to be ready, not {within_s}"


def _is_command(argv: Sequence[str], words: Sequence[str], folder: Path) -> bool:
    before = ("", *words)
    return len(argv) == len(words) and all(
        _is_class_path(recorded, word, folder)
        if previous in CLASS_PATH
        else _is_word(recorded, word, folder)
        for recorded, word, previous in zip(argv, words, before, strict=False)
    )


def _is_word(recorded: str, word: str, folder: Path) -> bool:
    return recorded == word or ("\0" not in word and recorded == str(folder / word))


def _is_class_path(recorded: str, word: str, folder: Path) -> bool:
    parts, words = recorded.split(":"), word.split(":")
    return len(parts) == len(words) and all(
        _is_word(part, word, folder) for part, word in zip(parts, words, strict=True)
    )
