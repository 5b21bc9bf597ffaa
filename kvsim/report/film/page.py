"""Put a film's data, style and scripts into one HTML file that opens anywhere, offline, and fetches nothing.

The parts stand beside this file. A content policy in the page forbids every fetch; data is escaped so that no log line, key or
value can end the script it stands in.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARTS = Path(__file__).parent
SCRIPTS = (  # in the order in which they need each other
    "dom.js",
    "unpack.js",
    "clock.js",
    "lanes.js",
    "colours.js",
    "paint.js",
    "charts.js",
    "overview.js",
    "moment.js",
    "logs.js",
    "verdict.js",
    "search.js",
    "keys.js",
    "main.js",
)


def page(data: Mapping[str, Any]) -> str:
    """The whole page."""
    about = data["about"]
    return (
        _part("page.html")
        .replace("{{title}}", html.escape(f"{about['scenario']}: {about['verdict'].upper()}"))
        .replace("{{style}}", _part("film.css"))
        .replace("{{script}}", "\n".join(_part(name) for name in SCRIPTS))
        .replace("{{data}}", _embedded(data))
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _embedded(data: Mapping[str, Any]) -> str:
    """JSON that may stand inside a script element: without `<`, so that nothing in it can be markup."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
