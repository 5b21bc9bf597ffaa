"""The engine and its files: restarts, damage, snapshots, full disks, rewinds."""

import os
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kvstore import log as log_module
from kvstore import record, snapshot
from kvstore.engine import Engine, digest_of
from kvstore.errors import StartError
from kvstore.segment import HEADER, RECORDS_AT
from store_process import NODES, PYTHON, eventually, take_snapshot

SHARED_FIXTURE = HealthCheck.function_scoped_fixture


def filled(folder, batches=5):
    """Fill a folder; return the states of its engine, the empty state first."""
    folder.mkdir(exist_ok=True)
    engine, states = Engine(str(folder)), [{}]
    for batch in range(batches):
        engine.put(b"k%d" % (batch % 3), b"v\r\n%d" % batch)
        if batch % 2:
            engine.delete(b"k0")
        engine.put_all(
            [b"a", b"b"],
            [b"1", b"2"],
            record.encode_set(b"a", b"1") + record.encode_set(b"b", b"2"),
        )
        engine.commit()
        states.append(dict(engine.data))
    engine.log.segments[-1].seal()
    return states


def state_of(folder, **options):
    engine = Engine(str(folder), **options)
    data = dict(engine.data)
    engine.close()
    return data


def only_log(folder):
    return next(folder.glob("log-*"))


def test_a_log_cut_at_any_byte_yields_a_prefix(tmp_path):
    states = filled(tmp_path / "whole")
    whole = only_log(tmp_path / "whole").read_bytes()
    indices = []
    for size in range(len(whole) + 1):
        folder = tmp_path / "cut"
        folder.mkdir()
        (folder / "log-0000000000000001").write_bytes(whole[:size])
        indices.append(states.index(state_of(folder)))
        shutil.rmtree(folder)
    assert indices == sorted(indices)
    assert indices[-1] == len(states) - 1


@settings(max_examples=60, deadline=None, suppress_health_check=[SHARED_FIXTURE])
@given(garbage=st.binary(min_size=1, max_size=200))
def test_garbage_after_the_log_is_cut(tmp_path, garbage):
    folder = tmp_path / "data"
    shutil.rmtree(folder, ignore_errors=True)
    states = filled(folder)
    with only_log(folder).open("ab") as log:
        log.write(garbage)
    assert state_of(folder) == states[-1]
    assert state_of(folder) == states[-1]


def test_damage_before_the_end_stops_the_start_and_repair_reports_what_is_lost(tmp_path):
    states = filled(tmp_path)
    log = only_log(tmp_path)
    data = bytearray(log.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 4] == record.MAGIC]
    third = starts[2]
    data[third + 40] ^= 1
    log.write_bytes(data)
    with pytest.raises(StartError) as caught:
        Engine(str(tmp_path))
    assert f"{log} is damaged at offset {third}" in str(caught.value)
    assert log.read_bytes() == data
    reported = []
    assert state_of(tmp_path, repair=reported.append) == states[2]
    assert "are lost" in reported[0]
    assert state_of(tmp_path) == states[2]


def test_a_log_with_any_byte_damaged_yields_a_prefix_or_is_refused(tmp_path):
    states = filled(tmp_path / "whole")
    whole = only_log(tmp_path / "whole").read_bytes()
    last = whole.rindex(record.MAGIC)
    for at in range(len(whole)):
        folder = tmp_path / "damaged"
        folder.mkdir()
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        (folder / "log-0000000000000001").write_bytes(damaged)
        if HEADER.size <= at < RECORDS_AT:
            # the mark: it tells only how to judge other damage
            assert state_of(folder) == states[-1]
        elif at < last:
            with pytest.raises(StartError, match=r"is damaged at offset \d+: "):
                Engine(str(folder))
            assert only_log(folder).read_bytes() == damaged
        else:
            # the last record, as a crash may leave it
            assert state_of(folder) == states[-2]
        shutil.rmtree(folder)


def synced_then_unsynced(folder):
    """Two synced records and four that are not, as (bytes at the sync, bytes now, states)."""
    folder.mkdir(exist_ok=True)
    engine, states = Engine(str(folder), fsync="always"), [{}]
    for number in range(6):
        engine.put(b"k%d" % number, b"%d" % number * 1500)
        engine.write_pending()
        if number < 2:
            engine.commit()
        if number == 1:
            synced = only_log(folder).read_bytes()
        states.append(dict(engine.data))
    now = only_log(folder).read_bytes()
    for segment in engine.log.segments:
        segment.close()
    return synced, now, states


SECTOR = 512


@settings(max_examples=60, deadline=None, suppress_health_check=[SHARED_FIXTURE])
@given(kept=st.sets(st.integers(0, 31)))
def test_any_sectors_of_what_was_not_synced_may_be_lost(tmp_path, kept):
    folder = tmp_path / "data"
    shutil.rmtree(folder, ignore_errors=True)
    synced, now, states = synced_then_unsynced(folder)
    after = bytearray(synced)
    for sector in kept:
        after[sector * SECTOR : (sector + 1) * SECTOR] = now[sector * SECTOR :][:SECTOR]
    only_log(folder).write_bytes(after)
    found = state_of(folder, fsync="always")
    assert states.index(found) >= 2
    assert state_of(folder, fsync="always") == found


def test_damage_of_what_was_synced_stops_the_start(tmp_path):
    synced, now, _ = synced_then_unsynced(tmp_path)
    log = only_log(tmp_path)
    starts = [at for at in range(len(synced)) if synced[at : at + 4] == record.MAGIC]
    for whole, start in [(synced, starts[0]), (now, starts[0]), (now, starts[1])]:
        damaged = bytearray(whole)
        damaged[start + 40] ^= 1
        log.write_bytes(damaged)
        with pytest.raises(StartError, match=f"is damaged at offset {start}: "):
            Engine(str(tmp_path), fsync="always")
        assert log.read_bytes() == damaged


def test_what_was_written_without_syncs_is_damaged_if_records_follow(tmp_path):
    """Also under `always`, which cannot know what an earlier run without syncs acknowledged."""
    filled(tmp_path)
    log = only_log(tmp_path)
    whole = log.read_bytes()
    damaged = bytearray(whole)
    damaged[whole.index(record.MAGIC) + 40] ^= 1
    log.write_bytes(damaged)
    with pytest.raises(StartError, match="is damaged at offset 36: "):
        Engine(str(tmp_path), fsync="always")
    log.write_bytes(whole)
    state_of(tmp_path, fsync="always")
    log.write_bytes(log.read_bytes().replace(whole[60:], damaged[60:]))
    with pytest.raises(StartError, match="is damaged at offset 36: "):
        Engine(str(tmp_path), fsync="never")


@pytest.mark.parametrize("read_bytes", [1, 50, 300])
def test_records_that_are_longer_than_one_read_are_read(tmp_path, monkeypatch, read_bytes):
    states = filled(tmp_path)
    monkeypatch.setattr(log_module, "READ_BYTES", read_bytes)
    assert state_of(tmp_path) == states[-1]
    log = only_log(tmp_path)
    whole = log.read_bytes()
    log.write_bytes(whole[:-1])
    assert state_of(tmp_path) == states[-2]
    damaged = bytearray(whole)
    damaged[whole.index(record.MAGIC) + 40] ^= 1
    log.write_bytes(damaged)
    with pytest.raises(StartError, match="is damaged at offset 36: "):
        Engine(str(tmp_path))


def test_repair_drops_what_follows_a_damaged_segment(tmp_path):
    engine = Engine(str(tmp_path))
    for number in range(3):
        engine.put(b"k", b"%d" % number)
        engine.commit()
        engine.log.roll()
    engine.close()
    paths = sorted(tmp_path.glob("log-*"))
    damaged = bytearray(paths[1].read_bytes())
    damaged[4] ^= 1
    paths[1].write_bytes(damaged)
    with pytest.raises(StartError, match="its header is damaged"):
        Engine(str(tmp_path))
    assert state_of(tmp_path, repair=lambda line: None) == {b"k": b"0"}
    assert state_of(tmp_path) == {b"k": b"0"}


def test_a_damaged_snapshot_stops_the_start(tmp_path):
    filled(tmp_path)
    path = tmp_path / "snapshot-0000000000000003"
    path.write_bytes(b"".join(snapshot.encode({b"k": b"v"}, 3, 0, 0))[:-9])
    with pytest.raises(StartError, match="is damaged"):
        Engine(str(tmp_path))


def write_snapshot(path, data, index=3, term=7, chain=9):
    path.write_bytes(b"".join(snapshot.encode(data, index, term, chain)))
    return path


@settings(max_examples=50, deadline=None, suppress_health_check=[SHARED_FIXTURE])
@given(
    st.dictionaries(st.binary(max_size=9), st.binary(max_size=9), max_size=30),
    st.integers(0, 2**60),
)
def test_a_snapshot_is_decoded_unchanged(tmp_path, small_chunks, data, index):
    file = snapshot.SnapshotFile(str(write_snapshot(tmp_path / "snapshot", data, index)))
    assert (file.index, file.term, file.chain, file.keys) == (index, 7, 9, len(data))
    assert file.read_all() == data
    assert file.first_keys == sorted(data)[::3]
    file.close()


def test_long_values_make_small_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "CHUNK_BYTES_MAX", 1000)
    data = {b"k%d" % n: b"v" * (5000 if n == 5 else 100) for n in range(40)}
    file = snapshot.SnapshotFile(str(write_snapshot(tmp_path / "snapshot", data)))
    assert max(size for _, size, _ in file.chunks) < 5100
    assert len(file.chunks) < 16
    assert file.read_all() == data
    file.close()


def test_a_snapshot_that_is_cut_extended_or_damaged_is_refused(tmp_path, small_chunks):
    whole = b"".join(snapshot.encode({b"%d" % n: b"v" * n for n in range(7)}, 3, 7, 9))
    path = tmp_path / "snapshot"
    path.write_bytes(whole)
    opened = snapshot.SnapshotFile(str(path))
    assert opened.keys == 7
    opened.close()
    flipped = [
        whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
        for at in range(len(whole))
        for bit in (0, 3, 7)
    ]
    blanked = [whole[:at] + bytes(8) + whole[at + 8 :] for at in range(len(whole) - 16)]
    cut = [whole[:size] for size in range(len(whole))]
    for damaged in {*flipped, *blanked, *cut, whole + b"\0"} - {whole}:
        path.write_bytes(damaged)
        with pytest.raises(snapshot.BadSnapshot):
            snapshot.SnapshotFile(str(path))


def test_a_snapshot_replaces_the_log_and_loses_no_key(tmp_path):
    engine = Engine(str(tmp_path))
    for number in range(300):
        engine.put(b"k%d" % (number % 50), b"%d" % number)
        engine.commit()
    engine.delete(b"k7")
    take_snapshot(engine)
    assert [path.name for path in tmp_path.glob("log-*")] == ["log-0000000000000302"]
    engine.put(b"later", b"1")
    take_snapshot(engine)
    engine.put(b"later", b"2")
    engine.commit()
    expected = dict(engine.data)
    engine.close()
    assert state_of(tmp_path) == expected
    assert b"k7" not in expected
    assert len(list(tmp_path.glob("snapshot-*"))) == 1


def test_a_crash_before_old_files_are_removed_is_harmless(tmp_path):
    engine = Engine(str(tmp_path))
    engine.put(b"k", b"1")
    engine.commit()
    old = only_log(tmp_path)
    old_bytes = old.read_bytes()
    take_snapshot(engine)
    engine.put(b"k", b"2")
    engine.close()
    old.write_bytes(old_bytes)
    (tmp_path / "snapshot-0000000000000009.new").write_bytes(b"half")
    assert state_of(tmp_path) == {b"k": b"2"}


def test_the_log_stays_short(tmp_path):
    engine = Engine(str(tmp_path), snapshot_after=20_000)
    for _ in range(400):
        engine.put(b"k", b"v" * 1000)
        engine.commit()
        engine.tick()

    def bytes_on_disk():
        engine.tick()
        return sum(path.stat().st_size for path in tmp_path.iterdir())

    assert eventually(bytes_on_disk, lambda size: size < 100_000)
    assert engine.snapshot_index > 0
    engine.close()


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_every_fsync_policy_keeps_what_was_committed(tmp_path, fsync):
    engine = Engine(str(tmp_path), fsync)
    for number in range(50):
        engine.put(b"k%d" % number, b"v" * 5000)
        engine.commit()
        engine.tick()
    copied = Engine(str(shutil.copytree(tmp_path, tmp_path / "copy")))
    assert copied.data == engine.data
    engine.close()


def test_a_full_disk_refuses_writes_loses_nothing_and_recovers(tmp_path):
    script = f"""
import resource, sys
sys.path.insert(0, {str(NODES)!r})
from kvstore.engine import Engine
from kvstore.errors import DiskFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
engine, done = Engine({str(tmp_path)!r}, sys.argv[1]), 0
try:
    while True:
        engine.put(b"k%d" % done, b"v" * 1000)
        engine.commit()
        done += 1
except DiskFullError as error:
    assert "disk full" in str(error), error
assert len(engine) == done and engine.get(b"k0"), "a refused write changed the state"
engine.commit()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
engine.put(b"k%d" % done, b"again")
engine.commit()
print(done + 1)
"""
    for fsync in ("always", "never"):
        folder = tmp_path
        for path in folder.iterdir():
            path.unlink()
        done = subprocess.run(
            [PYTHON, "-c", script, fsync], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert 150 < int(done.stdout) < 201
        assert len(state_of(folder)) == int(done.stdout)


def test_a_position_is_found_by_index_and_chain(tmp_path):
    engine = Engine(str(tmp_path))
    ends = [(0, 0)]
    for number in range(2000):
        engine.put(b"k%d" % number, b"v" * 100)
        engine.commit()
        ends.append((engine.log.last, engine.log.chain))
    for index, chain in ends[:: len(ends) // 40]:
        found, offset = engine.log.find(index, chain)
        if index < engine.log.last:
            header = record.read_header(os.pread(found.fd, record.HEADER_SIZE, offset))
            assert header[3] == index + 1
        assert engine.log.find(index, chain ^ 1) is None
    assert engine.log.record_ends(10) == ends[:-11:-1]
    engine.close()


def test_the_digest_depends_on_keys_and_values_only():
    assert digest_of({b"a": b"1", b"b": b"2"}) == digest_of({b"b": b"2", b"a": b"1"})
    states = [{b"ab": b"c"}, {b"a": b"bc"}, {}, {b"ab": b"d"}]
    assert len(set(map(digest_of, states))) == 4


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_refused(data):
    try:
        record.decode(data, 0, None)
    except record.BadRecord:
        return
    assert data.startswith(record.MAGIC)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.binary(max_size=20), st.none() | st.binary(max_size=20)),
        min_size=1,
        max_size=20,
    )
)
def test_commands_are_decoded_unchanged(writes):
    encoded = b"".join(
        record.encode_delete(key) if value is None else record.encode_set(key, value)
        for key, value in writes
    )
    assert record.decode_commands(encoded) == writes
    assert record.decode_commands(record.NO_OP + encoded) == writes


def test_a_rewind_discards_exactly_the_later_writes_and_lists_them(tmp_path):
    engine = Engine(str(tmp_path))
    for number in range(5):
        engine.put(b"k%d" % number, b"v")
        engine.commit()
    engine.start_snapshot()
    index, chain = engine.log.record_ends(3)[2]
    engine.put(b"k0", b"changed")
    assert engine.rewind(index, chain) == [
        "discarded 3 writes after index 3 that the leader does not have",
        "4 SET k3",
        "5 SET k4",
        "6 SET k0",
    ]
    assert dict(engine.data) == {b"k0": b"v", b"k1": b"v", b"k2": b"v"}
    assert engine.snapshot_process is None
    engine.put(b"new", b"1")
    engine.close()
    assert state_of(tmp_path) == {b"k0": b"v", b"k1": b"v", b"k2": b"v", b"new": b"1"}


def test_a_received_snapshot_replaces_another_history(tmp_path):
    engine = Engine(str(tmp_path))
    for number in range(9):
        engine.put(b"mine%d" % number, b"v")
        engine.commit()
    path = tmp_path / "snapshot-incoming"
    path.write_bytes(b"".join(snapshot.encode({b"theirs": b"1"}, 4, 2, 77)))
    assert "in place of a history that ended at 9" in engine.install_snapshot(str(path))
    assert (dict(engine.data), engine.applied, engine.log.chain) == ({b"theirs": b"1"}, 4, 77)
    engine.put(b"more", b"2")
    engine.close()
    assert state_of(tmp_path) == {b"theirs": b"1", b"more": b"2"}


def test_a_crash_while_a_received_snapshot_is_installed_leaves_one_history(tmp_path):
    engine = Engine(str(tmp_path))
    for number in range(9):
        engine.put(b"mine%d" % number, b"v")
        engine.commit()
    engine.close()
    (tmp_path / "snapshot-0000000000000004").write_bytes(
        b"".join(snapshot.encode({b"theirs": b"1"}, 4, 2, 77))
    )
    lines = []
    assert state_of(tmp_path, log_line=lines.append) == {b"theirs": b"1"}
    assert lines == ["removed the log of a history that the snapshot has replaced"]
