"""The environment a node is started with: small, the same everywhere, without secrets, and marked as ours.

The mark (`KVSIM_RUN=<uuid>`, `KVSIM_NODE=<name>`) is inherited by everything a node starts, so strays are
found again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RUN_VARIABLE = "KVSIM_RUN"
NODE_VARIABLE = "KVSIM_NODE"

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LD_LIBRARY_PATH", "JAVA_HOME", "GOCOVERDIR")

DEFAULTS = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
}

FIXED = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONUNBUFFERED": "1",
    "ASAN_OPTIONS": "halt_on_error=1:detect_leaks=0:disable_coredump=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}

SECRET = re.compile(
    r"TOKEN|SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|_AUTH\b|^(AWS|AZURE|GITHUB|GH|CI|ACTIONS|SSH)_",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Mark:
    """What a process of ours carries in its environment. Without `node`, every node of the run is meant."""

    run: str
    node: str | None = None

    def variables(self) -> dict[str, str]:
        own = {RUN_VARIABLE: self.run}
        return own if self.node is None else {**own, NODE_VARIABLE: self.node}

    def entries(self) -> tuple[bytes, ...]:
        """As they stand in /proc/<pid>/environ."""
        return tuple(os.fsencode(f"{name}={value}") for name, value in self.variables().items())


def clean(
    mark: Mark,
    extra: Mapping[str, str] | None = None,
    *,
    inherit: bool = False,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment for one node.

    `extra` is what the user wrote for the program and wins over everything but the mark. `inherit` passes on
    kvsim's own environment except secrets and foreign marks. `base` stands for `os.environ`.
    """
    source = os.environ if base is None else base
    kept = {name: value for name, value in source.items() if _passes(name, inherit)}
    return {**DEFAULTS, **kept, **FIXED, **(extra or {}), **mark.variables()}


def preloading(env: Mapping[str, str], library: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """An environment in which a library is loaded before all others, with the variables that it looks for."""
    libraries = [str(library), *filter(None, [env.get("LD_PRELOAD")])]
    sanitizer = ":".join(
        filter(None, [env.get("ASAN_OPTIONS"), "verify_asan_link_order=0"])
    )  # which wants to be first itself
    return {**env, **variables, "LD_PRELOAD": ":".join(libraries), "ASAN_OPTIONS": sanitizer}


def _passes(name: str, inherit: bool) -> bool:
    if name.startswith("KVSIM_"):
        return False
    return not SECRET.search(name) if inherit else name in KEPT
