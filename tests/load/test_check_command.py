"""`kvsim check` on files: kvsim's own, those of others, and what cannot be judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvsim.cli import main
from kvsim.history.history import History
from kvsim.history.history_file import save
from kvsim.history.operations import Operations

STALE = (  # the second read shows what the second write had replaced
    ("put", "a", 0, 10),
    ("put", "b", 20, 30),
    ("get", "a", 40, 50),
)
FRESH = (*STALE[:2], ("get", "b", 40, 50))


def saved(folder: Path, rows) -> Path:
    operations = Operations()
    for number, (kind, value, call, back) in enumerate(rows):
        operations.add(call, back, number, "k", kind, value)
    save(History(operations), folder / "w.history")
    return folder / "w.history"


@pytest.mark.parametrize(("rows", "status"), [(STALE, 1), (FRESH, 0)])
def test_the_exit_status_is_the_verdict(tmp_path, capsys, rows, status):
    assert main(["check", str(saved(tmp_path, rows))]) == status
    assert ("linearizable" in capsys.readouterr().out) is True


def test_an_export_is_judged_alike(tmp_path, capsys):
    export = tmp_path / "w.jsonl"
    main(["check", str(saved(tmp_path, STALE)), "--export", str(export)])
    assert main(["check", str(export), "--format", "kvsim-jsonl"]) == 1


def test_promises_decide_what_fails(tmp_path, capsys):
    file = str(saved(tmp_path, STALE))
    assert main(["check", file, "--promise", "leader_reads=none", "--json"]) != 1
    told = json.loads(capsys.readouterr().out)
    (linearizable,) = [one for one in told["checks"] if one["name"] == "linearizable"]
    assert linearizable["promised"] is False and linearizable["found"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--promise", "leader_reads"], "expected WHAT=WORD"),
        (["--promise", "leader_reads=fast"], "it is one of"),
        (["--format", "kvsim-jsonl"], "cannot be read"),
    ],
)
def test_what_cannot_be_judged_is_one_line(tmp_path, capsys, words, said):
    file = tmp_path / "none" if "--format" in words else saved(tmp_path, FRESH)
    assert main(["check", str(file), *words]) == 4
    assert said in capsys.readouterr().err
