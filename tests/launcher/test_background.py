"""`kvsim down --keep` and a later `up`: the data stays and is not initialised again.

It also stays when that `up` fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvsim.config.cluster_loader import load_cluster
from kvsim.errors import NodeFailed, UsageError
from kvsim.launcher.background import STATE_FORMAT, Background, bring_up, take_down
from kvsim.process.ports import reserve
from kvsim.runner.registry import REGISTRY

PROGRAM = """\
program: kept
start:
  ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}", --how=HOW]
init: [[sh, -c, "echo x >> {data_dir}/init"]]
ready: {port: owned, within: 3s}
"""
STORE = Path(__file__).parents[1] / "hostile" / "store.py"


def no_journal(*_: object, **__: object) -> None:
    """Ignore every event."""


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Callable[[str], Background]]:
    """`background(how)`: a cluster of one node whose store has the behaviour `how`."""
    with reserve(1) as reservation:
        (port,) = reservation.ports

        def make(how: str) -> Background:
            program = PROGRAM.replace("STORE", json.dumps(str(STORE))).replace("HOW", how)
            (tmp_path / "node.yaml").write_text(program)
            path = tmp_path / "cluster.yaml"
            path.write_text(
                f"cluster: c\nprogram: node.yaml\nnodes: {{n1: {{role: leader, port: {port}}}}}\n"
            )
            return Background(load_cluster(path, REGISTRY))

        yield make
        take_down(make("well_behaved"), no_journal, keep=False)


def test_preserved_data_is_not_initialised_again(background, tmp_path):
    for _ in range(2):
        bring_up(background("well_behaved"), no_journal)
        take_down(background("well_behaved"), no_journal, keep=True)
    assert (tmp_path / ".kvsim/nodes/n1/data/init").read_text() == "x\n"


def test_preserved_data_survives_an_up_that_fails(background, tmp_path):
    bring_up(background("well_behaved"), no_journal)
    take_down(background("well_behaved"), no_journal, keep=True)
    with pytest.raises(NodeFailed):
        bring_up(background("dies_at_start"), no_journal)
    assert (tmp_path / ".kvsim/nodes/n1/data/init").exists()


def test_what_was_started_is_stopped_whatever_the_file_says_now(background, tmp_path):
    program = tmp_path / "node.yaml"
    launcher = bring_up(background("well_behaved"), no_journal)
    process = launcher.nodes["n1"].started_process.identity
    program.unlink()
    (tmp_path / "cluster.yaml").write_text("nodes: [")
    started = Background.as_started(tmp_path / "cluster.yaml")
    assert started is not None
    assert take_down(started, no_journal, keep=False) is not None
    assert not process.alive() and not (tmp_path / ".kvsim").exists()
    assert Background.as_started(tmp_path / "cluster.yaml") is None


@pytest.mark.slow
def test_the_stop_command_is_that_of_the_start(background, tmp_path):
    stop = "stop: {steps: [{command: [sh, -c, 'echo {name} > {data_dir}/../../../../stopped']}]}\n"
    made = background("well_behaved")
    program = tmp_path / "node.yaml"
    program.write_text(program.read_text() + stop)
    bring_up(Background(load_cluster(tmp_path / "cluster.yaml", REGISTRY)), no_journal)
    program.unlink()
    started = Background.as_started(made.cluster.path)
    assert started is not None
    take_down(started, no_journal, keep=False)
    assert (tmp_path / "stopped").read_text() == "n1\n"


@pytest.mark.parametrize(
    "damage", [{"nodes": []}, {"nodes": {"n1": {}}}, {"nodes": {"n1": {"port": 1, "stop": 3}}}]
)
def test_a_damaged_state_is_named(background, tmp_path, damage):
    path = background("well_behaved").cluster.path
    (tmp_path / ".kvsim").mkdir()
    state = tmp_path / ".kvsim/state.json"
    fields = {"format": STATE_FORMAT, "run": "r", "program": None, "options": {}}
    state.write_text(json.dumps({**fields, **damage}))
    with pytest.raises(UsageError, match=r"state\.json: cannot be read as the state"):
        take_down(Background.as_started(path), no_journal, keep=False)
    state.unlink()


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"format": 99, "kvsim": "9.9"}, "of format 99, written by kvsim 9.9"),
        ({}, "without a format number, written by an earlier version of kvsim"),
    ],
)
def test_a_state_of_another_format_is_one_line_with_its_version(background, tmp_path, stated, said):
    path = background("well_behaved").cluster.path
    (tmp_path / ".kvsim").mkdir()
    state = tmp_path / ".kvsim/state.json"
    fields = {"run": "r", "program": None, "options": {}, "nodes": {}}
    state.write_text(json.dumps({**stated, **fields}))
    with pytest.raises(UsageError) as raised:
        Background.as_started(path)
    assert str(raised.value) == (
        f"{state}: the state of a cluster {said}; this kvsim reads format {STATE_FORMAT}: "
        "use that version for it"
    )
    state.unlink()


def test_the_cluster_of_another_file_is_not_taken_down(background, tmp_path):
    bring_up(background("well_behaved"), no_journal)
    with pytest.raises(UsageError, match=r"was started from .*/cluster\.yaml: kvsim down"):
        Background.as_started(tmp_path / "other.yaml")


def test_an_up_that_fails_leaves_no_state(background, tmp_path):
    with pytest.raises(NodeFailed):
        bring_up(background("dies_at_start"), no_journal)
    assert not (tmp_path / ".kvsim").exists()
