"""What the pages of lists share, `kvsim serve`'s and a campaign's: one style, filters, tables.

A page stands alone: it holds its style and its script, and fetches nothing.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

STYLE = Path(__file__).parent / "pages.css"
SCRIPT = Path(__file__).parent / "filters.js"

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def page(title: str, body: str) -> str:
    """A whole page. `body` is HTML, `title` text."""
    return PAGE.format(
        title=html.escape(title),
        style=STYLE.read_text(encoding="utf-8"),
        body=body,
        script=SCRIPT.read_text(encoding="utf-8"),
    )


def filters(values: Mapping[str, Iterable[str]]) -> str:
    """A select for each name, with its values; the rows of `table` are chosen by them."""
    selects = "".join(_select(name, sorted(set(found))) for name, found in values.items())
    return f'<form class="filters">{selects}<output aria-live="polite"></output></form>'


def _select(name: str, values: Sequence[str]) -> str:
    options = "".join(
        f'<option value="{html.escape(value)}">{html.escape(value)}</option>' for value in values
    )
    every = '<option value="">all</option>'
    return f'<label>{name}<select name="{name}">{every}{options}</select></label>'


def table(caption: str, headings: Mapping[str, str], rows: Iterable[str], *, filtered: bool) -> str:
    """A table. `headings`: heading → class of its column; each row comes from `row`.

    `filtered`: its rows are chosen by the filters of the page; another table is one of rates.
    """
    heads = "".join(
        f'<th scope="col"{_class(kind)}>{html.escape(heading)}</th>'
        for heading, kind in headings.items()
    )
    kind, kind_of_body = ("", "filtered") if filtered else ("rates", "")
    body = "\n".join(rows)
    label = f' aria-label="{html.escape(caption)}"'
    return (
        f'<table role="table"{_class(kind)}{label}><thead><tr>{heads}</tr></thead>'
        f"<tbody{_class(kind_of_body)}>{body}</tbody></table>"
    )


def row(cells: Sequence[tuple[str, str, str]], data: Mapping[str, str] | None = None) -> str:
    """A row of cells, each (label on a phone, class, HTML). `data`: what filters choose it by."""
    values = "".join(f' data-{name}="{html.escape(value)}"' for name, value in (data or {}).items())
    texts = "".join(
        f'<td role="cell"{_label(label)}{_class(kind)}>{text}</td>' for label, kind, text in cells
    )
    return f'<tr role="row"{values}>{texts}</tr>'


def verdict(word: str) -> str:
    """A verdict or an ending, in its colour."""
    return f'<span class="verdict {html.escape(word.split()[0])}">{html.escape(word)}</span>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _label(label: str) -> str:
    return f' data-label="{html.escape(label)}"' if label else ""
