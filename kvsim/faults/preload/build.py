"""Build the library that is preloaded into nodes, with the machine's own C compiler, into a cache.

The name in the cache holds a digest of sources, compiler, options and machine. A library appears
there by one rename, so that any number of runs may build it at once. It ends with the SHA-256 of
all bytes before, which loaders ignore: one that was cut, edited or replaced is built again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from kvsim.errors import UsageError
from kvsim.folders import find_paths

SOURCES = Path(__file__).with_name("library")
COMPILERS = ("cc", "gcc", "clang")
OPTIONS = ("-std=gnu11", "-O2", "-fPIC", "-shared")
LIBRARIES = ("-ldl", "-pthread")
DIGEST_BYTES = hashlib.sha256().digest_size
BUILD_WITHIN_S = 60.0
ERROR_LINES_MAX = 5


class NotBuilt(UsageError):
    """There is no library: no compiler, or the compiler failed. The message states what to do."""


def build_library(*folders: Path) -> Path:
    """The library, in the first of the folders that accepts it; default: the user's cache.

    Built when it is not there as it was built. Raises NotBuilt.
    """
    compiler = find_compiler()
    sources = find_paths(SOURCES, "*.[ch]")
    digest = hashlib.sha256("\0".join((os.uname().machine, compiler, *OPTIONS)).encode())
    for source in sources:
        digest.update(source.read_bytes())
    name = f"preload-{digest.hexdigest()[:16]}.so"
    first_error = ""
    for folder in folders or (cache_folder(),):
        path = folder / name
        try:
            if not _is_as_built(path):
                _compile(compiler, [file for file in sources if file.suffix == ".c"], path)
            return path
        except OSError as error:
            first_error = first_error or f"{folder}: {error.strerror}"
    raise NotBuilt(f"the library for faults of disks and clocks cannot be put into {first_error}")


def find_compiler() -> str:
    """The C compiler of this machine: `CC`, or one of the usual names. Raises NotBuilt."""
    names = [os.environ["CC"]] if os.environ.get("CC") else list(COMPILERS)
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise NotBuilt(
            "faults of disks and clocks need a C compiler, and there is no "
            f"{', '.join(names)} here "
            "(on Debian: apt-get install gcc libc6-dev; or name one in CC)"
        )
    return found


def cache_folder() -> Path:
    """This user's cache of kvsim (XDG base directories)."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home) / "kvsim"


def _is_as_built(path: Path) -> bool:
    """Raises OSError when the file is there and cannot be read."""
    if not path.is_file():
        return False
    data = path.read_bytes()
    return hashlib.sha256(data[:-DIGEST_BYTES]).digest() == data[-DIGEST_BYTES:]


def _append_digest(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).digest()
    with path.open("ab") as file:
        file.write(digest)


def _compile(compiler: str, sources: list[Path], path: Path) -> None:
    """Raises NotBuilt, OSError."""
    subject = "the library for faults of disks and clocks"
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
                timeout=BUILD_WITHIN_S,
            )
            if done.returncode:
                errors = done.stderr.splitlines()[:ERROR_LINES_MAX]
                lines = "\n".join(f"    {line}" for line in errors)
                raise NotBuilt(f"{compiler} did not build {subject}:\n{lines}")
            _append_digest(draft)
            draft.chmod(0o755)
            draft.replace(path)
    except subprocess.TimeoutExpired:
        raise NotBuilt(f"{compiler} did not end within {BUILD_WITHIN_S:g}s on {subject}") from None
