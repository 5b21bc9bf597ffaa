"""The parts of a campaign that need neither workers nor runs."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import pytest

from kvsim.campaign.archive import pack, unpack
from kvsim.campaign.database import Database
from kvsim.campaign.page import page_of
from kvsim.campaign.plan import Case, Plan, case_of
from kvsim.campaign.summary import summary_of, text_of
from kvsim.config.cluster_file import load_stage
from kvsim.config.scenario_file import load_scenarios
from kvsim.errors import UsageError
from kvsim.trials.trial import Ending, Result, Trial

CASES = tuple(
    Case(f"scenarios/{name}.yaml", ("--program", program), name, program, faults, "d")
    for program in ("mine", "theirs")
    for name, faults in (("roles", ("none",)), ("storm", ("kill", "pause")))
)
PLAN = Plan(CASES, first_seed=5, seeds=3, limit_s=10)


@pytest.fixture
def database(tmp_path: Path):
    made = Database(tmp_path / "campaign.sqlite")
    yield made
    made.close()


def fill(database: Database) -> None:
    for trial in PLAN.trials():
        bad = trial.about["program"] == "theirs" and trial.seed == 6
        what = "lost <b>everything</b>" if bad else ""
        result = Result(
            Ending.FAIL if bad else Ending.PASS, 1.0, 1 if bad else 0, "check x" if bad else "", what
        )
        assert database.add(trial, result, "here", b"packed" if bad else None)


def test_a_plan_is_every_case_with_every_seed_and_every_trial_has_a_key_of_its_own():
    trials = list(PLAN.trials())
    assert len(trials) == PLAN.wanted == len({trial.key for trial in trials}) == 12
    assert {trial.seed for trial in trials} == {5, 6, 7}


def test_a_cell_of_a_matrix_is_a_case_of_its_own(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "cluster: c\nprogram: {program: p, start: [x]}\nnodes: {n1: {role: leader}}\n"
    )
    (tmp_path / "s.yaml").write_text(
        'scenario: s\ncluster: c.yaml\nmatrix: {v: [1, 2]}\nsteps: [{put: {at: leader, key: k, value: "{v}"}}]\n'
    )
    found = load_scenarios(tmp_path / "s.yaml")
    cases = tuple(case_of(one, load_stage(one), tmp_path / "s.yaml", ("-o", "a=b")) for one in found)
    assert [(case.name, case.arguments) for case in cases] == [
        ("s[v=1]", ("--cell", "v=1", "-o", "a=b")),
        ("s[v=2]", ("--cell", "v=2", "-o", "a=b")),
    ]
    assert len({trial.key for trial in Plan(cases, 1, 1, 1.0).trials()}) == 2


def test_a_result_is_recorded_once(database):
    trial = Trial("s.yaml", 1, (), {"scenario": "s", "program": "p", "faults": "none"})
    assert not database.has(trial)
    assert database.add(trial, Result(Ending.PASS, 1.0), "one", None)
    assert not database.add(trial, Result(Ending.FAIL, 2.0), "other", None)
    assert database.has(trial) and database.counts() == {Ending.PASS: 1}


def test_a_campaign_does_not_go_on_with_another_plan(database):
    database.agree({"first seed": "5"})
    database.agree({"first seed": "5", "text of x": "aa"})
    with pytest.raises(UsageError, match=r"begun with another text of x .*another --out"):
        database.agree({"text of x": "bb"})


def test_rates_are_by_scenario_by_program_and_by_fault(database):
    fill(database)
    database.note("wanted", "12")
    summary = summary_of(database)
    rows = {
        heading: {row.label: (row.passed.count, row.made) for row in rows}
        for heading, rows in summary.tables.items()
    }
    assert rows == {
        "scenario": {"roles": (5, 6), "storm": (5, 6)},
        "program": {"mine": (6, 6), "theirs": (4, 6)},
        "fault": {"none": (5, 6), "kill": (5, 6), "pause": (5, 6)},
    }
    assert summary.complete and summary.exit == 1
    assert [(group.place, group.count) for group in summary.groups] == [("check x", 1), ("check x", 1)]
    assert database.archive(summary.numbers[0]) == b"packed"
    assert "--unpack" in text_of(summary)
    json.dumps(summary.to_json())


def test_what_is_missing_is_no_pass(database):
    database.add(Trial("s", 1), Result(Ending.PASS, 1.0), "here", None)
    database.note("wanted", "2")
    assert summary_of(database).exit == 2


class _Seen(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert tag not in {"script", "img", "link", "iframe"}, "the page stands alone and runs nothing"


def test_the_page_shows_messages_as_text_and_fetches_nothing(database):
    fill(database)
    page = page_of(summary_of(database), "<campaign>")
    assert "lost &lt;b&gt;everything&lt;/b&gt;" in page
    seen = _Seen()
    seen.feed(page)
    assert seen.tags.count("table") == 4


def test_a_run_directory_comes_back_as_it_was(tmp_path):
    run = tmp_path / "there" / "20260101-roles"
    (run / "nodes/n1").mkdir(parents=True)
    (run / "proof.json").write_text("{}")
    (run / "nodes/n1/1.log").write_bytes(b"\xff\x00 line\n")
    found = unpack(pack(run), tmp_path / "here")
    assert found.name == run.name
    assert (found / "nodes/n1/1.log").read_bytes() == b"\xff\x00 line\n"
    with pytest.raises(UsageError, match="there already"):
        unpack(pack(run), tmp_path / "here")


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "x.sqlite").write_text("hello, I am a text\n" * 100)
    with pytest.raises(UsageError, match=r"x\.sqlite: cannot be used"):
        Database(tmp_path / "x.sqlite")
