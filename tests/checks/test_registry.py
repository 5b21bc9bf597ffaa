"""Checks are found by their declaration: one new module is enough to add one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from kvsim.checks.consistency.check import CHECKS as CONSISTENCY_CHECKS
from kvsim.checks.registry import CHECKS
from kvsim.checks.run_record.run_check import LAST, RunCheck
from kvsim.discovery import discover

DECLARATION = '''
from kvsim.checks.run_record.run_check import run_check

@run_check("It holds", order={order})
def {name}(record):
    """Judges
    nothing."""
    return 0, []
'''


def discovered(monkeypatch: pytest.MonkeyPatch, folder: Path, **orders: int) -> dict[str, RunCheck]:
    """What is found in a package with one module a check."""
    package = folder / "some_checks"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, order in orders.items():
        text = DECLARATION.format(name=name.removesuffix("_again"), order=order)
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    try:
        return discover(importlib.import_module("some_checks"), RunCheck)
    finally:
        for module in [name for name in sys.modules if name.startswith("some_checks")]:
            del sys.modules[module]


def test_a_declaration_in_a_new_module_is_found(monkeypatch, tmp_path):
    found = discovered(monkeypatch, tmp_path, late=20, early=10)
    assert list(found) == ["early", "late"]
    assert (found["late"].about, found["late"].judges) == ("It holds", "Judges nothing.")


def test_two_checks_of_one_name_are_refused(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="there is another `one`"):
        discovered(monkeypatch, tmp_path, one=10, one_again=20)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_every_check_says_what_it_holds_and_judges(check):
    assert check.about and not check.about.endswith(".")
    assert check.judges.startswith("Judges ")


def test_shipped_checks_state_their_order():
    for checks in (CHECKS, CONSISTENCY_CHECKS):
        orders = [check.order for check in checks.values()]
        assert orders == sorted(set(orders)) and orders[-1] < LAST
