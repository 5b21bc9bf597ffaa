"""`kvsim sweep --into`: a variant for each write and delay, and a grid of what its client was told and what was there afterwards."""

from __future__ import annotations

import json

import pytest

from kvsim.config.scenario_file import load_scenario
from kvsim.config.scenario_text import text_of
from kvsim.config.yaml_tree import read_text
from kvsim.repeat.into import Hit, cells_into, grid_into, writes_of
from kvsim.trials.trial import Ending

TREE = read_text(
    """
scenario: s
cluster: cluster.yaml
vars: {a: random_key, unused: random_value}
steps:
  - put: {at: leader, key: "{a}", value: b, eventually: 2s}
  - group: two
    steps:
      - get: {at: leader, key: "{a}"}
      - fault: {kill: leader, do: [{put: {at: n2, key: "{a}", value: x, expect: unreachable}}]}
      - delete: {at: each follower, key: "{a}", expect: {refused: read_only}}
      - put: {at: leader, key: k, value: "{unused}"}
checks: [acknowledged_writes_survive]
""",
    "s.yaml",
    [],
)


def test_rows_are_the_writes_that_no_fault_holds():
    assert list(writes_of(TREE)) == ["1", "2.3", "2.4"]


def test_a_variant_ends_with_its_write_and_a_look_at_the_key(tmp_path, root):
    (tmp_path / "cluster.yaml").write_text((root / "cluster.yaml").read_text())
    cells = cells_into(TREE, ["0ms", "5ms"], "leader")
    assert [cell.name for cell in cells] == [
        "1-into-0ms", "1-into-5ms", "2.3-into-0ms", "2.3-into-5ms", "2.4-into-0ms", "2.4-into-5ms",
    ]  # fmt: skip
    found = {}
    for cell in cells:
        (tmp_path / "v.yaml").write_text(text_of(cell.scenario))
        found[cell.name] = load_scenario(
            tmp_path / "v.yaml"
        )  # a variable that no step uses would be a mistake
    first, last = found["1-into-0ms"], found["2.3-into-5ms"]
    assert [step.verb for step in first.steps] == ["fault", "get"]
    assert first.steps[0].fields["kill"]["into"] == 0.0
    (write,) = first.steps[0].steps
    assert write.timing.eventually_s is None and write.expect.kind == "any_of"
    assert [[step.verb for step in group.steps] for group in last.groups] == [
        ["put"],
        ["get", "fault", "fault", "get"],
    ]
    assert last.checks == ()


def test_a_cell_says_what_the_client_was_told_and_what_was_there():
    hits = {
        "1-into-0ms": [Hit(Ending.PASS, "unknown", False, True)],
        "1-into-5ms": [
            Hit(Ending.PASS, "ok", True, False),
            Hit(Ending.PASS, "ok", True, False),
            Hit(Ending.FAIL, "ok", False, True),
        ],
        "2.3-into-0ms": [Hit(Ending.INVALID, "unreachable", None, None)],
    }
    lines = grid_into(TREE, ["0ms", "5ms"], hits).splitlines()
    assert lines[0].split() == ["write", "0ms", "5ms"]
    assert lines[1].startswith("1      unknown not kept")
    assert "2x ok kept (after), 1x FAIL ok not kept" in lines[1]
    assert "INVALID unreachable (not killed)" in lines[2]
    assert any(line.startswith("(after): it had been answered before") for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--into", "5"), "expected a time with its unit"),
        (("--into", "5ms", "--how", "kill-leader"), "two sweeps"),
        (("--into", "5ms", "--at", "laeder"), "there is no node `laeder`"),
    ],
)
def test_mistakes_are_said_before_a_run_is_made(project, words, said):
    done = project.run("sweep", "scenarios/roles.yaml", *words)
    assert done.returncode == 4
    assert said in done.stderr


def test_a_store_that_deletes_before_it_writes_is_seen_only_in_between(project, root):
    """The break behind a step comes too late for it: by then the new value is there."""
    (project.folder / "scenarios/two.yaml").write_text(
        "scenario: two\ncluster: ../cluster.yaml\nsteps:\n"
        "  - put: {at: leader, key: k, value: one}\n  - put: {at: leader, key: k, value: two}\n"
        "  - get: {at: leader, key: k, expect: {value: two}}\n"
    )
    planted = ("--program", root / "nodes/broken", "-o", "bug=updates_by_deleting", "--json", "-j", 2)
    swept = json.loads(project.run("sweep", "scenarios/two.yaml", "--how", "kill-leader", *planted).stdout)
    assert swept["endings"] == {"pass": 3}
    done = project.run("sweep", "scenarios/two.yaml", "--into", "10ms", "--out", "into", *planted)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["cells"] == {"1-into-10ms": ["pass"], "2-into-10ms": ["fail"]}
    (hit,) = said["hits"]["2-into-10ms"]
    assert (hit["outcome"], hit["kept"], hit["into"]) == ("unknown", False, True)
    again = project.run("run", "into/variants/2-into-10ms.yaml", *planted[:4])
    assert "acknowledged_writes_survive" in again.stdout and again.returncode == 1
