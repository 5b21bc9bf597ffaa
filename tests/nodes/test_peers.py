"""What nodes say to each other, as pure things: frames, remembered facts, replies that wait."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvstore import frames
from kvstore.errors import StartError
from kvstore.holds import Holds
from kvstore.meta import Meta, address_of, address_text
from kvstore.peers import Peers
from kvstore.replies import Free
from kvstore.session import OK, LineSession
from kvstore.session_resp import OKS

frame_lists = st.lists(st.tuples(st.sampled_from([b"R", b"W", b"H"]), st.binary(max_size=20)), max_size=8)


@settings(max_examples=200, deadline=None)
@given(frame_lists, st.lists(st.integers(0, 300), max_size=5))
def test_frames_come_back_however_the_stream_is_cut(sent, at):
    data = b"".join(frames.encode(kind, body) for kind, body in sent)
    marks = sorted({mark % (len(data) + 1) for mark in at} | {0, len(data)})
    decoder = frames.Decoder()
    assert [frame for a, b in pairwise(marks) for frame in decoder.feed(data[a:b])] == sent


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_frames_or_refused(data):
    try:
        found = frames.Decoder().feed(data)
    except frames.BadFrame:
        return
    assert sum(frames.HEADER.size + len(body) for _, body in found) <= len(data)
    for decode in (frames.decode_ends, frames.decode_members):
        try:
            decode(data)
        except frames.BadFrame:
            continue


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.from_regex(r"[0-9a-f]{12}", fullmatch=True), st.integers(1, 15), max_size=4))
def test_members_come_back_as_they_were(slots):
    members = {node: (slot, f"127.0.0.1:{9000 + slot}") for node, slot in slots.items()}
    assert frames.decode_members(frames.encode_members(members)[frames.HEADER.size :]) == members


def test_facts_are_remembered_and_a_damaged_file_is_named(tmp_path):
    meta = Meta(str(tmp_path))
    meta.identify()
    meta.epoch, meta.cluster, meta.members = 7, "c0ffee", {meta.node: (3, "127.0.0.1:9001")}
    meta.save()
    again = Meta(str(tmp_path))
    assert (again.epoch, again.cluster, again.node, again.members) == (7, "c0ffee", meta.node, meta.members)
    whole = (tmp_path / "meta").read_bytes()
    for size in range(1, len(whole) - 1):
        (tmp_path / "meta").write_bytes(whole[:size])
        with pytest.raises(StartError, match="cannot be read"):
            Meta(str(tmp_path))


def test_addresses_there_and_back():
    assert address_of(address_text(("10.0.0.1", 9))) == ("10.0.0.1", 9)
    assert address_of(address_text(None)) is None


class Told:
    """What Peers needs of the settings."""

    def __init__(self, name, peers):
        self.host, self.port, self.name, self.peers = "127.0.0.1", 9001, name, peers


names = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
ports = st.integers(1, 65535)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(names, st.tuples(st.just("10.0.0.2"), ports), max_size=4), names)
def test_a_place_means_the_address_that_was_told(told, me):
    told.pop(me, None)
    peers = Peers(Told(me, told))
    assert {name: peers.address(name) for name in told} == told
    assert all(peers.address(peers.place(address)) == address for address in told.values())
    assert (peers.address(me), peers.place(("127.0.0.1", 9001))) == (("127.0.0.1", 9001), me)
    with pytest.raises(ValueError, match="nobody told this node where 'UNKNOWN' is"):
        peers.address("UNKNOWN")


def test_without_names_places_are_addresses():
    peers = Peers(Told(None, {}))
    assert peers.me == "127.0.0.1:9001"
    assert peers.address("10.0.0.9:7") == ("10.0.0.9", 7)
    assert peers.place(("10.0.0.9", 7)) == "10.0.0.9:7"
    assert (peers.address(""), peers.place(None)) == (None, "")


class Waiting:
    """What Holds needs of a connection."""

    def __init__(self, *out):
        self.out, self.held_bytes, self.free, self.closed = list(out), 0, False, False
        self.session = LineSession(None, None)


def test_replies_wait_in_order_and_free_ones_do_not():
    holds, one, two = Holds(1.0), Waiting(OK, b"VALUE 1\n"), Waiting(Free(b"PONG\n"))
    assert holds.hold(5, 0.0, [one, two]) == [two]
    one.out = [Free(b"PONG\n")]
    assert holds.hold(6, 0.1, [one]) == []
    assert list(holds.release(4)) == []
    assert list(holds.release(5)) == [(one, b"OK\nVALUE 1\n")]
    assert list(holds.release(9)) == [(one, b"PONG\n")]
    assert one.held_bytes == 0


def test_what_waited_too_long_is_told_as_doubts():
    holds, one = Holds(1.0), Waiting(OK, b"VALUE 1\n", Free(b"PONG\n"))
    holds.hold(5, 0.0, [one])
    assert list(holds.expire(0.9, str)) == []
    [(_, data)] = holds.expire(1.0, lambda index: f"nobody has {index}")
    assert data == b"ERR unknown: nobody has 5\nERR not ready: nobody has 5\nPONG\n"


def test_a_pipeline_in_doubt_gets_one_doubt_for_each_write():
    assert OKS[3].in_doubt("who knows") == b"-UNKNOWN who knows\r\n" * 3
