"""Put a timeline's data, style and scripts into one HTML file that opens offline and fetches
nothing.

The parts are beside this file. A content security policy in the page forbids every fetch. The data
is escaped, so that no log line, key or value can end the script element that contains it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvsim.text import escape_surrogates

PARTS = Path(__file__).parent

# In the order of their dependencies: each uses only those above it, until the page has started.
SCRIPTS = (
    "dom.js",
    "decode.js",
    "clock.js",
    "lanes.js",
    "colours.js",
    "view.js",
    "draw.js",
    "charts.js",
    "overview.js",
    "selection.js",
    "logs.js",
    "verdict.js",
    "search.js",
    "keys.js",
    "pointer.js",
    "main.js",
)


def render_page(data: Mapping[str, Any]) -> str:
    """The whole page. `data` is that of `model.timeline_data`."""
    about = data["about"]
    return (
        _part("page.html")
        .replace("{{title}}", html.escape(f"{about['scenario']}: {about['verdict'].upper()}"))
        .replace("{{style}}", _part("timeline.css"))
        .replace("{{script}}", "\n".join(_part(name) for name in SCRIPTS))
        .replace("{{data}}", _escaped_json(data))
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _escaped_json(data: Mapping[str, Any]) -> str:
    """JSON for a script element: it contains no `<`, so nothing in it can be markup."""
    text = escape_surrogates(json.dumps(data, separators=(",", ":"), ensure_ascii=False))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
