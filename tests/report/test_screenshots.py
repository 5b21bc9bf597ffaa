"""The screenshots in docs/, of real runs. KVSIM_SCREENSHOTS=docs/images writes them there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.browser import browser, missing

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(missing()), reason=missing() or "available"),
]

SCENARIO = """scenario: a-bad-afternoon
title: A follower hangs, the leader is killed, and nothing that was acknowledged is lost
cluster: {root}/cluster.yaml
vars: {{k: random_key, v: random_value, w: random_value}}
request_timeout: 300ms
steps:
  - group: All is well
    steps:
      - put: {{at: leader, key: "{{k}}", value: "{{v}}", expect: ok}}
      - get: {{at: leader, key: "{{k}}", expect: {{value: "{{v}}"}}}}
      - put: {{at: each follower, key: "{{k}}", value: "{{w}}", expect: refused}}
  - group: A follower hangs
    steps:
      - fault:
          pause: n2
          do:
            - put: {{at: leader, key: "{{k}}", value: "{{w}}", expect: ok}}
            - get: {{at: n2, key: "{{k}}", expect: unknown}}
            - sleep: {{for: 2s, why: a person looks for the cause}}
  - group: The leader is killed
    steps:
      - fault:
          kill: leader
          do:
            - put: {{at: each follower, key: "{{k}}", value: lost, expect: ok}}
      - get: {{at: leader, key: "{{k}}", expect: {{value: "{{w}}"}}}}
"""


STALE = """scenario: stale
title: The leader’s answers fit one order of events
cluster: {root}/clusters/replicated-async.yaml
steps:
  - load: {{start: busy, at: leader, clients: 5, keys: 6}}
  - sleep: {{for: 1s, why: the load runs meanwhile}}
  - load: {{stop: busy}}
"""
LOADED = """scenario: busy
title: Twelve clients write and read while the leader is killed and comes back
cluster: {root}/cluster.yaml
steps:
  - group: Load
    steps:
      - load: {{start: busy, clients: 12, keys: 8}}
      - sleep: {{for: 500ms, why: load before the fault}}
      - fault: {{kill: leader, do: [{{sleep: {{for: 300ms, why: the leader stays down}}}}]}}
      - sleep: {{for: 600ms, why: load after it}}
      - load: {{stop: busy}}
"""


def recorded(folder: Path, name: str, text: str, status: int, *more: str) -> Path:
    """The run directory of a real run."""
    root = Path(__file__).parents[2]
    (folder / f"{name}.yaml").write_text(text.format(root=root))
    command = [
        sys.executable,
        "-m",
        "kvsim",
        "run",
        f"{name}.yaml",
        "--out",
        str(folder / "runs"),
        "--seed",
        "4127",
        *more,
    ]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    return folder / "runs" / "latest"


@pytest.fixture
def images(tmp_path) -> Path:
    wanted = Path(os.environ.get("KVSIM_SCREENSHOTS", tmp_path))
    wanted.mkdir(parents=True, exist_ok=True)
    return wanted


def test_screenshots_of_a_failed_run(tmp_path, images):
    run = recorded(tmp_path, "a-bad-afternoon", SCENARIO, 1)
    with browser(1320, 1010) as page:
        page.open(run / "report.html")
        page.screenshot(images / "timeline.png")
        page.resize(1320, 1480)
        page.open(run / "report.html")
        page.keys("e")
        page.screenshot(images / "timeline-error.png")
        assert page.errors() == []
    assert all(
        (images / f"{name}.png").stat().st_size > 40_000 for name in ("timeline", "timeline-error")
    )


def test_a_screenshot_of_a_load(tmp_path, images):
    run = recorded(tmp_path, "busy", LOADED, 0)
    with browser(1320, 1010) as page:
        page.open(run / "report.html")
        page.screenshot(images / "timeline-load.png")
        assert page.errors() == []


def test_a_screenshot_of_a_violation(tmp_path, images):
    # With a link, the screenshot shows a user's path.
    (tmp_path / "nodes").symlink_to(Path(__file__).parents[2] / "nodes")
    run = recorded(
        tmp_path,
        "stale",
        STALE,
        1,
        "--program",
        "nodes/broken/async.yaml",
        "-o",
        "bug=leader_reads_are_stale",
    )
    with browser(1320, 1010) as page:
        page.open(run / "report.html")
        page.keys("e")
        assert page.run("return timeline.state.highlighted.size") >= 2
        page.screenshot(images / "timeline-violation.png")
        assert page.errors() == []
