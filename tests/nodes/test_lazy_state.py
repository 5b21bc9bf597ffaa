"""A large snapshot, decoded when it is needed: each read is exact, and no damage is served."""

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kvstore import snapshot
from kvstore.data_directory import FORMAT
from kvstore.engine import KEYS_AT_ONCE_MAX, Engine, digest_of
from kvstore.errors import UnreadableFileError
from kvstore.lazy_state import LOOKUPS_PER_CHUNK, LazyState
from store_process import NODES, PROGRAM, eventually, take_snapshot

KEYS = st.integers(0, 60).map(lambda number: b"%02d" % number)
VALUES = st.binary(max_size=5)


def lazy_state(folder, data):
    path = folder / "snapshot"
    path.write_bytes(b"".join(snapshot.encode(data, 1, 0, 0)))
    return LazyState(snapshot.SnapshotFile(str(path)))


def test_one_read_decodes_one_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "CHUNK_KEYS", 10)
    state = lazy_state(tmp_path, {b"k%02d" % number: b"%d" % number for number in range(50)})
    assert len(state) == 50
    assert state.data == {}
    assert state.get(b"k25") == b"25"
    assert sorted(state.data) == [b"k%02d" % number for number in range(20, 30)]
    assert state.get(b"k25x") is None
    assert len(state.data) == 10
    assert state.get(b"a") is None
    assert len(state.data) == 10
    state.close()


def test_a_write_decodes_nothing_until_the_number_of_keys_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "CHUNK_KEYS", 10)
    state = lazy_state(tmp_path, {b"k%02d" % number: b"old" for number in range(50)})
    state.update([(b"k07", b"new"), (b"k07+", b"new")])
    assert state.data == {b"k07": b"new", b"k07+": b"new"}
    assert len(state) == 51
    assert len(state.data) == 11
    assert (state.get(b"k07"), state.get(b"k08")) == (b"new", b"old")
    state.close()


def test_many_writes_to_few_chunks_are_counted_exactly(tmp_path):
    state = lazy_state(tmp_path, {b"%05d" % number: b"" for number in range(2000)})
    many = 2 * LOOKUPS_PER_CHUNK + 1
    state.update((b"%05d" % number, b"") for number in range(1000, 1000 + many))
    assert len(state) == 1000 + many
    state.close()


class LazyBesideDict(RuleBasedStateMachine):
    """Random accesses to a LazyState and to a dictionary with the same contents."""

    @initialize(data=st.dictionaries(KEYS, VALUES, max_size=40), chunk_keys=st.integers(1, 7))
    def start(self, data, chunk_keys):
        self.model = dict(data)
        before, snapshot.CHUNK_KEYS = snapshot.CHUNK_KEYS, chunk_keys
        self.state = lazy_state(self.folder, data)
        snapshot.CHUNK_KEYS = before

    @rule(key=KEYS)
    def get(self, key):
        assert self.state.get(key) == self.model.get(key)
        assert (key in self.state) == (key in self.model)

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=5))
    def update(self, pairs):
        self.state.update(iter(pairs))
        self.model.update(pairs)

    @rule(key=KEYS, value=VALUES)
    def set(self, key, value):
        self.state[key] = value
        self.model[key] = value

    @rule(key=KEYS)
    def pop(self, key):
        assert self.state.pop(key, None) == self.model.pop(key, None)

    @rule(key=KEYS)
    def delete(self, key):
        if key in self.model:
            del self.model[key], self.state[key]
            return
        with pytest.raises(KeyError):
            del self.state[key]

    @rule()
    def length(self):
        assert len(self.state) == len(self.model)

    @rule()
    def decode_next(self):
        self.state.decode_next()

    @rule()
    def copy(self):
        assert dict(self.state) == self.model
        assert sorted(self.state) == sorted(self.model)

    @invariant()
    def every_decoded_key_is_right(self):
        assert self.state.data.items() <= self.model.items()

    def teardown(self):
        assert len(self.state) == len(self.model)
        assert self.state.decode_all() == self.model
        self.state.close()


def test_any_accesses_are_answered_as_by_a_dictionary(tmp_path):
    LazyBesideDict.folder = tmp_path
    LazyBesideDict.TestCase.settings = settings(
        max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=HealthCheck
    )
    LazyBesideDict.TestCase("runTest").runTest()


# -- engines -------------------------------------------------------------------------------------


def write_state(folder, data, index=100):
    folder.mkdir(exist_ok=True)
    path = folder / f"snapshot-{index:016d}"
    path.write_bytes(b"".join(snapshot.encode(data, index, 1, 5)))
    return path


def loaded(engine):
    while engine.load_more():
        pass
    assert isinstance(engine.data, dict)
    return engine.data


def test_the_log_is_applied_to_what_is_not_decoded(tmp_path, small_chunks):
    engine, seed = Engine(str(tmp_path)), random.Random(1)
    expected = {}
    for _ in range(6):
        for _ in range(40):
            key = b"k%02d" % seed.randrange(30)
            if seed.random() < 0.3:
                assert engine.delete(key) == (key in expected)
                expected.pop(key, None)
            else:
                engine.put(key, b"%d" % seed.randrange(1000))
                expected[key] = engine.get(key)
            engine.commit()
        if seed.random() < 0.7:
            take_snapshot(engine)
        digest = engine.digest()
        engine.close()
        engine = Engine(str(tmp_path))
        assert len(engine) == len(expected)
        assert engine.digest() == digest == digest_of(expected)
        engine.close()
        engine = Engine(str(tmp_path))
    assert engine.snapshot_index
    assert loaded(engine) == expected
    engine.close()


def test_a_large_snapshot_is_not_decoded_before_it_is_needed(tmp_path):
    data = {b"key%06d" % number: b"v" for number in range(KEYS_AT_ONCE_MAX + 1)}
    write_state(tmp_path, data)
    engine = Engine(str(tmp_path))
    assert isinstance(engine.data, LazyState)
    assert len(engine) == len(data)
    assert engine.data.data == {}
    assert engine.get(b"key000007") == b"v"
    assert engine.get_all([b"key000008", b"other"]) == [b"v", None]
    engine.put(b"other", b"v")
    assert len(engine) == len(data) + 1
    assert loaded(engine) == data | {b"other": b"v"}
    engine.close()
    del data[b"key000000"]
    write_state(tmp_path, data)
    engine = Engine(str(tmp_path))
    assert isinstance(engine.data, dict)
    engine.close()


def test_a_chunk_that_is_damaged_after_the_start_is_not_served(tmp_path, small_chunks):
    data = {b"k%02d" % number: b"v%02d" % number for number in range(12)}
    path = write_state(tmp_path / "whole", data)
    whole = path.read_bytes()
    for at in range(snapshot.HEADER.size, len(whole)):
        engine = Engine(str(path.parent))
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([whole[at] ^ 1]))
        served, failures = {}, 0
        for key in data:
            try:
                served[key] = engine.get(key)
            except UnreadableFileError as error:
                assert "has changed since the start: chunk" in str(error)
                failures += 1
        assert served.items() <= data.items()
        in_body = any(begin <= at < begin + size for begin, size, _ in engine.data.file.chunks)
        assert failures == (3 if in_body else 0)
        engine.close()
        path.write_bytes(whole)


def test_a_snapshot_that_is_replaced_is_still_read_to_its_end(tmp_path, small_chunks):
    data = {b"k%02d" % number: b"v" for number in range(30)}
    path = write_state(tmp_path, data)
    engine = Engine(str(tmp_path))
    path.unlink()
    assert loaded(engine) == data
    engine.close()


def test_a_rewind_and_a_received_snapshot_replace_what_is_not_decoded(tmp_path, small_chunks):
    data = {b"k%02d" % number: b"v" for number in range(30)}
    write_state(tmp_path, data)
    engine = Engine(str(tmp_path))
    engine.put(b"k01", b"kept")
    engine.commit()
    index, chain = engine.log.last, engine.log.chain
    engine.put(b"k02", b"discarded")
    engine.rewind(index, chain)
    assert dict(engine.data) == data | {b"k01": b"kept"}
    engine.close()
    engine = Engine(str(tmp_path))
    assert isinstance(engine.data, LazyState)
    incoming = write_state(tmp_path / "other", {b"theirs": b"1"}, 4)
    shutil.move(incoming, tmp_path / "snapshot-incoming")
    engine.install_snapshot(str(tmp_path / "snapshot-incoming"))
    assert (dict(engine.data), engine.applied) == ({b"theirs": b"1"}, 4)
    engine.close()


# -- nodes ---------------------------------------------------------------------------------------


# a node that decodes only what its clients ask for
WITHOUT_BACKGROUND = f"""
import sys
sys.path.insert(0, {str(NODES)!r})
from kvstore.main import run
from kvstore.node import StoreNode

class NodeWithoutBackground(StoreNode):
    def load_more(self):
        pass

sys.exit(run(sys.argv[1:], node_class=NodeWithoutBackground))
"""


def write_large_state(tmp_path, keys):
    """Write the data directory of a store with so many keys; return (snapshot, the keys)."""
    data = {b"key%06d" % number: b"%d" % number for number in range(keys)}
    path = write_state(tmp_path / "large", data)
    (path.parent / "FORMAT").write_bytes(FORMAT)
    return path, data


def without_background(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(WITHOUT_BACKGROUND)
    return program


@pytest.mark.parametrize("background", [True, False])
def test_a_node_answers_exactly_while_it_still_decodes(new_store, tmp_path, background):
    _, data = write_large_state(tmp_path, 60_000)
    program = PROGRAM if background else without_background(tmp_path)
    store = new_store("large", program=program)
    with store.client() as ask:
        assert f'"keys":{len(data)},' in ask("STATUS")
        assert ask("GET key059999") == "VALUE 59999"
        assert ask("GET key06") == "NOT_FOUND"
        assert ask("DELETE key000001") == "OK"
        assert ask("PUT key06 new") == "OK"
        assert ask("PUT key030000 changed") == "OK"
        assert f'"keys":{len(data)},' in ask("STATUS")
        del data[b"key000001"]
        data |= {b"key06": b"new", b"key030000": b"changed"}
        assert ask("DIGEST") == f"VALUE 103 {digest_of(data)}"


def test_a_node_decodes_everything_when_it_has_nothing_else_to_do(new_store, tmp_path):
    path, _ = write_large_state(tmp_path, 60_000)
    store = new_store("large")

    def open_files():
        return [link.resolve() for link in Path(f"/proc/{store.process.pid}/fd").iterdir()]

    eventually(open_files, lambda files: path not in files)
    assert store.ask("GET key059999") == "VALUE 59999"


def test_a_node_whose_snapshot_is_damaged_while_it_runs_stops(new_store, tmp_path):
    path, _ = write_large_state(tmp_path, 20_000)
    store = new_store("large", program=without_background(tmp_path))
    with path.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"damage")
    assert store.ask("GET key000001") == "VALUE 1"
    assert store.ask("GET key019999") == ""
    status, output = store.finish()
    assert status == 1
    assert f"stopping: {path} has changed since the start: chunk 19 is damaged" in output
