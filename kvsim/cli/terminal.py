"""What a person at a terminal gets beyond plain text: colours and tables. Piped output stays plain, and rich is not imported for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

WORDS = {  # what is coloured at a terminal: marks that begin a row, states in a table, headings; never words in a sentence
    r"^ {2,4}ok(?= )|(?<=  )up(?=  )|(?<=VERDICT: )PASS": "green",
    r"^ {2,4}FAIL(?= )|(?<=  )down(?=  )|(?<=VERDICT: )FAIL|^  (?:MISSED|FALSE ALARM|NO PROOF)(?= )": "bold red",
    r"^ {2,4}(?:UNKNOWN|INVALID|skipped|ended)(?= )|(?<=VERDICT: )(?:UNKNOWN|INVALID)": "yellow",
    r"^[A-Z][A-Z ]{5,}": "bold",
}


def is_terminal(stream: TextIO) -> bool:
    """Whether colours and live progress are wanted there: a terminal, and neither NO_COLOR nor TERM=dumb."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def show(text: str, stream: TextIO | None = None) -> None:
    """Print text; at a terminal with the important words coloured."""
    stream = stream or sys.stdout
    if not is_terminal(stream):
        print(text, file=stream, end="" if text.endswith("\n") else "\n")
        return
    from rich.console import Console
    from rich.text import Text

    styled = Text(text.rstrip("\n"))
    for pattern, style in WORDS.items():
        styled.highlight_regex(f"(?m){pattern}", style)
    Console(file=stream, highlight=False, soft_wrap=True).print(styled)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, two spaces apart, nothing cut off: to be read, grepped and cut."""
    cells = [list(heads), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
