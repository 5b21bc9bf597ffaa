"""`kvsim check` on files: kvsim's own format, other formats, and files that cannot be judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvsim.cli import main
from kvsim.history.binary_file import save
from kvsim.history.history import History
from kvsim.history.operations import Operations

# The read returns the value that the second write had replaced.
STALE = (
    ("put", "a", 0, 10),
    ("put", "b", 20, 30),
    ("get", "a", 40, 50),
)
FRESH = (*STALE[:2], ("get", "b", 40, 50))


def saved(folder: Path, rows) -> Path:
    operations = Operations()
    for number, (kind, value, call, returned) in enumerate(rows):
        operations.add(call, returned, number, "k", kind, value)
    save(History(operations), folder / "w.history")
    return folder / "w.history"


@pytest.mark.parametrize(("rows", "status"), [(STALE, 1), (FRESH, 0)])
def test_the_exit_status_is_the_verdict(tmp_path, capsys, rows, status):
    assert main(["check", str(saved(tmp_path, rows))]) == status
    assert ("linearizable" in capsys.readouterr().out) is True


def test_an_export_gets_the_same_verdict(tmp_path, capsys):
    export = tmp_path / "w.jsonl"
    main(["check", str(saved(tmp_path, STALE)), "--export", str(export)])
    assert main(["check", str(export), "--format", "kvsim-jsonl"]) == 1


def test_guarantees_decide_what_fails(tmp_path, capsys):
    file = str(saved(tmp_path, STALE))
    assert main(["check", file, "--guarantee", "leader_reads=none", "--json"]) != 1
    report = json.loads(capsys.readouterr().out)
    (linearizable,) = [item for item in report["checks"] if item["name"] == "linearizable"]
    assert linearizable["guaranteed"] is False and linearizable["found"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--guarantee", "leader_reads"], "expected WHAT=LEVEL"),
        (["--guarantee", "leader_reads=fast"], "it is one of"),
        (["--format", "kvsim-jsonl"], "cannot be read"),
    ],
)
def test_a_mistake_is_one_line_of_error(tmp_path, capsys, options, message):
    file = tmp_path / "none" if "--format" in options else saved(tmp_path, FRESH)
    assert main(["check", str(file), *options]) == 4
    assert message in capsys.readouterr().err


EDN = """{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :read, :value 7}
{:process 0, :type :invoke, :f :write, :value 8}
{:process 0, :type :ok, :f :write, :value 8}
{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :read, :value 8}
"""


def foreign(folder: Path) -> str:
    (folder / "history.edn").write_text(EDN)
    return str(folder / "history.edn")


def test_the_format_is_guessed_and_printed(tmp_path, capsys):
    assert main(["check", foreign(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith(
        "format: jepsen-edn, guessed from the content\nfail: "
    )
    assert main(["check", foreign(tmp_path), "--format", "jepsen-edn", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["format"] == "jepsen-edn"
    assert main(["check", str(saved(tmp_path, FRESH))]) == 0
    assert "format: kvsim, guessed" in capsys.readouterr().out


def test_a_history_may_begin_with_a_value(tmp_path, capsys):
    assert main(["check", foreign(tmp_path), "--initial", "7"]) == 0
    # What is exported keeps it.
    export = tmp_path / "w.jsonl"
    main(["check", foreign(tmp_path), "--initial", "7", "--export", str(export)])
    capsys.readouterr()
    assert main(["check", str(export)]) == 0
    assert "format: kvsim-jsonl, guessed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "is not a history in a format that is known (it begins with 'hello')"),
        (b"{:process 0 :type :invoke :f :txn :value []}", "h:1: :txn is an operation of transact"),
        (b"\xff\xfe{", "is not a history in a format that is known"),
        (b"JEPSEN\0\0\0\1", "cannot be read as a test.jepsen"),
    ],
)
def test_a_file_that_cannot_be_judged_is_an_error(tmp_path, capsys, content, message):
    (tmp_path / "h").write_bytes(content)
    assert main(["check", str(tmp_path / "h")]) == 4
    output = capsys.readouterr()
    assert message in output.err and not output.out
