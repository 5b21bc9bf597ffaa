"""CHANGELOG.md is true: `kvsim lint` names the new word of each old one, and new options exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kvsim.cli import command_parser, main
from kvsim.errors import UsageError
from kvsim.history.run_record import RunRecord
from kvsim.run_directory import RunDirectory

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
SCENARIO = """\
scenario: old
cluster: {root}/cluster.yaml
steps:
  - {step}
checks: [{check}]
"""
GET = "get: {at: n1, key: k}"
# The step of a scenario that has the old word, by what the page says about its place.
STEPS = {
    "step `fault`": {
        "receipt": "fault: {pause: n1, receipt: optional, do: [get: {at: n2, key: k}]}",
        "drop": "fault: {drop: {from: n1, to: n2}, do: [get: {at: n2, key: k}]}",
    },
    "`kill`": {"into": "fault: {kill: {at: n1, into: 2ms}, do: [get: {at: n2, key: k}]}"},
    "`crash`": {"most": "fault: {crash: {at: n1, file: x, most: 7}, do: [get: {at: n2, key: k}]}"},
    "`crash`, value of `how`": {
        "garble": "fault: {crash: {at: n1, file: x, how: garble}, do: [get: {at: n2, key: k}]}"
    },
    "step `storm`": {
        "hits": "storm: {for: 1s, hits: [leader]}",
        "last": "storm: {for: 1s, last: 1s}",
        "quiet": "storm: {for: 1s, quiet: 1s}",
    },
    "`faults` of a `storm`": {"drop": "storm: {for: 1s, faults: {drop: 1}}"},
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    section = PAGE.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    table = section.partition("| --- |")[2].partition("\n\n")[0]
    lines = table.splitlines()[1:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


WORDS = rows("Keys and words of YAML files")
OPTIONS = rows("Options of commands")


def old_file(kind: str, where: str, old: str, folder: Path) -> Path:
    """A file that has an old word in its place."""
    path = folder / f"{kind.removesuffix('.yaml')}.yaml"
    if kind == "scenario":
        check = old if where == "`checks`" else "nodes_start"
        step = GET if where == "`checks`" else STEPS[where][old]
        text = SCENARIO.format(root=ROOT, step=step, check=check)
    elif kind == "plan":
        text = f"plan: p\nprogram: {ROOT}/nodes/kvstore\nscenarios: []\n{old}: flag\n"
    elif kind == "bugs.yaml":
        text = (ROOT / "nodes/broken/bugs.yaml").read_text(encoding="utf-8")
        text = text.replace("{description:", f"{{{old}:", 1)
    else:
        program = (ROOT / "nodes/kvstore/node.yaml").read_text(encoding="utf-8")
        if where == "top level":
            text = program.replace("guarantees:", f"{old}:")
        else:
            text = f"{program}status: {{role: $.role, {old}: $.{old}}}\n"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_tables_are_found():
    assert len(WORDS) >= 15 and len(OPTIONS) == 3


@pytest.mark.parametrize(("kind", "where", "old", "new"), WORDS, ids=lambda cell: cell.strip("`"))
def test_lint_names_the_new_word(kind, where, old, new, tmp_path, capsys):
    path = old_file(kind, where, old.strip("`"), tmp_path)
    assert main(["lint", str(path)]) == 4
    output = capsys.readouterr()
    assert f'"{old.strip("`")}"; it is called {new} now' in output.out + output.err


@pytest.mark.parametrize(("command", "old", "new"), OPTIONS, ids=lambda cell: cell.strip("`"))
def test_the_new_option_exists_and_the_old_one_does_not(command, old, new):
    text = command_parser(command.strip("`").split()[1]).format_help()
    assert new.strip("`").split()[0] in text
    assert not re.search(rf"{re.escape(old.strip('`').split()[0])}\b", text)


def test_a_run_directory_of_an_earlier_version_is_refused_with_a_reason(tmp_path):
    run = RunDirectory(tmp_path)
    run.meta.write_text(json.dumps({"again": "python -m kvsim run x.yaml"}))
    run.journal.touch()
    with pytest.raises(UsageError, match="written by an earlier version of kvsim"):
        RunRecord.load(run)
