"""The environment a node is started with: small, the same everywhere, without secrets, tagged.

The tag (`KVSIM_RUN=<random>`, `KVSIM_NODE=<name>`) is inherited by everything a node starts. By it
kvsim finds processes that left their group and their session.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

RUN_VARIABLE = "KVSIM_RUN"
NODE_VARIABLE = "KVSIM_NODE"

PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "JAVA_HOME",
    "GOCOVERDIR",
)

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
    r"TOKEN|SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|_AUTH\b"
    r"|^(AWS|AZURE|GITHUB|GH|CI|ACTIONS|SSH)_",
    re.IGNORECASE,
)


def new_run_tag() -> str:
    """A random tag of a run, 32 hexadecimal digits."""
    # `uuid` and `secrets` import modules that a run needs for nothing else.
    return os.urandom(16).hex()


class ProcessTag(Struct, frozen=True):
    """What a process of a node carries in its environment. Without `node`: any node of the run."""

    run: str
    node: str | None = None

    def variables(self) -> dict[str, str]:
        run = {RUN_VARIABLE: self.run}
        return run if self.node is None else {**run, NODE_VARIABLE: self.node}


def clean_environment(
    tag: ProcessTag,
    extra: Mapping[str, str] | None = None,
    *,
    inherit: bool = False,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of a process of a node.

    `extra` is what the user wrote for the program. It overrides everything but the tag. `inherit`
    passes on kvsim's own environment, except secrets and the tags of other runs. `base` replaces
    `os.environ`.
    """
    source = os.environ if base is None else base
    passed_on = {name: value for name, value in source.items() if _passes(name, inherit)}
    return {**DEFAULTS, **passed_on, **FIXED, **(extra or {}), **tag.variables()}


def with_preload(
    env: Mapping[str, str], library: Path, variables: Mapping[str, str]
) -> dict[str, str]:
    """An environment that loads a library before all others, with the variables it reads."""
    libraries = [str(library), *filter(None, [env.get("LD_PRELOAD")])]
    # An address sanitizer has to be the first library; otherwise it stops the program.
    sanitizer = [*filter(None, [env.get("ASAN_OPTIONS")]), "verify_asan_link_order=0"]
    return {
        **env,
        **variables,
        "LD_PRELOAD": ":".join(libraries),
        "ASAN_OPTIONS": ":".join(sanitizer),
    }


def _passes(name: str, inherit: bool) -> bool:
    if name.startswith("KVSIM_"):
        return False
    return not SECRET.search(name) if inherit else name in PASSED_ON
