"""`kvsim down --keep` and a later `up`: what was kept stays, also when that `up` fails, and is not initialised again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvsim.config.cluster_file import load_cluster
from kvsim.errors import NodeFailed
from kvsim.launcher.background import Background, bring_up, take_down
from kvsim.process.ports import reserve

PROGRAM = """\
program: kept
start: ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}", --how=HOW]
init: [[sh, -c, "echo x >> {data_dir}/init"]]
ready: {port: owned, within: 3s}
"""


STORE = Path(__file__).parents[1] / "hostile" / "store.py"


def quiet(*_: object, **__: object) -> None:
    """No journal."""


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Callable[[str], Background]]:
    """`background(how)`: the place of a cluster of one node that behaves so."""
    with reserve(1) as reservation:
        (port,) = reservation.ports

        def make(how: str) -> Background:
            described = PROGRAM.replace("STORE", json.dumps(str(STORE))).replace("HOW", how)
            (tmp_path / "node.yaml").write_text(described)
            path = tmp_path / "cluster.yaml"
            path.write_text(
                f"cluster: c\nprogram: node.yaml\nnodes: {{n1: {{role: leader, port: {port}}}}}\n"
            )
            return Background(load_cluster(path))

        yield make
        take_down(make("well_behaved"), quiet, keep=False)


def test_kept_data_is_not_initialised_again(background, tmp_path):
    for _ in range(2):
        bring_up(background("well_behaved"), quiet)
        take_down(background("well_behaved"), quiet, keep=True)
    assert (tmp_path / ".kvsim/nodes/n1/data/init").read_text() == "x\n"


def test_kept_data_outlives_an_up_that_fails(background, tmp_path):
    bring_up(background("well_behaved"), quiet)
    take_down(background("well_behaved"), quiet, keep=True)
    with pytest.raises(NodeFailed):
        bring_up(background("dies_at_start"), quiet)
    assert (tmp_path / ".kvsim/nodes/n1/data/init").exists()


def test_an_up_that_fails_leaves_nothing(background, tmp_path):
    with pytest.raises(NodeFailed):
        bring_up(background("dies_at_start"), quiet)
    assert not (tmp_path / ".kvsim").exists()
