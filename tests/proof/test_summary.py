"""What `kvsim run` prints: the verdict first and last, and what fits on a screen between."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import judge
from kvsim.proof.summary import WIDTH, _folded, headline, render_summary
from tests.proof.test_proof import run_inside_fault_and_load
from tests.report.runs import failed_run

FOLDER = Path("runs/latest")


def lines_of(run) -> list[str]:
    record = RunRecord.load(run)
    return render_summary(judge(record), record, FOLDER).splitlines()


def test_the_verdict_and_why_are_first_and_last(tmp_path):
    lines = lines_of(failed_run(tmp_path))
    assert lines[0].startswith("FAIL ") and lines[-1] == "VERDICT: FAIL"
    cause = lines[-2].removeprefix("why: ")
    assert cause and cause[:40] in lines[0]


def test_it_names_the_files_that_hold_the_rest(tmp_path):
    text = "\n".join(lines_of(failed_run(tmp_path)))
    assert f"{FOLDER}/proof.txt" in text and f"{FOLDER}/report.html" in text


@pytest.mark.parametrize("how", ["finished", "interrupted"])
def test_what_was_not_exercised_takes_a_line_each_that_fits(tmp_path, how):
    lines = lines_of(run_inside_fault_and_load(tmp_path, how))
    gaps = lines[lines.index("not exercised") + 1 :]
    gaps = gaps[: gaps.index("")]
    assert gaps and all(len(line) <= WIDTH for line in gaps)


def test_a_run_that_did_not_finish_says_how_it_ended(tmp_path):
    lines = lines_of(run_inside_fault_and_load(tmp_path, "interrupted"))
    assert "the run did not finish: interrupted" in lines
    assert lines[-1] == "VERDICT: UNKNOWN"


def test_the_headline_is_one_line_of_at_most_a_hundred_columns(tmp_path):
    line = headline(judge(RunRecord.load(failed_run(tmp_path))))
    assert "\n" not in line and len(line) <= WIDTH


def test_a_narrow_terminal_gets_narrow_lines(tmp_path):
    """But for what a person copies, and reports of failures."""
    record = RunRecord.load(run_inside_fault_and_load(tmp_path, "finished"))
    proof = judge(record)
    text = render_summary(proof, record, FOLDER, width=80)
    lines = text[text.index("not exercised") :].splitlines()
    wide = [line for line in lines if len(line) > 80]
    assert all(line.startswith(("proof:", "again:", "why:")) for line in wide)
    assert len(headline(proof, 80)) <= 80
    words = (
        "  n2  follower PUT k-4733dbb5102e v-a3839c7050aab8a0  →  ERR read-only, leader is on port"
    )
    assert _folded(words, 100) == [words]
    folded = _folded(words, 60)
    assert max(map(len, folded)) <= 60
    assert " ".join(" ".join(folded).split()) == " ".join(words.split())
