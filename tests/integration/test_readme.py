"""The proof in the README is a proof as kvsim prints it, except for numbers and drawn words."""

from __future__ import annotations

import re


def masked(text: str) -> list[str]:
    """The lines, with a placeholder for what differs from run to run."""
    text = re.sub(r"\b[kv]-[0-9a-f]+", "DRAWN", text)
    text = re.sub(r"pid +\d+ +", "pid N ", text)
    text = re.sub(r"127\.0\.0\.1:\d+ +", "ADDRESS ", text)
    text = re.sub(r"(?m)^again: .*kvsim run", "again: kvsim run", text)
    text = re.sub(r"(?m)^time limits: .*", "TIME LIMITS", text)
    return [re.sub(r"\d{4,}", "N", line).rstrip() for line in text.splitlines()]


def test_the_readme_shows_a_proof_as_it_is_printed(project, root):
    shown = re.search(r"```text\n(NODES.*?)```", (root / "README.md").read_text(), re.DOTALL)[1]
    printed = masked(project.run("run", "scenarios/roles.yaml", "--seed", "4127", "--full").stdout)
    for line in masked(shown):
        assert line in printed, f"README.md shows a line that is not printed: {line}"
