"""Programs under test: the store of tests/hostile with one behaviour, described by a node.yaml.

It has short time limits: some behaviours are found only when a limit has passed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.cli.loading import load_program
from kvsim.doctor.program_under_test import ProgramUnderTest
from kvsim.errors import Problem

STORE = Path(__file__).parents[1] / "hostile" / "store.py"
NODE_YAML = """\
program: hostile
start: ["{python}", -I, STORE, "--host={host}", "--port={port}", "--data-dir={data_dir}",
  "--role={role}", --how=BEHAVIOUR]
ready: {log: "listening on port", port: owned, within: 1s}
stop: {signal: TERM, grace: 500ms}
keeps: nothing
speak: lines
requests: {put: "PUT {key} {value}", get: "GET {key}", ping: PING}
replies:
  put: {ok: "^OK$"}
  get: {value: "^VALUE (?P<value>.*)$", not_found: "^NOT_FOUND$"}
  ping: {ok: "^PONG$"}
"""
TIMEOUT_S = 0.5

Make = Callable[..., ProgramUnderTest]


@pytest.fixture
def program_under_test(tmp_path: Path) -> Make:
    """`program_under_test(behaviour, change)`; its node.yaml, changed, is in `tmp_path`."""

    def make(behaviour: str, change: Callable[[str], str] = str) -> ProgramUnderTest:
        path = tmp_path / "node.yaml"
        text = NODE_YAML.replace("STORE", json.dumps(str(STORE)))
        path.write_text(change(text.replace("BEHAVIOUR", behaviour)))
        problems: list[Problem] = []
        program = load_program(path, problems)
        assert program, problems
        return ProgramUnderTest(program, timeout_s=TIMEOUT_S)

    return make
