"""A run directory as bytes, and back: it travels from the worker into the database, and to whoever wants to look."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from kvsim.errors import UsageError

PACKED_MAX = 16 << 20  # bytes; a larger one is left behind, and the result says so
LEVEL = 6


def pack(run: Path) -> bytes | None:
    """The folder as .tar.gz, or None when it would be too large. Its name is the top of the archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=LEVEL) as tar:
        for path in sorted(run.rglob("*")):
            if path.is_file() and not path.is_symlink():
                tar.add(path, f"{run.name}/{path.relative_to(run)}", recursive=False)
            if buffer.tell() > PACKED_MAX:
                return None
    return buffer.getvalue()


def unpack(packed: bytes, folder: Path) -> Path:
    """Unpack into `folder`; the run directory. Raises UsageError when it cannot be written or is there already."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        names = tar.getnames()
        run = folder / names[0].partition("/")[0]
        if run.exists():
            raise UsageError(f"{run} is there already")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tar.extractall(folder, filter="data")
        except OSError as error:
            raise UsageError(f"cannot unpack into {folder}: {error}") from error
    return run
