"""Printing: colours at a terminal, plain text elsewhere, and tables.

rich is imported only at a terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from kvsim.cli.streams import trusted
from kvsim.text import escape

if TYPE_CHECKING:
    from rich.text import Text

WIDTH_MIN, WIDTH_MAX = 60, 100
FORCE = ("FORCE_COLOR", "CLICOLOR_FORCE")
# Pattern -> style, at a terminal: what begins a row, states in a table, headings. Never words
# within a sentence.
STYLES = {
    r"^ {2,4}ok(?= )|^PASS(?= )|(?<=  )up(?=  )|(?<=VERDICT: )PASS": "green",
    (
        r"^ {2,4}FAIL(?= )|^FAIL(?= )|(?<=  )down(?=  )|(?<=VERDICT: )FAIL"
        r"|^  (?:MISSED|FALSE ALARM|NO PROOF)(?= )"
    ): "bold red",
    (
        r"^(?: {2,4})?(?:UNKNOWN|INVALID|skipped|ended)(?= )|(?<=VERDICT: )(?:UNKNOWN|INVALID)"
    ): "yellow",
    r"^[A-Z][A-Z ]{5,}": "bold",
}


def is_terminal(stream: TextIO) -> bool:
    """Whether to use colours and live progress: a terminal, and neither NO_COLOR nor TERM=dumb.

    An empty NO_COLOR changes nothing (https://no-color.org).
    """
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def uses_colour(stream: TextIO) -> bool:
    """A terminal, or FORCE_COLOR or CLICOLOR_FORCE: colours also in a pipe, without progress."""
    forced = any(os.environ.get(name, "0") not in ("", "0") for name in FORCE)
    return is_terminal(stream) or (forced and not os.environ.get("NO_COLOR"))


def text_width(stream: TextIO) -> int:
    """How wide text may be: the terminal, from 60 to 100 columns; 100 elsewhere."""
    if not is_terminal(stream):
        return WIDTH_MAX
    return max(WIDTH_MIN, min(WIDTH_MAX, shutil.get_terminal_size().columns))


def show(text: str, stream: TextIO | None = None) -> None:
    """Print text; at a terminal with the important words coloured."""
    stream = stream or sys.stdout
    if not uses_colour(stream):
        print(text, file=stream, end="" if text.endswith("\n") else "\n")
        return
    from rich.console import Console

    Console(file=trusted(stream), force_terminal=True, highlight=False, soft_wrap=True).print(
        styled(text)
    )


def styled(text: str) -> Text:
    """The text for rich, escaped, with the important words coloured."""
    from rich.text import Text

    result = Text(escape(text.rstrip("\n")))
    for pattern, style in STYLES.items():
        result.highlight_regex(f"(?m){pattern}", style)
    return result


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, two spaces apart, nothing truncated: to be read, grepped and cut."""
    cells = [list(heads), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
