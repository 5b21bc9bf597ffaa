"""Small wrong changes of files that are right: the same for one seed.

A test draws a new seed each time and prints it; KVSIM_FUZZ_SEED sets it, to see a failure again.
"""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Iterator
from typing import Any

import yaml

# Values that have broken readers of files before, here or elsewhere.
TEXTS = [
    *("", "~", "null", "true", "no", "0", "-1", "1e999", "NaN", "inf", "9" * 30, "0x10", "1.5"),
    *("0s", "1ms", "5s", "24h", "25h", "{", "}", "{x}", "{{x}}", "{key}", "{all:x", "{port}"),
    *("..", "/", "../x", "/etc/passwd", ".", "*", "**", "~root", "a" * 300, "a/b\\0", "("),
    *("(.+)+$", "leader", "each follower", "any", "majority", "n1", "n9", "client", "ok"),
    *("refused", "served", "KILL", "STOP", "a b", "a\nb", "é\u202e", "\U0001f4a5", "lines"),
    *("resp", "http", "kvstore"),
]


def fuzz_seed() -> int:
    """The seed of this test."""
    given = os.environ.get("KVSIM_FUZZ_SEED")
    return int(given) if given else random.SystemRandom().randrange(10**9)


def changed_bytes(data: bytes, rng: random.Random, pieces: list[bytes]) -> bytes:
    """The bytes with one to three changes: a cut, a repetition, a flipped bit, a piece."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(changed) + 1)
        stop = min(len(changed), start + rng.choice([1, 1, 2, 8, 64, 100_000]))
        how = rng.randrange(4)
        if how == 0:
            del changed[start:stop]
        elif how == 1:
            changed[start:start] = changed[start:stop]
        elif how == 2 and start < len(changed):
            changed[start] ^= 1 << rng.randrange(8)
        else:
            changed[start:stop] = rng.choice(pieces)
    return bytes(changed)


def parse(text: str) -> Any:
    """YAML as texts, lists and mappings."""
    return yaml.load(text, Loader=yaml.CBaseLoader)


def dump(tree: Any) -> str:
    return yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=200)


def changed_tree(tree: Any, rng: random.Random, texts: list[str]) -> Any:
    """A copy of the tree with one change: an entry left out, twice, elsewhere, or another text."""
    changed = copy.deepcopy(tree)
    places = list(_places(changed))
    container, key = rng.choice(places)
    how = rng.randrange(5)
    if how == 0:
        del container[key]
    elif how == 1 and isinstance(container, list):
        container.insert(key, container[key])
    elif how == 2 and isinstance(container, list) and len(container) > 1:
        other = rng.randrange(len(container))
        container[key], container[other] = container[other], container[key]
    elif how == 3:
        source, name = rng.choice(places)
        container[key] = copy.deepcopy(source[name])
    else:
        container[key] = rng.choice(texts)
    return changed


def texts_in(tree: Any) -> Iterator[str]:
    """Every text of the tree."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        for item in tree:
            yield from texts_in(item)
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from texts_in(value)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of every value in the tree."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])
