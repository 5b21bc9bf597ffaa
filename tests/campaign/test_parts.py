"""The parts of a campaign without workers and runs."""

from __future__ import annotations

import contextlib
import html.parser
import json
import sqlite3
from pathlib import Path

import pytest

from kvsim.campaign.archive import pack, unpack
from kvsim.campaign.database import Database
from kvsim.campaign.page import page_of
from kvsim.campaign.plan import CampaignPlan, Case, case_of
from kvsim.campaign.summary import summary_of, text_of
from kvsim.cli.loading import load_cluster_of, load_scenarios
from kvsim.errors import UsageError
from kvsim.trials.trial import Ending, Trial, TrialResult

CASES = tuple(
    Case(f"scenarios/{name}.yaml", ("--program", program), name, program, faults, "d")
    for program in ("mine", "theirs")
    for name, faults in (("roles", ("none",)), ("storm", ("kill", "pause")))
)
PLAN = CampaignPlan(CASES, first_seed=5, seeds=3, limit_s=10)


@pytest.fixture
def database(tmp_path: Path):
    made = Database(tmp_path / "campaign.sqlite")
    yield made
    made.close()


def fill(database: Database) -> None:
    for trial in PLAN.trials():
        bad = trial.labels["program"] == "theirs" and trial.seed == 6
        symptom = "lost <b>everything</b>" if bad else ""
        result = TrialResult(
            Ending.FAIL if bad else Ending.PASS,
            1.0,
            1 if bad else 0,
            "check x" if bad else "",
            symptom,
        )
        assert database.add(trial, result, "here", b"packed" if bad else None)


def test_a_plan_is_every_case_with_every_seed_and_every_trial_has_its_own_key():
    trials = list(PLAN.trials())
    assert len(trials) == PLAN.planned == len({trial.key for trial in trials}) == 12
    assert {trial.seed for trial in trials} == {5, 6, 7}


def test_a_cell_of_a_matrix_is_a_case(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "cluster: c\nprogram: {program: p, start: [x]}\nnodes: {n1: {role: leader}}\n"
    )
    (tmp_path / "s.yaml").write_text(
        "scenario: s\ncluster: c.yaml\nmatrix: {v: [1, 2]}\n"
        'steps: [{put: {at: leader, key: k, value: "{v}"}}]\n'
    )
    found = load_scenarios(tmp_path / "s.yaml")
    cases = tuple(
        case_of(each, load_cluster_of(each), tmp_path / "s.yaml", ("-o", "a=b")) for each in found
    )
    assert [(case.name, case.arguments) for case in cases] == [
        ("s[v=1]", ("--cell", "v=1", "-o", "a=b")),
        ("s[v=2]", ("--cell", "v=2", "-o", "a=b")),
    ]
    assert len({trial.key for trial in CampaignPlan(cases, 1, 1, 1.0).trials()}) == 2


def test_a_result_is_recorded_once(database):
    trial = Trial("s.yaml", 1, (), {"scenario": "s", "program": "p", "faults": "none"})
    assert not database.has(trial)
    assert database.add(trial, TrialResult(Ending.PASS, 1.0), "one", None)
    assert not database.add(trial, TrialResult(Ending.FAIL, 2.0), "other", None)
    assert database.has(trial) and database.counts() == {Ending.PASS: 1}


def test_a_campaign_does_not_continue_with_another_plan(database):
    database.check_settings({"first seed": "5"})
    database.check_settings({"first seed": "5", "text of x": "aa"})
    with pytest.raises(UsageError, match=r"begun with another text of x .*another --out"):
        database.check_settings({"text of x": "bb"})


def test_rates_are_by_scenario_by_program_and_by_fault(database):
    fill(database)
    database.set_setting("planned", "12")
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
    assert [(group.failed_at, group.count) for group in summary.groups] == [
        ("check x", 1),
        ("check x", 1),
    ]
    assert database.archive(summary.numbers[0]) == b"packed"
    assert "--unpack" in text_of(summary)
    json.dumps(summary.to_json())


def test_a_missing_run_is_no_pass(database):
    database.add(Trial("s", 1), TrialResult(Ending.PASS, 1.0), "here", None)
    database.set_setting("planned", "2")
    assert summary_of(database).exit == 2


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        fetched = [value for name, value in attrs if name in {"src", "href"} and value != "data:,"]
        assert tag not in {"img", "iframe"} and not fetched, "the page stands alone"


def test_the_page_shows_messages_as_text_and_fetches_nothing(database):
    fill(database)
    page = page_of(summary_of(database), "<campaign>")
    assert "lost &lt;b&gt;everything&lt;/b&gt;" in page
    parsed = _Tags()
    parsed.feed(page)
    assert parsed.tags.count("table") == 4


def test_a_run_directory_is_unpacked_unchanged(tmp_path):
    run = tmp_path / "there" / "20260101-roles"
    (run / "nodes/n1").mkdir(parents=True)
    (run / "proof.json").write_text("{}")
    (run / "nodes/n1/1.log").write_bytes(b"\xff\x00 line\n")
    found = unpack(pack(run), tmp_path / "here")
    assert found.name == run.name
    assert (found / "nodes/n1/1.log").read_bytes() == b"\xff\x00 line\n"
    with pytest.raises(UsageError, match="there already"):
        unpack(pack(run), tmp_path / "here")


def test_a_database_of_another_format_is_named_with_its_version(tmp_path):
    made = Database(tmp_path / "x.sqlite")
    made.set_setting("format", "77")
    made.set_setting("kvsim", "9.9")
    made.close()
    with pytest.raises(UsageError, match=r"format 77, written by kvsim 9\.9"):
        Database(tmp_path / "x.sqlite")


def test_a_database_of_another_program_is_not_written(tmp_path):
    path = tmp_path / "x.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE songs (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="cannot be used"):
        Database(path)
    assert path.read_bytes() == before


def test_an_edited_database_is_named(database):
    fill(database)
    database._db.execute("UPDATE runs SET ending = 'great', trial = '[]', archive = 'x'")
    number = database._db.execute("SELECT number FROM runs").fetchone()[0]
    for read in (database.counts, lambda: database.archive(number)):
        with pytest.raises(UsageError, match="damaged or was edited"):
            read()
    with pytest.raises(UsageError):
        unpack(b"no archive", database.path.parent)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "x.sqlite").write_text("hello, I am a text\n" * 100)
    with pytest.raises(UsageError, match=r"x\.sqlite: cannot be used"):
        Database(tmp_path / "x.sqlite")
