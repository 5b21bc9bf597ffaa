"""The engine and its files: what was committed comes back, whatever a crash left; damage is named; snapshots bound it."""

import os
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kvstore import record, snapshot
from kvstore.engine import Engine, digest_of
from kvstore.errors import StartError
from storerun import NODES, PYTHON, eventually


def filled(folder, batches=5):
    """Return the states a folder's engine went through, one for each commit, the empty one first."""
    folder.mkdir(exist_ok=True)
    engine, states = Engine(str(folder)), [{}]
    for batch in range(batches):
        engine.put(b"k%d" % (batch % 3), b"v\r\n%d" % batch)
        if batch % 2:
            engine.delete(b"k0")
        engine.put_all(
            [b"a", b"b"], [b"1", b"2"], record.encode_set(b"a", b"1") + record.encode_set(b"b", b"2")
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


def test_cut_at_any_byte_the_log_serves_a_whole_prefix(tmp_path):
    states = filled(tmp_path / "whole")
    whole = only_log(tmp_path / "whole").read_bytes()
    seen = []
    for size in range(len(whole) + 1):
        folder = tmp_path / "cut"
        folder.mkdir()
        (folder / "log-0000000000000001").write_bytes(whole[:size])
        seen.append(states.index(state_of(folder)))
        shutil.rmtree(folder)
    assert seen == sorted(seen)
    assert seen[-1] == len(states) - 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(min_size=1, max_size=200))
def test_garbage_behind_the_log_is_cut(tmp_path, garbage):
    folder = tmp_path / "data"
    shutil.rmtree(folder, ignore_errors=True)
    states = filled(folder)
    with only_log(folder).open("ab") as log:
        log.write(garbage)
    assert state_of(folder) == states[-1]
    assert state_of(folder) == states[-1]


def test_damage_before_the_end_stops_the_start_and_repair_says_what_is_lost(tmp_path):
    states = filled(tmp_path)
    log = only_log(tmp_path)
    data = bytearray(log.read_bytes())
    third = [at for at in range(len(data)) if data[at : at + 4] == record.MAGIC][2]
    data[third + 40] ^= 1
    log.write_bytes(data)
    with pytest.raises(StartError) as caught:
        Engine(str(tmp_path))
    assert f"{log} is damaged at offset {third}" in str(caught.value)
    assert log.read_bytes() == data
    said = []
    assert state_of(tmp_path, repair=said.append) == states[2]
    assert "are lost" in said[0]
    assert state_of(tmp_path) == states[2]


def test_whichever_byte_of_the_log_is_damaged_it_serves_a_whole_prefix_or_refuses(tmp_path):
    states = filled(tmp_path / "whole")
    whole = only_log(tmp_path / "whole").read_bytes()
    last = whole.rindex(record.MAGIC)
    for at in range(len(whole)):
        folder = tmp_path / "damaged"
        folder.mkdir()
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        (folder / "log-0000000000000001").write_bytes(damaged)
        if at < last:
            with pytest.raises(StartError, match=r"is damaged at offset \d+: "):
                Engine(str(folder))
            assert only_log(folder).read_bytes() == damaged
        else:  # the last record, as a crash may have left it
            assert state_of(folder) == states[-2]
        shutil.rmtree(folder)


def test_repair_drops_what_lies_behind_a_damaged_segment(tmp_path):
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
    assert state_of(tmp_path, repair=lambda said: None) == {b"k": b"0"}
    assert state_of(tmp_path) == {b"k": b"0"}


def test_a_damaged_snapshot_stops_the_start(tmp_path):
    filled(tmp_path)
    path = tmp_path / "snapshot-0000000000000003"
    path.write_bytes(b"".join(snapshot.encode({b"k": b"v"}, 3, 0, 0))[:-9])
    with pytest.raises(StartError, match="is damaged"):
        Engine(str(tmp_path))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.binary(max_size=9), st.binary(max_size=9), max_size=30), st.integers(0, 2**60))
def test_snapshots_come_back_as_they_were(data, index):
    raw = b"".join(snapshot.encode(data, index, 7, 9))
    cursor = [0]

    def read(size):
        cursor[0] += size
        return raw[cursor[0] - size : cursor[0]]

    assert snapshot.decode(read) == (data, index, 7, 9)


def test_a_snapshot_cut_lengthened_or_damaged_anywhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "CHUNK_KEYS", 3)
    whole = b"".join(snapshot.encode({b"k%d" % n: b"v" * n for n in range(10)}, 3, 7, 9))
    path = tmp_path / "snapshot"
    path.write_bytes(whole)
    assert len(snapshot.read_file(str(path))[0]) == 10
    flipped = [
        whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
        for at in range(len(whole))
        for bit in range(8)
    ]
    blanked = [whole[:at] + bytes(8) + whole[at + 8 :] for at in range(len(whole) - 16)]
    cut = [whole[:size] for size in range(len(whole))]
    for damaged in {*flipped, *blanked, *cut, whole + b"\0"} - {whole}:
        path.write_bytes(damaged)
        with pytest.raises(snapshot.BadSnapshot):
            snapshot.read_file(str(path))


def take_snapshot(engine):
    engine.start_snapshot()
    eventually(lambda: engine.tick() or engine.compactor or engine.removing, lambda running: not running)


def test_a_snapshot_replaces_the_log_and_loses_nothing(tmp_path):
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


def test_a_crash_between_snapshot_and_tidying_is_harmless(tmp_path):
    engine = Engine(str(tmp_path))
    engine.put(b"k", b"1")
    engine.commit()
    old = only_log(tmp_path)
    take_snapshot_of = old.read_bytes()
    take_snapshot(engine)
    engine.put(b"k", b"2")
    engine.close()
    old.write_bytes(take_snapshot_of)
    (tmp_path / "snapshot-0000000000000009.new").write_bytes(b"half")
    assert state_of(tmp_path) == {b"k": b"2"}


def test_the_log_stays_short_by_itself(tmp_path):
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
    left = Engine(str(shutil.copytree(tmp_path, tmp_path / "copy")))
    assert left.data == engine.data
    engine.close()


def test_a_full_disk_refuses_writes_keeps_everything_and_recovers(tmp_path):
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
        done = subprocess.run([PYTHON, "-c", script, fsync], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert 150 < int(done.stdout) < 201
        assert len(state_of(folder)) == int(done.stdout)


def test_followers_find_their_place_by_index_and_chain(tmp_path):
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
    assert engine.log.ends(10) == ends[:-11:-1]
    engine.close()


def test_the_digest_depends_on_keys_and_values_only():
    assert digest_of({b"a": b"1", b"b": b"2"}) == digest_of({b"b": b"2", b"a": b"1"})
    assert (
        len({digest_of({b"ab": b"c"}), digest_of({b"a": b"bc"}), digest_of({}), digest_of({b"ab": b"d"})})
        == 4
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_record_are_a_record_or_refused(data):
    try:
        record.decode(data, 0, None)
    except record.BadRecord:
        return
    assert data.startswith(record.MAGIC)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=20), st.none() | st.binary(max_size=20)), min_size=1, max_size=20)
)
def test_commands_come_back_as_they_were(writes):
    packed = [
        record.encode_delete(key) if value is None else record.encode_set(key, value) for key, value in writes
    ]
    assert record.commands(b"".join(packed)) == writes
    assert record.commands(record.MARK + b"".join(packed)) == writes


def test_a_rewind_discards_exactly_what_came_later_and_says_what(tmp_path):
    engine = Engine(str(tmp_path))
    for number in range(5):
        engine.put(b"k%d" % number, b"v")
        engine.commit()
    engine.start_snapshot()
    place, chain = engine.log.ends(3)[2]
    engine.put(b"k0", b"changed")
    said = engine.rewind(place, chain)
    assert said == [
        "discarded 3 writes behind index 3 that the leader does not have",
        "4 SET k3",
        "5 SET k4",
        "6 SET k0",
    ]
    assert dict(engine.data) == {b"k0": b"v", b"k1": b"v", b"k2": b"v"}
    assert engine.compactor is None
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
    assert "in place of a history that ended at 9" in engine.install(str(path))[0]
    assert (dict(engine.data), engine.applied, engine.log.chain) == ({b"theirs": b"1"}, 4, 77)
    engine.put(b"more", b"2")
    engine.close()
    assert state_of(tmp_path) == {b"theirs": b"1", b"more": b"2"}


def test_a_crash_while_a_received_snapshot_is_taken_leaves_one_history(tmp_path):
    engine = Engine(str(tmp_path))
    for number in range(9):
        engine.put(b"mine%d" % number, b"v")
        engine.commit()
    engine.close()
    (tmp_path / "snapshot-0000000000000004").write_bytes(
        b"".join(snapshot.encode({b"theirs": b"1"}, 4, 2, 77))
    )
    said = []
    assert state_of(tmp_path, say=said.append) == {b"theirs": b"1"}
    assert said == ["removed the log of a history that the snapshot has replaced"]
