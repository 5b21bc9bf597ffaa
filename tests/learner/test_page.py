"""The commands of docs/your-own-store.md work, in a folder that holds only the learner's build/."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "your-own-store.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_every_command_of_the_page_succeeds_in_order(home, kvsim):
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert lines
    for line in lines:
        done = kvsim(*shlex.split(line, comments=True)[1:])
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_the_description_on_the_page_describes_the_store(home, kvsim):
    # The later blocks are lines for other stores.
    described = blocks("yaml")[0]
    kvsim("init", "--program", "./build/kvstore", "--client", "./build/kv_client")
    (home / "node.yaml").write_text(described)
    done = kvsim("run", "roles.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
