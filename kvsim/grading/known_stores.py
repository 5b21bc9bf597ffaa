"""Known stores in a submission: is it Redis? Names and texts, and where they were found.

A match is a suspicion, never a verdict.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from kvsim.folders import find_paths

# Store → names of its programs.
COMMANDS = {
    "redis": ("redis-server", "redis-check-rdb", "redis-sentinel"),
    "valkey": ("valkey-server",),
    "keydb": ("keydb-server",),
    "dragonfly": ("dragonfly",),
    "etcd": ("etcd",),
    "memcached": ("memcached",),
    "postgresql": ("postgres", "postmaster"),
    "mongodb": ("mongod",),
    "consul": ("consul",),
    "mysql": ("mysqld", "mariadbd"),
}
# Store → texts in its program, under any name.
SIGNATURES = {
    "redis": ("redis_version:", "Redis is now ready to exit, bye bye"),
    "valkey": ("valkey_version:", "Valkey is now ready to exit"),
    "keydb": ("KeyDB is now ready to exit", "keydb_version"),
    "dragonfly": ("dragonfly_version:",),
    "etcd": ("go.etcd.io/etcd/server", "etcdserver: request timed out"),
    "memcached": ("memcached_version", "slab reassignment"),
    "mongodb": ("mongodb.conf",),
    "consul": ("github.com/hashicorp/consul/",),
}
READ_MAX = 64 << 20
FILES_MAX = 20_000


def matches_in_folder(folder: Path) -> list[str]:
    """One line for each known store whose texts a file of the submission contains."""
    found: dict[str, str] = {}
    for path in _files(folder):
        data = _read(path)
        for store, texts in SIGNATURES.items():
            if store not in found and any(text.encode() in data for text in texts):
                found[store] = f"{path.relative_to(folder)} holds texts of {store}"
    return list(found.values())


def matches_in_usage(usage_file: Path) -> list[str]:
    """One line for each known store that ran, as the sandbox's first process observed it."""
    try:
        usage = json.loads(usage_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    names = {Path(word).name for pair in usage["programs"] for word in pair}
    by_name = [
        f"{store} ran: {name}"
        for store, programs in COMMANDS.items()
        for name in programs
        if name in names
    ]
    by_text = [
        f"{exe}, which ran, holds texts of {store}" for store, exe in usage["matched"].items()
    ]
    return by_name + by_text


def _files(folder: Path) -> Iterator[Path]:
    for path in find_paths(folder, "**/*")[:FILES_MAX]:
        if path.is_file() and not path.is_symlink():
            yield path


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(READ_MAX)
    except OSError:
        return b""
