"""Time limits: which limits a factor changes; and that a calibration stays within its bounds."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from kvsim.config.cluster_loader import load_cluster
from kvsim.config.scenario_loader import load_scenario
from kvsim.process.calibration import FACTOR_MAX, LOOP_MS, SPAWN_MS, measure_slowness, slowness
from kvsim.runner.registry import REGISTRY
from kvsim.runner.steps.workload import LoadStep
from kvsim.timeouts import DefaultTimeout, Timeouts, UserTimeout, timeout_usage, timeouts_for


class Gate(Struct, frozen=True):
    name: str
    within_s: float
    period_s: float = 0.5


class House(Struct, frozen=True):
    gates: tuple[Gate, ...]
    settings: dict[str, object]


HOUSE = House(
    (Gate("a", DefaultTimeout(2.0)), Gate("b", UserTimeout(2.0))),
    {"timeout": DefaultTimeout(1.0), "rate": 3.0, "n": 4},
)


def never() -> tuple[float, dict[str, float]]:
    raise AssertionError("nothing was to be measured")


def test_a_calibration_scales_default_limits():
    limits = timeouts_for("calibrated", lambda: (2.5, {"loop_ms": 3.0}))
    house = limits.scaled(HOUSE)
    assert [gate.within_s for gate in house.gates] == [5.0, 2.0]
    assert house.settings == {"timeout": 2.5, "rate": 3.0, "n": 4}
    assert all(gate.period_s == 0.5 for gate in house.gates)
    assert isinstance(house.gates[1].within_s, UserTimeout)
    assert limits.to_json()["measured"] == {"loop_ms": 3.0}


def test_limits_in_files_are_a_users_and_others_are_defaults(tmp_path):
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
    scenario = timeouts_for("x2", never).scaled(load_scenario(tmp_path / "s.yaml", REGISTRY))
    cluster = Timeouts("", default_factor=3.0).scaled(
        load_cluster(tmp_path / "cluster.yaml", REGISTRY)
    )
    program = cluster.nodes[0].program
    assert (program.ready.within_s, program.stop.steps[0].wait_s, cluster.lag.within_s) == (
        15.0,
        4.0,
        6.0,
    )
    get, wait, default, written, sleep = scenario.steps
    assert (get.timing.eventually_s, wait.timing.within_s, scenario.request_timeout_s) == (
        4.0,
        10.0,
        2.0,
    )
    assert isinstance(default, LoadStep) and isinstance(written, LoadStep)
    assert (default.timeout_s, written.timeout_s, sleep.lasts_s()) == (2.0, 2.0, 1.0)
    assert isinstance(get.timing.eventually_s, UserTimeout)
    assert isinstance(wait.timing.within_s, DefaultTimeout)


def test_as_written_measures_and_changes_nothing():
    limits = timeouts_for("as-written", never)
    assert limits.scaled(HOUSE) is HOUSE


def test_a_pinned_factor_is_for_all_limits_and_for_nothing_else():
    house = timeouts_for("x3", never).scaled(HOUSE)
    assert [gate.within_s for gate in house.gates] == [6.0, 6.0]
    assert (house.gates[0].period_s, house.settings["rate"]) == (0.5, 3.0)


@pytest.mark.parametrize("word", ["", "x", "x0", "3", "x-1", "Calibrated", "x1e9", "x3 "])
def test_another_word_is_refused_and_the_known_ones_are_named(word):
    with pytest.raises(ValueError, match="expected calibrated, as-written, or a factor such as x3"):
        timeouts_for(word, never)


TREES = st.recursive(
    st.one_of(
        st.integers(),
        st.text(),
        st.none(),
        st.floats(0, 100),
        st.floats(0, 100).map(DefaultTimeout),
    ),
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.text(), inner),
        st.builds(Gate, inner, inner),
    ),
)


@given(TREES)
def test_a_tree_keeps_its_shape_and_what_is_no_limit(tree):
    doubled = Timeouts("x2", 2.0, 2.0).scaled(tree)
    assert type(doubled) is type(tree)
    assert Timeouts().scaled(tree) is tree
    assert Timeouts("x2", default_factor=2.0).scaled(Gate("a", tree)).name == "a"


def test_whose_a_limit_is_survives_the_way_to_another_process():
    kept = pickle.loads(pickle.dumps((DefaultTimeout(1.0), UserTimeout(2.0))))
    assert [type(one) for one in kept] == [DefaultTimeout, UserTimeout]
    assert timeout_usage("ready", "n1", 0.41236, kept[1]) == {
        "what": "ready",
        "of": "n1",
        "used_s": 0.4124,
        "allowed_s": 2.0,
    }


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_factor_of_a_machine_is_bounded(spawn_ms, loop_ms):
    assert 1.0 <= slowness(spawn_ms, loop_ms) <= FACTOR_MAX


def test_the_slower_of_the_two_counts():
    assert slowness(SPAWN_MS, LOOP_MS) == 1.0
    assert slowness(SPAWN_MS * 3, LOOP_MS) == 3.0
    assert slowness(SPAWN_MS, LOOP_MS * 4) == 4.0


def test_a_measurement_reports_its_figures(monkeypatch):
    factor, measured = measure_slowness()
    assert (
        factor == slowness(measured["spawn_ms"], measured["loop_ms"])
        or factor in {1.0, FACTOR_MAX}
        or factor > 1.0
    )
    assert min(measured.values()) > 0
    monkeypatch.setenv("PATH", "/nowhere")
    assert measure_slowness()[0] >= 1.0
