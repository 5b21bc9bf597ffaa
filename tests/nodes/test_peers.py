"""The parts of replication without processes: frames, meta, peer addresses, the commit queue."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvstore import frames
from kvstore.commit_queue import CommitQueue
from kvstore.errors import StartError
from kvstore.line_session import OK, LineSession
from kvstore.meta import Meta, new_id
from kvstore.peer_addresses import PeerAddresses, format_address, parse_address
from kvstore.replies import IndependentReply
from kvstore.resp_session import OKS

frame_lists = st.lists(
    st.tuples(st.sampled_from([b"R", b"W", b"H"]), st.binary(max_size=20)), max_size=8
)


@settings(max_examples=200, deadline=None)
@given(frame_lists, st.lists(st.integers(0, 300), max_size=5))
def test_frames_are_decoded_wherever_the_stream_is_cut(sent, offsets):
    data = b"".join(frames.encode(kind, body) for kind, body in sent)
    cuts = sorted({offset % (len(data) + 1) for offset in offsets} | {0, len(data)})
    decoder = frames.FrameDecoder()
    assert [frame for a, b in pairwise(cuts) for frame in decoder.feed(data[a:b])] == sent


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_frames_or_refused(data):
    try:
        found = frames.FrameDecoder().feed(data)
    except frames.BadFrame:
        return
    assert sum(frames.HEADER.size + len(body) for _, body in found) <= len(data)
    for decode in (frames.decode_record_ends, frames.decode_members):
        try:
            decode(data)
        except frames.BadFrame:
            continue


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[0-9a-f]{12}", fullmatch=True), st.integers(1, 15), max_size=4)
)
def test_encoded_members_are_decoded_unchanged(slots):
    members = {node_id: (slot, f"127.0.0.1:{9000 + slot}") for node_id, slot in slots.items()}
    assert frames.decode_members(frames.encode_members(members)) == members


def test_meta_is_read_as_it_was_written_and_a_damaged_file_is_named(tmp_path):
    meta = Meta(str(tmp_path))
    meta.node, meta.term, meta.cluster = new_id(), 7, "c0ffee"
    meta.members = {meta.node: (3, "127.0.0.1:9001")}
    meta.save()
    again = Meta(str(tmp_path))
    assert (again.term, again.cluster, again.node) == (7, "c0ffee", meta.node)
    assert again.members == meta.members
    whole = (tmp_path / "meta").read_bytes()
    for size in range(1, len(whole) - 1):
        (tmp_path / "meta").write_bytes(whole[:size])
        with pytest.raises(StartError, match="cannot be read"):
            Meta(str(tmp_path))


def test_a_formatted_address_is_parsed_unchanged():
    assert parse_address(format_address(("10.0.0.1", 9))) == ("10.0.0.1", 9)


class PeerSettings:
    """The settings that PeerAddresses reads."""

    def __init__(self, name, peers):
        self.host, self.port, self.name, self.peers = "127.0.0.1", 9001, name, peers


names = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
ports = st.integers(1, 65535)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(names, st.tuples(st.just("10.0.0.2"), ports), max_size=4), names)
def test_a_peer_name_is_resolved_with_the_given_addresses(given_peers, own_name):
    given_peers.pop(own_name, None)
    peers = PeerAddresses(PeerSettings(own_name, given_peers))
    own_address = ("127.0.0.1", 9001)
    assert {name: peers.address_of(name) for name in given_peers} == given_peers
    for address in given_peers.values():
        assert peers.address_of(peers.name_of(address)) == address
    assert peers.address_of(own_name) == own_address
    assert peers.name_of(own_address) == own_name
    with pytest.raises(ValueError, match="this node has no address for 'UNKNOWN' in its --peers"):
        peers.address_of("UNKNOWN")


def test_without_names_a_peer_name_is_an_address():
    peers = PeerAddresses(PeerSettings(None, {}))
    assert peers.own_name == "127.0.0.1:9001"
    assert peers.address_of("10.0.0.9:7") == ("10.0.0.9", 7)
    assert peers.name_of(("10.0.0.9", 7)) == "10.0.0.9:7"
    assert peers.name_of(None) == ""
    with pytest.raises(ValueError, match="'' is not an address"):
        peers.address_of("")


class QueuedConnection:
    """The part of a connection that CommitQueue uses."""

    def __init__(self, *out):
        self.out, self.queued_bytes = list(out), 0
        self.independent, self.closed = False, False
        self.encode_error = LineSession(None, None).encode_error


def test_replies_wait_in_order_and_independent_replies_do_not():
    queue = CommitQueue(1.0)
    first = QueuedConnection(OK, b"VALUE 1\n")
    second = QueuedConnection(IndependentReply(b"PONG\n"))
    assert queue.add(5, 0.0, [first, second]) == [second]
    first.out = [IndependentReply(b"PONG\n")]
    assert queue.add(6, 0.1, [first]) == []
    assert list(queue.release(4)) == []
    assert list(queue.release(5)) == [(first, b"OK\nVALUE 1\n")]
    assert list(queue.release(9)) == [(first, b"PONG\n")]
    assert first.queued_bytes == 0


def test_replies_that_waited_too_long_are_indeterminate():
    queue = CommitQueue(1.0)
    queue.add(5, 0.0, [QueuedConnection(OK, b"VALUE 1\n", IndependentReply(b"PONG\n"))])
    assert list(queue.expire(0.9, str)) == []
    [(_, data)] = queue.expire(1.0, lambda index: f"no node has {index}")
    assert data == b"ERR unknown: no node has 5\nERR not ready: no node has 5\nPONG\n"


def test_an_indeterminate_pipeline_gets_one_reply_a_write():
    assert OKS[3].indeterminate("too few") == b"-UNKNOWN too few\r\n" * 3


def test_facts_that_cannot_be_saved_are_not_changed(tmp_path):
    meta = Meta(str(tmp_path))
    meta.update(promised=3, vote="n1")
    (tmp_path / "meta.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        meta.update(promised=4, vote="n2")
    assert (meta.promised, meta.vote) == (3, "n1")
    (tmp_path / "meta.new").rmdir()
    meta.update(promised=4, vote="n2")
    again = Meta(str(tmp_path))
    assert (again.promised, again.vote) == (4, "n2")
