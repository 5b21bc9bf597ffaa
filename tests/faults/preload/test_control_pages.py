"""Who can reach the pages with which kvsim breaks disks and clocks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kvsim.faults.preload.control import prepare_preload


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_no_other_user_reaches_a_page(built, tmp_path):
    folder = tmp_path / "control"
    with prepare_preload(folder, {"n1": tmp_path / "data"}) as control:
        assert mode(folder) == 0o700
        assert mode(control.pages["n1"].path) == 0o600
    assert not folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs nodes as other users")
def test_the_page_of_a_node_belongs_to_its_user(built, tmp_path):
    nobody = 65534
    folder = tmp_path / "control"
    data_dirs = {"n1": tmp_path / "a", "n2": tmp_path / "b"}
    with prepare_preload(folder, data_dirs, {"n2": nobody}) as control:
        # Others may pass to what they know the name of, and open nothing.
        assert mode(folder) == 0o711
        pages = [control.pages[name].path for name in ("n1", "n2")]
        assert [mode(page) for page in pages] == [0o600, 0o600]
        assert [page.stat().st_uid for page in pages] == [0, nobody]
        assert mode(control.library) & 0o055 == 0o055
