"""The registry finds diagnostics, also those in a new file, and a diagnostic never raises."""

from __future__ import annotations

import pytest

from kvsim.doctor import diagnostics
from kvsim.doctor.raw_requests import NoReply
from kvsim.doctor.registry import Status, all_diagnostics, diagnose, diagnostic, ok
from kvsim.errors import NodeFailed, UsageError

NEW_FILE = """\
from kvsim.doctor.registry import diagnostic, ok

@diagnostic("Is it new?")
def is_new(program):
    return ok("yes")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One more folder of diagnostics."""
    monkeypatch.setattr(diagnostics, "__path__", [*diagnostics.__path__, str(tmp_path)])
    all_diagnostics.cache_clear()
    yield tmp_path
    all_diagnostics.cache_clear()


def test_starts_is_the_first_and_each_asks_its_question():
    found = all_diagnostics()
    assert next(iter(found)) == "starts"
    assert all(each.question.endswith("?") for each in found.values())


def test_a_new_file_is_found(folder):
    (folder / "new_subject.py").write_text(NEW_FILE)
    assert all_diagnostics()["is_new"].question == "Is it new?"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NodeFailed("n1", "it died"), Status.ERROR),
        (NoReply("it died"), Status.ERROR),
        (UsageError("it died"), Status.SKIPPED),
    ],
)
def test_an_error_is_a_diagnosis(error, status):
    @diagnostic("Does it raise?")
    def raises(program):
        raise error

    diagnosis = raises(None)
    assert (diagnosis.status, diagnosis.observation) == (status, "it died")


def test_the_chosen_diagnostics_are_run_in_order():
    @diagnostic("Does it start?")
    def starts(program):
        return ok("yes")

    @diagnostic("Is it the second?")
    def second(program):
        return ok("yes")

    chosen = {each.name: each for each in (starts, second)}
    assert [each.name for each, _ in diagnose(None, chosen)] == ["starts", "second"]
