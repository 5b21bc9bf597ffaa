"""`kvsim run` without a scenario: how to begin."""

from __future__ import annotations

import pytest

from kvsim.cli import main


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
