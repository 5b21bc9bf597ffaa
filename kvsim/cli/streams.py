"""Standard streams that decide nothing: a failed write never changes what a command does.

`safe_streams` replaces stdout and stderr for one command. Text that came from a node, a file or a
folder cannot speak to a terminal or to a CI runner: control characters are escaped, and letters
that the encoding lacks are replaced.
"""

from __future__ import annotations

import contextlib
import os
import sys

from kvsim.text import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TextIO

# Letters of kvsim's own output that an encoding may lack.
PLAIN_LETTERS = {"→": "->", "…": "...", "–": "-", "·": "-", "×": "x", "≤": "<=", "≥": ">="}


def escape_commands(text: str, *, blank: bool) -> str:
    r"""The text without what GitHub's runner takes for a command: `::` at the beginning of a line
    becomes `\x3a:`, and `##[` anywhere `#\u0023[`. `blank`: the line before the text is blank.
    """
    if "##[" in text:
        text = text.replace("##[", "#\\u0023[")
    if ":" not in text:
        return text
    lines = text.splitlines(keepends=True)
    begin = 0 if blank else 1
    return "".join([*lines[:begin], *map(_escape_command, lines[begin:])])


def _escape_command(line: str) -> str:
    command = line.lstrip()
    # The next write may bring the second colon.
    if not command.startswith("::") and command != ":":
        return line
    return line[: len(line) - len(command)] + "\\x3a" + command[1:]


class SafeStream:
    """A text stream whose writes never fail.

    After the first failed write (a closed pipe, a full disk) it writes nothing more. `trusted` is
    the same stream without escapes, for colours and for kvsim's own commands to a CI runner.
    `before_write` is called before each write.
    """

    def __init__(self, stream: TextIO, *, escapes: bool = True) -> None:
        self._stream = stream
        self._escapes = escapes
        self._for_ci = escapes and not stream.isatty()
        # Whether the last line that was written has nothing but blanks yet.
        self._blank = True
        self.at_line_begin = True
        self.before_write: Callable[[], None] | None = None
        self.error: OSError | ValueError | None = None
        self.trusted: SafeStream = SafeStream(stream, escapes=False) if escapes else self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; the number of its characters."""
        if self.error is None and text:
            if self.before_write:
                self.before_write()
            self._attempt(self._safe(text))
            self.at_line_begin = text.endswith("\n")
            _, newline, last = text.rpartition("\n")
            self._blank = (self._blank or bool(newline)) and not last.strip()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def write_raw(self, text: str) -> None:
        """Write text of kvsim's own that is no output: it is shown at once and leaves no trace."""
        if self.error is None:
            self._attempt(text)
            self._attempt("")

    def flush(self) -> None:
        """Flush; errors are kept in `error`."""
        if self.error is None:
            self._attempt("")

    def _safe(self, text: str) -> str:
        if self._escapes:
            text = escape(text)
        if self._for_ci:
            text = escape_commands(text, blank=self._blank)
        return text

    def _attempt(self, text: str) -> None:
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(_degraded(text, self._stream.encoding or "ascii"))
            if not text or text.endswith("\n"):
                self._stream.flush()
        except (OSError, ValueError) as error:
            self.error = error
            # Python flushes the stream once more at its exit, and would report the error again.
            with contextlib.suppress(OSError, ValueError):
                _to_null(self._stream.fileno())


def _degraded(text: str, encoding: str) -> str:
    """The text in letters that the encoding has."""
    for letter, plain in PLAIN_LETTERS.items():
        text = text.replace(letter, plain)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


def trusted(stream: TextIO) -> TextIO:
    """The stream without escapes, for text that is kvsim's own."""
    if isinstance(stream, SafeStream):
        # It has all that a text stream has, most of it by delegation.
        return stream.trusted  # type: ignore[return-value]
    return stream


def note_line_begin(stream: TextIO) -> None:
    """The cursor is at the begin of a line, also where the last text did not end one."""
    if isinstance(stream, SafeStream):
        stream.at_line_begin = stream.trusted.at_line_begin = True


def is_broken(stream: TextIO) -> bool:
    """Whether a write has failed: what would print for ever ends then."""
    if not isinstance(stream, SafeStream):
        return False
    return stream.error is not None or stream.trusted.error is not None


def open_missing_descriptors() -> None:
    """Open /dev/null for each of stdin, stdout and stderr that was closed when kvsim was started.

    Otherwise the next file that is opened would take its number, and be written to by every print.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor: this one.
            os.open(os.devnull, os.O_RDWR)


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """stdout and stderr are safe within; then they are flushed and restored."""
    open_missing_descriptors()
    before = sys.stdout, sys.stderr
    null = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - pathlib is not yet needed
    try:
        out, err = (SafeStream(stream if stream is not None else null) for stream in before)
        sys.stdout, sys.stderr = out, err
        yield
    finally:
        out.flush()
        if isinstance(out.error, OSError) and not isinstance(out.error, BrokenPipeError):
            print(f"kvsim: stdout could not be written: {out.error.strerror}", file=sys.stderr)
        err.flush()
        sys.stdout, sys.stderr = before
        null.close()
