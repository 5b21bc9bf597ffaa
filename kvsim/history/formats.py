"""The formats of histories that kvsim reads besides its own binary one. One table; each a pure function
from text.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kvsim.errors import UsageError
from kvsim.history import history_file
from kvsim.history.exported import read_export
from kvsim.history.history import History
from kvsim.history.jepsen import read_edn, read_log
from kvsim.history.operations import Operations
from kvsim.history.porcupine import read_json_lines

FORMATS: dict[str, Callable[[str, str], Operations]] = {
    "kvsim-jsonl": read_export,
    "jepsen-edn": read_edn,
    "jepsen-log": read_log,
    "porcupine-jsonl": read_json_lines,
}


BINARY = "kvsim"  # the format of history_file
NAMES = (BINARY, *FORMATS)


def read(format_name: str, path: Path) -> History:
    """The history in `path`, in one of NAMES. Raises UsageError for an unknown format, an unreadable file
    or a line that is wrong.
    """
    if format_name == BINARY:
        return history_file.load(path)
    if format_name not in FORMATS:
        raise UsageError(f"there is no format {format_name!r}; formats are {', '.join(NAMES)}")
    return History(FORMATS[format_name](_text(path), str(path)), origin=str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not text in UTF-8 ({error.reason} at byte {error.start})") from error
