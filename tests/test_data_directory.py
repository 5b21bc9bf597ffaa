"""Nothing outside a data directory is read or written, whatever a name or a link says."""

from __future__ import annotations

import contextlib
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.data_directory import NotInDirectory, open_file, write_file

PRECIOUS = b"precious"


@pytest.fixture
def data(tmp_path):
    """A data directory beside a file that must stay as it is."""
    (tmp_path / "mine").write_bytes(PRECIOUS)
    (tmp_path / "other").mkdir()
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


# How a name can lead out: the link to make (name, target), and the name to open.
WAYS_OUT = {
    "dots": (None, "../mine"),
    "dots-later": (None, "a/../../mine"),
    "absolute": (None, "{parent}/mine"),
    "link": (("x", "../mine"), "x"),
    "absolute-link": (("x", "{parent}/mine"), "x"),
    "folder-link": (("x", ".."), "x/mine"),
    "link-to-a-link": (("x", "self/../mine"), "x"),
    "chain": (("loop", "loop"), "loop"),
    "sibling-with-the-same-start": (None, "{parent}/data-2"),
    "new-file": (("x", "../other"), "x/new"),
    "process-root": (("x", "/proc/self/cwd"), "x/new"),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_leads_out(data, way):
    link, name = WAYS_OUT[way]
    parent = str(data.parent)
    (data / "a").mkdir()
    (data / "self").symlink_to(".")
    if link:
        (data / link[0]).symlink_to(link[1].format(parent=parent))
    name = name.format(parent=parent)
    with pytest.raises(NotInDirectory):
        write_file(data, name, b"damage")
    with pytest.raises(NotInDirectory), open_file(data, name):
        pass
    assert (data.parent / "mine").read_bytes() == PRECIOUS
    assert sorted(path.name for path in data.parent.iterdir()) == ["data", "mine", "other"]
    assert not list((data.parent / "other").iterdir())


NAMES = st.lists(st.sampled_from(["..", ".", "a", "b", "", "up", "in"]), min_size=1, max_size=6)


@given(NAMES)
def test_any_path_stays_inside_or_is_refused(tmp_path_factory, parts):
    top = tmp_path_factory.mktemp("t")
    data = top / "data"
    (data / "a").mkdir(parents=True)
    (data / "up").symlink_to("..")
    (data / "in").symlink_to("a")
    with contextlib.suppress(NotInDirectory):
        write_file(data, "/".join(parts), b"x")
    assert [path.name for path in top.iterdir()] == ["data"]


def test_a_data_directory_that_became_a_link_is_refused(data):
    data.rename(data.parent / "moved")
    data.symlink_to(data.parent)
    with pytest.raises(NotInDirectory):
        write_file(data, "mine", b"damage")


def test_links_that_stay_inside_are_followed(data):
    (data / "sub").mkdir()
    (data / "relative").symlink_to("sub/file")
    (data / "absolute").symlink_to(data.resolve() / "sub" / "file")
    write_file(data, "relative", b"one")
    assert (data / "sub" / "file").read_bytes() == b"one" and (data / "relative").is_symlink()
    with open_file(data, "absolute") as descriptor:
        os.write(descriptor, b"two")
    assert (data / "sub" / "file").read_bytes() == b"two"


def test_another_name_of_a_file_keeps_its_content(data):
    os.link(data.parent / "mine", data / "db")
    with open_file(data, "db") as descriptor:
        os.truncate(descriptor, 0)
    assert (data / "db").read_bytes() == b"" and (data.parent / "mine").read_bytes() == PRECIOUS
    (data / "db").unlink()
    os.link(data.parent / "mine", data / "db")
    write_file(data, "db", b"")
    assert (data.parent / "mine").read_bytes() == PRECIOUS


def test_folders_are_made_and_the_mode_of_an_earlier_file_stays(data):
    write_file(data, "etc/conf.d/a.conf", b"1")
    path = data / "etc/conf.d/a.conf"
    path.chmod(0o600)
    write_file(data, "etc/conf.d/a.conf", b"2")
    assert path.read_bytes() == b"2" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["a.conf"]


def test_what_is_no_file_is_refused_without_waiting(data):
    os.mkfifo(data / "pipe")
    for name in ("pipe", ".", "", "sub/.."):
        with pytest.raises(NotInDirectory):
            write_file(data, name, b"x")
        with pytest.raises(NotInDirectory), open_file(data, name):
            pass
