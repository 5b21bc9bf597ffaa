"""What CI reads: annotations with paths from the top of the repository, JUnit with totals."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from kvsim.errors import UsageError
from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import Proof, judge
from kvsim.report.github import _relative
from kvsim.report.junit import edited_junit, junit
from kvsim.run_directory import RunDirectory
from tests.report.runs import failed_run


def test_a_path_is_from_the_workspace_of_github(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "store" / "scenarios" / "a.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path / "store" / "scenarios")
    assert _relative(Path("a.yaml")) == "store/scenarios/a.yaml"


def test_without_a_workspace_it_is_from_the_repository_around_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.yaml").touch()
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path / "store")
    assert _relative(Path("a.yaml")) == "store/a.yaml"


def test_a_scenario_that_was_skipped_is_in_junit_and_in_its_totals() -> None:
    root = ElementTree.fromstring(
        junit([], files={"elects": "s/elects.yaml"}, skipped=[("elects", "it has no `elects`")])
    )
    assert {
        name: root.get(name) for name in ("tests", "skipped", "failures", "errors", "time")
    } == {
        "tests": "1",
        "skipped": "1",
        "failures": "0",
        "errors": "0",
        "time": "0.000",
    }
    (case,) = root.iter("testcase")
    assert case.get("file") == "s/elects.yaml"
    skipped = case.find("skipped")
    assert skipped is not None and skipped.get("message") == "it has no `elects`"


def junit_file(folder: Path) -> tuple[Path, RunDirectory, Proof]:
    run = failed_run(folder / "runs/written")
    proof = judge(RunRecord.load(run))
    file = folder / "junit.xml"
    file.write_text(junit([(run, proof)], files={"written": "scenarios/written.yaml"}))
    return file, run, proof


def test_a_junit_file_is_what_its_run_gives_wherever_both_are(tmp_path: Path) -> None:
    file, run, proof = junit_file(tmp_path)
    assert edited_junit(file, run, proof) == []
    moved = RunDirectory(run.path.rename(tmp_path / "written"))
    assert edited_junit(file, moved, proof) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<failure ", "<skipped ", "is not what the recorded run gives"),
        (' failures="', ' failures="1', "the figures of written are not"),
        ('runs/written"', 'runs/another"', "has no test suite of written"),
        ("<testsuites ", "<x><testsuites ", "cannot be read as JUnit XML"),
        ('<testsuites name="kvsim" tests="', '<testsuites name="kvsim" tests="9', "its totals"),
    ],
)
def test_an_edited_junit_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    file, run, proof = junit_file(tmp_path)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1 if "testsuites" in old else -1))
    if "<failure" in old:
        file.write_text(file.read_text().replace("</failure>", "</skipped>"))
    try:
        problems = edited_junit(file, run, proof)
    except UsageError as error:
        problems = [str(error)]
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith(f"{file}: ") for problem in problems)
