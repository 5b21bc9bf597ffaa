"""Write docs/reference/ out of the code's own tables: `make docs`. A test holds the committed pages against this."""

from __future__ import annotations

import sys
from pathlib import Path

from kvsim.checks.table import CHECKS, about
from kvsim.cli import COMMANDS, parser_of
from kvsim.config.schema import reference_markdown

FOLDER = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """File name → text, for every reference page."""
    languages = {
        f"{kind}.md": reference_markdown(kind) for kind in ("cluster", "program", "scenario", "plan")
    }
    return {**languages, "checks.md": _checks(), "commands.md": _commands()}


def _checks() -> str:
    rows = "\n".join(f"| `{name}` | {about(name)} | {_judges(name)} |" for name in CHECKS)
    return (
        "# Checks\n\nEvery run is judged by all of them. A scenario's `checks:` lists those that must have had something to "
        "look at: required and not exercised makes the run invalid.\n\n| check | what it holds | what it judges |\n| --- | --- | --- |\n"
        f"{rows}\n"
    )


def _judges(name: str) -> str:
    return " ".join((CHECKS[name].judge.__doc__ or "").split())


def _commands() -> str:
    parts = [
        f"## kvsim {name}\n\n```text\n{parser_of(name).format_help().rstrip()}\n```\n" for name in COMMANDS
    ]
    return "# Commands\n\n" + "\n".join(parts)


def main() -> int:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
