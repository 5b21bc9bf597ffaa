"""The pages of lists in a real browser: `kvsim serve`'s and a campaign's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvsim.campaign.database import Database
from kvsim.campaign.page import page_of
from kvsim.campaign.summary import summary_of
from kvsim.report.run_list import list_page
from kvsim.trials.trial import Ending, Trial, TrialResult
from tests.report.browser import Page, browser, missing
from tests.report.runs import META, failed_run

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(missing()), reason=missing() or "available"),
]
WHY = "n2: got ok; n3: got refused (other): 'ERR readonly: leader is on port 18744'"
RUNS = {
    "20260101-100000-roles": ("roles", "kvstore", "pass"),
    "20260102-110000-majority": ("storms/majority", "kvstore-majority", "fail"),
    "20260103-120000-repeat-roles/20260103-120001-roles": ("roles", "mine", "fail"),
    "20260104-130000-values": ("values", "mine", "unknown"),
    "20260105-140000-values": ("values", "mine", "invalid"),
    "20260106-150000-durable": ("durable", "kvstore", ""),
}


def write_run(path: Path, scenario: str, program: str, verdict: str) -> None:
    run = failed_run(path)
    when = f"{path.name[:4]}-{path.name[4:6]}-{path.name[6:8]} 10:00:00 +0000"
    nodes = {name: {**node, "program": program} for name, node in META["nodes"].items()}
    run.write_meta({**META, "scenario": scenario, "when": when, "nodes": nodes})
    step = {"id": "2.1", "verb": "put", "at": "each follower", "result": verdict, "why": WHY}
    proof = {"verdict": verdict, "steps": [step], "checks": []}
    if verdict:
        run.proof_json.write_text(json.dumps(proof))


def write_list(folder: Path) -> Path:
    for name, values in RUNS.items():
        write_run(folder / "runs" / name, *values)
    page = folder / "list.html"
    page.write_text(list_page(folder / "runs"))
    return page


def write_campaign(folder: Path) -> Path:
    database = Database(folder / "campaign.sqlite")
    failures = [
        (Ending.FAIL, "mine", "step 2.1 (put at each follower)", WHY),
        (Ending.UNKNOWN, "mine", "step 1.1 (put at leader)", "n1: got unknown (timeout)"),
        (Ending.FAIL, "theirs", "check exits_clean", "n1 ignored SIGTERM for # s; killed"),
    ]
    for seed in range(24):
        program = "mine" if seed % 2 else "theirs"
        labels = {"scenario": "roles", "program": program, "faults": "kill"}
        database.add(Trial("roles.yaml", seed, (), labels), TrialResult(Ending.PASS, 1.0), "", None)
    for seed, (ending, program, position, symptom) in enumerate(failures, 100):
        labels = {"scenario": "majority", "program": program, "faults": "pause, kill"}
        repeat = f".venv/bin/python -m kvsim run scenarios/storms/majority.yaml --seed {seed}"
        result = TrialResult(
            ending, 2.0, failed_at=position, symptom=symptom, repeat_command=repeat
        )
        database.add(Trial("majority.yaml", seed, (), labels), result, "here", b"")
    database.set_setting("planned", "30")
    page = folder / "campaign.html"
    page.write_text(page_of(summary_of(database), "kvsim campaign nightly"))
    database.close()
    return page


WRITERS = {"list": write_list, "campaign": write_campaign}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def page(request, chromium, tmp_path) -> Iterator[Page]:
    # Of the page before.
    chromium.errors(), chromium.requests()
    chromium.open(WRITERS[request.param](tmp_path))
    yield chromium
    assert chromium.errors() == []


@pytest.mark.parametrize("page", WRITERS, indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1320, 800, 390])
def test_a_list_is_accessible(page, scheme, width):
    """WCAG 2.1 A and AA, by axe-core; and nothing is wider than the screen."""
    with page.shown_as(scheme, width):
        assert page.violations() == []
        assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")


def shown(page: Page) -> list[str]:
    return page.run(
        "return [...document.querySelectorAll('tbody.filtered tr')]"
        ".filter((row) => row.offsetParent).map((row) => row.innerText)"
    )


@pytest.mark.parametrize("page", ["list"], indirect=True)
def test_filters_choose_runs_and_are_kept_in_the_address(page):
    assert len(shown(page)) == len(RUNS)
    assert page.text("output") == "6 shown"
    # By keyboard alone.
    page.keys("\ue004" + "f")
    (majority, roles) = shown(page)[::-1]
    assert "majority" in majority and "roles" in roles
    assert "step 2.1 (put at each follower): n2: got ok" in roles
    assert page.text("output") == "2 of 6 shown"
    assert page.run("return location.hash") == "#verdict=fail"
    page.keys("\ue004\ue004" + "m")
    assert ["part of 20260103-120000-repeat-roles" in text for text in shown(page)] == [True]
    page.driver.refresh()
    page.settle()
    assert len(shown(page)) == 1
    assert page.run("return document.querySelector('[name=program]').value") == "mine"


@pytest.mark.parametrize("page", ["campaign"], indirect=True)
def test_kinds_of_failures_are_chosen_by_program(page):
    assert len(shown(page)) == 3
    page.keys("\ue004\ue004\ue004" + "t")
    (only,) = shown(page)
    assert "exits_clean" in only and "majority" in only
    assert not [address for address in page.requests() if address.startswith(("http", "ws"))]
