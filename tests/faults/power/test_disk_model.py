"""What a power cut may leave, by the model alone: no process, no files."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.faults.power.disk_model import MODELS, DiskModel, DiskState
from kvsim.faults.power.recorded_calls import SYNCS_ITSELF, Kind, RecordedCall

ROOT = "/data"


class Calls:
    """Feeds a DiskModel with calls, as a node makes them one after the other."""

    def __init__(self, model: str = "ext4") -> None:
        self.disk = DiskModel(1, ROOT, model)
        self.number = 0
        self.inode = 1

    def call(self, kind: Kind, *, begin: int | None = None, **fields) -> None:
        self.number += 2
        entry = RecordedCall(
            kind, self.number - 1 if begin is None else begin, self.number, **fields
        )
        self.disk.apply(entry)

    def create(self, path: str) -> int:
        self.inode += 1
        self.call(Kind.CREATED, file=self.inode, paths=(f"{ROOT}/{path}",))
        return self.inode

    def write(self, file: int, at: int, data: bytes, flags: int = 0) -> None:
        self.call(
            Kind.WRITTEN,
            file=file,
            at=at,
            length=len(data),
            result=len(data),
            data=data,
            flags=flags,
        )

    def sync(self, file: int, **fields) -> None:
        self.call(Kind.SYNCED, file=file, **fields)

    def rename(self, old: str, new: str) -> None:
        self.call(Kind.RENAMED, paths=(f"{ROOT}/{old}", f"{ROOT}/{new}"))

    def legal(self, keep: str, seed: int = 0) -> dict[str, bytes | None]:
        return dict(self.disk.legal(keep, random.Random(seed)).files)


def test_what_was_synced_stays_and_the_rest_is_lost_kept_or_kept_in_part():
    calls = Calls()
    file = calls.create("f")
    calls.write(file, 0, b"synced")
    calls.sync(file)
    calls.write(file, 6, b"later")
    calls.write(file, 0, b"S")
    assert calls.legal("none") == {"f": b"synced"}
    assert calls.legal("all") == {"f": b"Syncedlater"}
    prefixes = {calls.legal("prefix", seed)["f"] for seed in range(30)}
    assert prefixes == {b"synced", b"syncedlater", b"Syncedlater"}


def test_a_write_that_had_not_ended_when_the_sync_began_is_not_covered():
    calls = Calls()
    file = calls.create("f")
    calls.sync(file)
    began = calls.number
    calls.write(file, 0, b"late")
    calls.sync(file, begin=began + 1)
    assert calls.legal("none") == {"f": b""}


def test_a_torn_write_is_kept_in_sectors_of_512_bytes():
    calls = Calls()
    file = calls.create("f")
    calls.write(file, 0, b"a" * 2000)
    calls.sync(file)
    calls.write(file, 100, b"b" * 1500)
    found = {calls.legal("any", seed)["f"] for seed in range(200)}
    assert len(found) == 2**4
    for content in found:
        for begin, end in ((100, 512), (512, 1024), (1024, 1536), (1536, 1600)):
            assert len(set(content[begin:end])) == 1
        assert content[:100] + content[1600:] == b"a" * 500


def test_a_write_to_a_descriptor_with_o_dsync_is_synced_with_it():
    calls = Calls()
    file = calls.create("f")
    calls.write(file, 0, b"abc", SYNCS_ITSELF)
    assert calls.legal("none") == {"f": b"abc"}


@pytest.mark.parametrize(("model", "kept"), [("ext4", True), ("posix", False)])
def test_a_new_file_is_kept_with_its_sync_on_ext4_and_with_its_folder_by_posix(model, kept):
    calls = Calls(model)
    file = calls.create("f")
    calls.write(file, 0, b"abc")
    assert calls.legal("none") == {}
    calls.sync(file)
    assert calls.legal("none") == ({"f": b"abc"} if kept else {})
    calls.sync(1)
    assert calls.legal("none") == {"f": b"abc"}


@pytest.mark.parametrize("model", MODELS)
def test_a_rename_is_kept_when_its_folder_was_synced(model):
    calls = Calls(model)
    old, new = calls.create("f"), calls.create("f.new")
    calls.write(old, 0, b"old")
    calls.write(new, 0, b"new")
    calls.sync(old)
    calls.sync(new)
    calls.sync(1)
    calls.rename("f.new", "f")
    assert calls.legal("none") == {"f": b"old", "f.new": b"new"}
    assert calls.legal("all") == {"f": b"new"}
    calls.sync(1)
    assert calls.legal("none") == {"f": b"new"}


def test_a_later_sync_that_writes_the_journal_keeps_a_rename_on_ext4():
    calls = Calls()
    file = calls.create("f.new")
    other = calls.create("log")
    calls.write(other, 0, bytes(100))
    calls.sync(1), calls.sync(file), calls.sync(other)
    calls.rename("f.new", "f")
    # It overwrites: no size changes, so that fdatasync does not wait for the journal.
    calls.write(other, 10, b"abc")
    calls.call(Kind.DATA_SYNCED, file=other)
    assert "f" not in calls.legal("none")
    calls.write(other, 100, b"longer")
    calls.call(Kind.DATA_SYNCED, file=other)
    assert "f" in calls.legal("none")


def test_on_ext4_names_are_kept_in_order_and_by_posix_in_any():
    def found(model: str) -> set[frozenset[str]]:
        calls = Calls(model)
        calls.create("a"), calls.create("b")
        return {frozenset(calls.legal("any", seed)) for seed in range(50)}

    assert found("ext4") == {frozenset(), frozenset("a"), frozenset("ab")}
    assert found("posix") == {frozenset(), frozenset("a"), frozenset("b"), frozenset("ab")}


def test_a_file_with_the_inode_of_a_removed_one_is_another_file():
    calls = Calls()
    file = calls.create("a")
    calls.write(file, 0, b"first")
    calls.sync(file)
    calls.sync(1)
    calls.call(Kind.REMOVED, paths=(f"{ROOT}/a",))
    calls.inode -= 1
    assert calls.create("b") == file
    calls.write(file, 0, b"second")
    assert calls.legal("none") == {"a": b"first"}
    assert calls.legal("all") == {"b": b"second"}


def test_a_truncation_that_was_not_synced_comes_back():
    calls = Calls()
    file = calls.create("f")
    calls.write(file, 0, b"abcdef")
    calls.sync(file)
    calls.call(Kind.RESIZED, file=file, length=2)
    assert calls.legal("none") == {"f": b"abcdef"}
    assert [(lost.what, lost.path) for lost in calls.disk.lost(DiskState({"f": b"abcdef"}))] == [
        ("resized", "f")
    ]


def test_lost_names_the_bytes_and_how_far_the_file_was_synced():
    calls = Calls()
    file = calls.create("log")
    calls.write(file, 0, b"first")
    calls.sync(file, time_ns=7)
    calls.write(file, 5, b"second")
    (lost,) = calls.disk.lost(calls.disk.legal("none", random.Random(0)))
    assert (lost.path, lost.at, lost.data, lost.synced_to, lost.synced_ns) == (
        "log",
        5,
        b"second",
        5,
        7,
    )


def test_a_folder_and_what_is_in_it():
    calls = Calls("posix")
    calls.call(Kind.FOLDER_MADE, file=50, paths=(f"{ROOT}/d",))
    calls.call(Kind.CREATED, file=51, paths=(f"{ROOT}/d/f",))
    calls.sync(51), calls.sync(50)
    assert calls.legal("none") == {}
    calls.sync(1)
    assert calls.legal("none") == {"d": None, "d/f": b""}


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "write", "sync", "data", "folder", "rename", "remove", "size"]),
        st.integers(0, 3),
        st.integers(0, 1500),
        st.binary(min_size=1, max_size=40),
    ),
    max_size=30,
)


def run(actions, model: str) -> Calls:
    """Calls that a node may make: on four names."""
    calls, files = Calls(model), {}
    for verb, which, number, data in actions:
        name = f"f{which}"
        if verb == "create" and name not in files:
            files[name] = calls.create(name)
        elif verb == "folder":
            calls.sync(1)
        elif name not in files:
            continue
        elif verb == "write":
            calls.write(files[name], number, data)
        elif verb == "size":
            calls.call(Kind.RESIZED, file=files[name], length=number)
        elif verb in ("sync", "data"):
            kind = Kind.SYNCED if verb == "sync" else Kind.DATA_SYNCED
            calls.call(kind, file=files[name])
        elif verb == "remove":
            calls.call(Kind.REMOVED, paths=(f"{ROOT}/{name}",))
            del files[name]
        elif verb == "rename":
            other = f"f{(which + 1) % 4}"
            calls.rename(name, other)
            files[other] = files.pop(name)
    return calls


@given(
    ACTIONS, st.sampled_from(list(MODELS)), st.sampled_from(["prefix", "any"]), st.integers(0, 9)
)
def test_everything_is_kept_of_a_disk_on_which_everything_was_synced(actions, model, keep, seed):
    calls = run(actions, model)
    calls.call(Kind.ALL_SYNCED)
    whole = dict(calls.disk.now().files)
    assert calls.disk.is_synced
    assert calls.legal("none") == calls.legal(keep, seed) == whole
    assert not calls.disk.lost(calls.disk.legal(keep, random.Random(seed)))


@given(ACTIONS, st.sampled_from(list(MODELS)), st.integers(0, 9))
def test_synced_bytes_that_nothing_changed_since_are_in_every_state(actions, model, seed):
    calls = run(actions, model)
    none = calls.legal("none")
    synced = {
        path: bytes(calls.disk.files[number].synced)
        for path, number in calls.disk.journal.synced[calls.disk.root].items()
        if not calls.disk.files[number].changes
    }
    still = {change.file for change in calls.disk.journal.changes}
    for keep in ("none", "prefix", "any", "all"):
        state = calls.legal(keep, seed)
        for path, content in synced.items():
            if calls.disk.journal.synced[0][path] in still or path in _renamed(calls):
                continue
            assert state[path] == content == none[path]


def _renamed(calls: Calls) -> set[str]:
    return {name for change in calls.disk.journal.changes for _, name, _ in change.names}


@given(ACTIONS, st.sampled_from(list(MODELS)))
def test_none_and_all_are_among_the_prefixes(actions, model):
    calls = run(actions, model)
    disk = calls.disk
    none = disk.state_with((), {})
    everything = disk.state_with(
        disk.journal.changes, {number: file.changes for number, file in disk.files.items()}
    )
    assert none == disk.legal("none", random.Random(0))
    assert everything == disk.legal("all", random.Random(0)) == disk.now()


@given(ACTIONS, st.sampled_from(list(MODELS)), st.integers(0, 99))
def test_the_seed_draws_the_state(actions, model, seed):
    calls = run(actions, model)
    assert calls.legal("any", seed) == calls.legal("any", seed)
