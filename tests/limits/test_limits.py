"""Time limits: what is stretched and what is not; and that a calibration stays within its bounds."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.cluster_file import load_cluster
from kvsim.config.scenario_file import load_scenario
from kvsim.limits import Limits, Own, Written, settled, spent
from kvsim.process.pace import LOOP_MS, MOST, SPAWN_MS, factor_of, measured


@dataclass(frozen=True)
class Gate:
    name: str
    within_s: float
    period_s: float = 0.5


@dataclass(frozen=True)
class House:
    gates: tuple[Gate, ...]
    settings: dict[str, object]


HOUSE = House((Gate("a", Own(2.0)), Gate("b", Written(2.0))), {"timeout": Own(1.0), "rate": 3.0, "n": 4})


def never() -> tuple[float, dict[str, float]]:
    raise AssertionError("nothing was to be measured")


def test_a_calibration_stretches_what_nobody_wrote():
    limits = settled("calibrated", lambda: (2.5, {"loop_ms": 3.0}))
    house = limits.stretched(HOUSE)
    assert [gate.within_s for gate in house.gates] == [5.0, 2.0]
    assert house.settings == {"timeout": 2.5, "rate": 3.0, "n": 4}
    assert all(gate.period_s == 0.5 for gate in house.gates)
    assert isinstance(house.gates[1].within_s, Written)
    assert limits.to_json()["measured"] == {"loop_ms": 3.0}


def test_what_files_say_is_written_and_what_they_do_not_say_is_kvsims_own(tmp_path):
    (tmp_path / "cluster.yaml").write_text(
        "cluster: c\nprogram: {program: p, start: [x], ready: {port: owned}, stop: {grace: 4s}}\n"
        "nodes: {n1: {role: leader}}\n"
    )
    (tmp_path / "s.yaml").write_text(
        "scenario: s\ncluster: cluster.yaml\nsteps:\n"
        "  - get: {at: leader, key: k, eventually: 2s}\n"
        "  - wait: {at: leader, until: ready}\n"
        "  - load: {start: w}\n"
        "  - load: {start: x, timeout: 1s}\n"
        "  - sleep: {for: 1s, why: it is no limit}\n"
    )
    scenario = settled("x2", never).stretched(load_scenario(tmp_path / "s.yaml"))
    cluster = Limits("", own=3.0).stretched(load_cluster(tmp_path / "cluster.yaml"))
    program = cluster.nodes[0].program
    assert (program.ready.within_s, program.stop.steps[0].wait_s, cluster.lag.within_s) == (15.0, 4.0, 6.0)
    get, wait, own, written, sleep = scenario.steps
    assert (get.timing.eventually_s, wait.timing.within_s, scenario.request_timeout_s) == (4.0, 10.0, 2.0)
    assert (own.fields["timeout"], written.fields["timeout"], sleep.fields["for"]) == (2.0, 2.0, 1.0)
    assert isinstance(get.timing.eventually_s, Written)
    assert isinstance(wait.timing.within_s, Own)


def test_as_written_measures_and_changes_nothing():
    limits = settled("as-written", never)
    assert limits.stretched(HOUSE) is HOUSE


def test_a_pinned_factor_is_for_all_limits_and_for_nothing_else():
    house = settled("x3", never).stretched(HOUSE)
    assert [gate.within_s for gate in house.gates] == [6.0, 6.0]
    assert (house.gates[0].period_s, house.settings["rate"]) == (0.5, 3.0)


@pytest.mark.parametrize("word", ["", "x", "x0", "3", "x-1", "Calibrated", "x1e9", "x3 "])
def test_another_word_is_refused_and_the_words_are_told(word):
    with pytest.raises(ValueError, match="expected calibrated, as-written, or a factor such as x3"):
        settled(word, never)


TREES = st.recursive(
    st.one_of(st.integers(), st.text(), st.none(), st.floats(0, 100), st.floats(0, 100).map(Own)),
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.text(), inner),
        st.builds(Gate, inner, inner),
    ),
)


@given(TREES)
def test_a_tree_keeps_its_shape_and_what_is_no_limit(tree):
    doubled = Limits("x2", 2.0, 2.0).stretched(tree)
    assert type(doubled) is type(tree)
    assert Limits().stretched(tree) is tree
    assert Limits("x2", own=2.0).stretched(Gate("a", tree)).name == "a"


def test_whose_a_limit_is_survives_the_way_to_another_process():
    kept = pickle.loads(pickle.dumps((Own(1.0), Written(2.0))))
    assert [type(one) for one in kept] == [Own, Written]
    assert spent("ready", "n1", 0.41236, kept[1]) == {
        "what": "ready",
        "of": "n1",
        "used_s": 0.4124,
        "allowed_s": 2.0,
    }


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_factor_of_a_machine_is_bounded(spawn_ms, loop_ms):
    assert 1.0 <= factor_of(spawn_ms, loop_ms) <= MOST


def test_the_slower_of_the_two_counts():
    assert factor_of(SPAWN_MS, LOOP_MS) == 1.0
    assert factor_of(SPAWN_MS * 3, LOOP_MS) == 3.0
    assert factor_of(SPAWN_MS, LOOP_MS * 4) == 4.0


def test_a_measurement_says_what_it_comes_from(monkeypatch):
    factor, seen = measured()
    assert factor == factor_of(seen["spawn_ms"], seen["loop_ms"]) or factor in {1.0, MOST} or factor > 1.0
    assert min(seen.values()) > 0
    monkeypatch.setenv("PATH", "/nowhere")
    assert measured()[0] >= 1.0
