"""Build the library that is preloaded into nodes, once a machine and user: with the machine's own C compiler, into a cache.

The name in the cache holds a digest of sources, compiler and options, and a library appears there whole, so that any number of
runs may build it at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from kvsim.errors import UsageError

SOURCES = Path(__file__).with_name("library")
COMPILERS = ("cc", "gcc", "clang")
OPTIONS = ("-std=gnu11", "-O2", "-fPIC", "-shared")
LIBRARIES = ("-ldl", "-pthread")
WITHIN_S = 60.0
LINES_MAX = 5


class NotBuilt(UsageError):
    """There is no library: no compiler, or it did not take the sources. The message says what to do."""


def library(*places: Path) -> Path:
    """The library, built when it is not there yet, in the first of the places (the user's cache alone, if none is named) that takes it.

    Raises NotBuilt.
    """
    compiler = find_compiler()
    sources = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256("\0".join((compiler, *OPTIONS)).encode())
    for source in sources:
        digest.update(source.read_bytes())
    name = f"preload-{digest.hexdigest()[:16]}.so"
    refused = ""
    for place in places or (cache_folder(),):
        try:
            if not (place / name).is_file():
                _build(compiler, [source for source in sources if source.suffix == ".c"], place / name)
            return place / name
        except OSError as error:
            refused = refused or f"{place}: {error.strerror}"
    raise NotBuilt(f"the library for faults of disks and clocks cannot be put into {refused}")


def find_compiler() -> str:
    """The C compiler of this machine: `CC`, or one of the usual names. Raises NotBuilt."""
    wanted = [os.environ["CC"]] if os.environ.get("CC") else list(COMPILERS)
    found = next((path for name in wanted if (path := shutil.which(name))), None)
    if found is None:
        raise NotBuilt(
            f"faults of disks and clocks need a C compiler, and there is no {', '.join(wanted)} here "
            "(on Debian: apt-get install gcc libc6-dev; or name one in CC)"
        )
    return found


def cache_folder() -> Path:
    """Where this user's caches are, by the usual rule."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home) / "kvsim"


def _build(compiler: str, sources: list[Path], path: Path) -> None:
    """Raises NotBuilt, OSError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".building-") as folder:
            draft = Path(folder) / path.name
            done = subprocess.run(
                [compiler, *OPTIONS, "-o", str(draft), *map(str, sources), *LIBRARIES],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=WITHIN_S,
            )
            if done.returncode:
                lines = "\n".join(f"    {line}" for line in done.stderr.splitlines()[:LINES_MAX])
                raise NotBuilt(
                    f"{compiler} did not build the library for faults of disks and clocks:\n{lines}"
                )
            draft.chmod(0o755)
            draft.replace(path)
    except subprocess.TimeoutExpired:
        raise NotBuilt(
            f"{compiler} did not end within {WITHIN_S:g}s on the library for faults of disks and clocks"
        ) from None
