"""Which scenarios apply to a program, and the files of their runs. No process."""

from __future__ import annotations

import pytest

from kvsim.config.program_loader import load_program
from kvsim.config.scenario_loader import load_scenarios
from kvsim.runner.registry import REGISTRY
from kvsim.shipped import PROGRAMS, SCENARIOS, shipped
from kvsim.suite.parts import Part, Suite


def parts_of(name: str, folder) -> list[Part]:
    path = PROGRAMS / name
    program = load_program(str(path), path.parent, [], REGISTRY)
    assert program is not None
    return Suite(program, str(path), folder).parts(list(shipped(SCENARIOS).values()))


@pytest.mark.parametrize(
    ("program", "applies", "skipped"),
    [
        ("kvstore/node.yaml", "durable", "promote"),
        ("kvstore/majority.yaml", "promote", "catch_up"),
        ("kvstore/all.yaml", "all_nodes", "majority"),
        ("redis/node.yaml", "replicas", "redirect"),
        ("etcd/node.yaml", "forwarding_survives", "roles"),
        ("postgres/node.yaml", "replicas", "durable"),
    ],
)
def test_what_a_program_is_decides_what_applies(program, applies, skipped, tmp_path):
    parts = {part.name: part for part in parts_of(program, tmp_path)}
    assert parts[applies].file is not None and not parts[applies].skipped
    assert parts[skipped].file is None and parts[skipped].skipped


def test_a_copy_runs_alone_and_demands_only_what_shows_that_something_was_tested(tmp_path):
    parts = parts_of("kvstore/majority.yaml", tmp_path)
    names = [part.name for part in parts if part.file]
    assert names[:2] == ["roles", "refusals"], "what is cheap and tells much is first"
    part = next(part for part in parts if part.name == "storm-majority")
    (scenario,) = load_scenarios(part.file, REGISTRY)
    assert set(scenario.checks) == {"faults_have_evidence", "load_exercised"}
    assert "links: proxied" in scenario.cluster.read_text()
