"""`kvsim sweep --after-request`: a variant for each write and delay, and a grid of outcomes."""

from __future__ import annotations

import json

import pytest

from kvsim.cli.loading import load_scenario
from kvsim.config.scenario_writer import text_of
from kvsim.config.yaml_nodes import read_text
from kvsim.trials.kill_sweep import KilledWrite, kill_grid, kill_variants, writes_of
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


def test_rows_are_the_writes_outside_of_faults():
    assert list(writes_of(TREE)) == ["1", "2.3", "2.4"]


def test_a_variant_ends_with_its_write_and_a_read_of_the_key(tmp_path, root):
    (tmp_path / "cluster.yaml").write_text((root / "cluster.yaml").read_text())
    variants = kill_variants(TREE, ["0ms", "5ms"], "leader")
    assert [variant.name for variant in variants] == [
        "1-0ms", "1-5ms", "2.3-0ms", "2.3-5ms", "2.4-0ms", "2.4-5ms",
    ]  # fmt: skip
    found = {}
    for variant in variants:
        (tmp_path / "v.yaml").write_text(text_of(variant.scenario))
        # Raises if a variable were left that no step uses.
        found[variant.name] = load_scenario(tmp_path / "v.yaml")
    first, last = found["1-0ms"], found["2.3-5ms"]
    assert [step.verb for step in first.steps] == ["fault", "get"]
    assert first.steps[0].settings.after_request == 0.0
    (write,) = first.steps[0].steps
    assert write.timing.eventually_s is None and write.expect.kind == "any_of"
    assert [[step.verb for step in group.steps] for group in last.groups] == [
        ["put"],
        ["get", "fault", "fault", "get"],
    ]
    assert last.checks == ()


def test_a_cell_shows_the_reply_and_whether_the_write_was_kept():
    writes = {
        "1-0ms": [KilledWrite(Ending.PASS, "unknown", False, True)],
        "1-5ms": [
            KilledWrite(Ending.PASS, "ok", True, False),
            KilledWrite(Ending.PASS, "ok", True, False),
            KilledWrite(Ending.FAIL, "ok", False, True),
        ],
        "2.3-0ms": [KilledWrite(Ending.INVALID, "unreachable", None, None)],
    }
    lines = kill_grid(TREE, ["0ms", "5ms"], writes).splitlines()
    assert lines[0].split() == ["write", "0ms", "5ms"]
    assert lines[1].startswith("1      unknown not kept")
    assert "2x ok kept (after), 1x FAIL ok not kept" in lines[1]
    assert "INVALID unreachable (not killed)" in lines[2]
    assert any(line.startswith("(after): answered before the signal") for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--after-request", "5"), "expected a time with its unit"),
        (("--after-request", "5ms", "--how", "kill-leader"), "two sweeps"),
        (("--after-request", "5ms", "--at", "laeder"), "there is no node `laeder`"),
    ],
)
def test_mistakes_are_reported_before_a_run_is_made(project, words, message):
    done = project.run("sweep", "scenarios/roles.yaml", *words)
    assert done.returncode == 4
    assert message in done.stderr


@pytest.mark.slow
def test_a_store_that_deletes_before_it_writes_is_caught_only_during_the_write(project, root):
    """A kill after the step comes too late: the new value is there by then."""
    (project.folder / "scenarios/two.yaml").write_text(
        "scenario: two\ncluster: ../cluster.yaml\nsteps:\n"
        "  - put: {at: leader, key: k, value: one}\n  - put: {at: leader, key: k, value: two}\n"
        "  - get: {at: leader, key: k, expect: {value: two}}\n"
    )
    planted = (
        "--program",
        root / "nodes/broken",
        "-o",
        "bug=updates_by_deleting",
        "--json",
        "-j",
        2,
    )
    swept = json.loads(
        project.run("sweep", "scenarios/two.yaml", "--how", "kill-leader", *planted).stdout
    )
    assert swept["endings"] == {"pass": 3}
    done = project.run(
        "sweep", "scenarios/two.yaml", "--after-request", "10ms", "--out", "swept", *planted
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["variants"] == {"1-10ms": ["pass"], "2-10ms": ["fail"]}
    (write,) = report["writes"]["2-10ms"]
    assert (write["outcome"], write["kept"], write["in_flight"]) == ("unknown", False, True)
    again = project.run("run", "swept/variants/2-10ms.yaml", *planted[:4])
    assert "acknowledged_writes_survive" in again.stdout and again.returncode == 1
