"""`kvsim run`: how to begin, and the table of several runs."""

from __future__ import annotations

import pytest

from kvsim.cli import main, run_many
from kvsim.cli.output import table


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_in_an_empty_folder_it_says_how_to_begin(capsys):
    assert main(["run"]) == 4
    assert "kvsim init --demo" in capsys.readouterr().err


def test_where_scenarios_are_it_names_them(tmp_path, capsys):
    (tmp_path / "scenarios").mkdir()
    for name in ("durability", "roles"):
        (tmp_path / f"scenarios/{name}.yaml").touch()
    assert main(["run"]) == 4
    error = capsys.readouterr().err
    assert "`kvsim run scenarios/roles.yaml`" in error and "scenarios/durability.yaml" in error


def test_ps_is_status(capsys):
    assert main(["ps"]) == 4
    assert "cluster.yaml" in capsys.readouterr().err


ROWS = [
    ("verdict", "scenario", "first deviation", "run directory"),
    ("pass", "roles", "", "20260101-120000-roles"),
    ("fail", "storms/majority", "step 2.1 (get at leader): " + "n1: got not found " * 9, "2026-x"),
]


@pytest.mark.parametrize(("columns", "heads"), [(120, 4), (80, 4), (70, 3)])
def test_the_table_of_several_runs_fits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int, heads: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    fitted = run_many._fitted(ROWS)
    lines = table(fitted[0], fitted[1:]).splitlines()
    assert [len(row) for row in fitted] == [heads] * 3
    assert max(map(len, lines)) <= columns
    assert lines[2].startswith("fail     storms/majority  step 2.1 (get at leader)")
