"""A run directory as bytes, and back: from the worker into the database, and to the user."""

from __future__ import annotations

import io
import tarfile
import zlib
from pathlib import Path

from kvsim.errors import UsageError
from kvsim.folders import find_files

# A larger run directory is not kept.
PACKED_BYTES_MAX = 16 << 20
COMPRESSION = 6


def pack(run: Path) -> bytes | None:
    """The folder as .tar.gz, or None when it is too large. Its name is the top of the archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=COMPRESSION) as tar:
        for path in find_files(run):
            tar.add(path, f"{run.name}/{path.relative_to(run)}", recursive=False)
            if buffer.tell() > PACKED_BYTES_MAX:
                return None
    return buffer.getvalue()


def unpack(packed: bytes, folder: Path) -> Path:
    """Unpack into `folder`; returns the run directory.

    Raises UsageError when it cannot be written, is there already, or is no packed run.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            tops = {name.partition("/")[0] for name in tar.getnames()}
            if len(tops) != 1:
                raise UsageError("the packed run is damaged or was edited: it is not one folder")
            run = folder / tops.pop()
            if run.exists():
                raise UsageError(f"{run} is there already")
            folder.mkdir(parents=True, exist_ok=True)
            tar.extractall(folder, filter="data")
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UsageError(f"cannot unpack into {folder}: {error}") from error
    return run
