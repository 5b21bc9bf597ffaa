"""Patients: the store of tests/hostile in one of its behaviours, described by a node.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.client.connect import settings_of
from kvsim.config.program_file import Around, load_program
from kvsim.doctor.patient import Patient

STORE = Path(__file__).parents[1] / "hostile" / "store.py"
PROGRAM = """\
program: patient
start: ["{python}", -I, STORE, "--host={host}", "--port={port}", "--data-dir={data_dir}", "--role={role}", --how=HOW]
ready: {log: "listening on port", port: owned, within: 2s}
speak: lines
requests: {put: "PUT {key} {value}", get: "GET {key}", ping: PING}
replies:
  put: {ok: "^OK$"}
  get: {value: "^VALUE (?P<value>.*)$", not_found: "^NOT_FOUND$"}
  ping: {ok: "^PONG$"}
"""


@pytest.fixture
def patient(tmp_path: Path) -> Callable[[str], Patient]:
    """`patient(how)`."""

    def make(how: str) -> Patient:
        path = tmp_path / "node.yaml"
        path.write_text(PROGRAM.replace("STORE", json.dumps(str(STORE))).replace("HOW", how))
        problems: list = []
        program = load_program(str(path), tmp_path, problems, Around(settings_of=settings_of))
        assert program, problems
        return Patient(program)

    return make
