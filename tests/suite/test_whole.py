"""`kvsim test` as a whole: on stores with one planted bug each, and on a learner's store in C."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LEARNER = ROOT / "tests/learner"
# The first scenario, which is always run, shows these bugs.
SHORT = "4s"


def whole_test(folder: Path, program: Path, time: str, *more: str) -> tuple[int, dict[str, dict]]:
    """The exit status, and the subjects by name."""
    command = [sys.executable, "-m", "kvsim", "test", str(program), "--for", time, "--json", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.stdout, done.stderr
    rows = json.loads(done.stdout)["subjects"]
    return done.returncode, {row["subject"]: row for row in rows}


@pytest.mark.parametrize(
    ("bug", "subject", "check"),
    [
        ("follower_accepts_put", "roles", "writes_only_at_leader"),
        ("deletes_keep_the_key", "values", "acknowledged_writes_are_read"),
        ("counts_deleted_keys", "values", "status_counts_keys"),
        ("shares_a_file", "manners", "files_stay_in_data_directory"),
    ],
)
def test_a_planted_bug_breaks_its_subject(tmp_path, bug, subject, check):
    program = ROOT / "nodes/broken/node.yaml"
    code, subjects = whole_test(tmp_path, program, SHORT, "-o", f"bug={bug}")
    assert code == 1
    assert subjects[subject]["state"] == "broken"
    found = [row for row in subjects[subject]["findings"] if row["what"] == check]
    assert found and all("kvsim run" in row["command"] for row in found)


def test_a_learners_store_in_c(tmp_path):
    """It drops leading blanks, and cuts values at 1,023 bytes; its roles are as they should be."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    (tmp_path / "build").mkdir()
    for name in ("kvstore", "kv_client"):
        target, source = str(tmp_path / "build" / name), str(LEARNER / f"{name}.c")
        subprocess.run(["cc", "-w", "-pthread", "-o", target, source], check=True, timeout=180)
    shutil.copy(LEARNER / "node.yaml", tmp_path)
    code, subjects = whole_test(tmp_path, tmp_path / "node.yaml", "2m")
    assert code == 1
    parts = {row["part"] for row in subjects["values"]["findings"]}
    assert {"values_text", "values_lengths"} <= parts
    assert subjects["roles"]["state"] == "holds"
    # On a busy machine a load may end as `invalid`, or have no time; it is no fault of the store.
    assert subjects["consistency"]["state"] != "broken"
    assert subjects["replication"]["state"] == "not exercised"
