"""A cluster file's nodes, as many as are wanted: followers left out from the end, or added like the last one. Pure: from tree to tree."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvsim.config.yaml_tree import Fields, Scalar, Tree

OF_ONE_NODE = ("port", "ports")  # what no two nodes can share


def resized(cluster: Fields, count: int) -> Fields:
    """The cluster's tree with `count` nodes. Leaders stay, so that there may be more of them than that."""
    entries = tuple(
        (key, _nodes(value, count) if key.text == "nodes" and isinstance(value, Fields) else value)
        for key, value in cluster.entries
    )
    return Fields(cluster.mark, entries)


def _nodes(nodes: Fields, count: int) -> Fields:
    kept = list(nodes.entries)
    for entry in reversed(nodes.entries):
        if len(kept) > count and not _leads(entry[1]):
            kept.remove(entry)
    last = next((entry for entry in reversed(kept) if not _leads(entry[1])), kept[-1] if kept else None)
    if last is not None:
        names = _new_names(last[0], {key.text for key, _ in kept})
        kept += [(next(names), _follower_like(last[1])) for _ in range(count - len(kept))]
    return Fields(nodes.mark, tuple(kept))


def _leads(node: Tree) -> bool:
    role = node.get("role") if isinstance(node, Fields) else None
    return isinstance(role, Scalar) and role.text == "leader"


def _new_names(like: Scalar, taken: set[str]) -> Iterator[Scalar]:
    stem = re.sub(r"\d+$", "", like.text) or "n"
    number = 0
    while True:
        number += 1
        if f"{stem}{number}" not in taken:
            yield Scalar(like.mark, f"{stem}{number}")


def _follower_like(node: Tree) -> Tree:
    if not isinstance(node, Fields):
        return node
    kept = [(key, value) for key, value in node.entries if key.text not in OF_ONE_NODE]
    return Fields(
        node.mark,
        tuple((key, Scalar(value.mark, "follower") if key.text == "role" else value) for key, value in kept),
    )
