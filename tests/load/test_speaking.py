"""Requests by table and replies by memo say exactly what the client layer says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.connect import connect
from kvsim.client.exchange import Request
from kvsim.config.program_file import load_program
from kvsim.history.operations import (
    CAS,
    CAS_MET,
    CAS_MISSED,
    DELETE,
    DELETE_MISSED,
    GET,
    OK,
    PUT,
    REFUSED,
    UNKNOWN,
)
from kvsim.load.plan import LoadPlan
from kvsim.load.speaking import Speaker

KEYS = ("a", "b")
ONE, OTHER = "w-000000017", "w-000000018"


def speaker_of(root, program: str = "kvstore") -> tuple[Speaker, object]:
    problems: list = []
    client = connect(
        load_program(str(root / f"nodes/{program}/node.yaml"), root, problems), "127.0.0.1", 1, names={}
    )
    plan = LoadPlan(
        name="w",
        out=root,
        nodes=(),
        writes_at=(),
        reads_at=(),
        follow=False,
        clients=1,
        mix={"put": 1, "get": 1, "delete": 1, "cas": 1},
        keys=KEYS,
        skew=0.0,
        rate=None,
        timeout_s=1.0,
        seed="1",
        process=0,
        tag="w-",
    )
    return Speaker(client, plan), client


@pytest.mark.parametrize("program", ["kvstore", "redis", "etcd"])
def test_requests_are_the_codecs_own(root, program):
    speaker, client = speaker_of(root, program)
    for key, name in enumerate(KEYS):
        fields = {"key": name, "value": ONE}
        assert speaker.write(key, ONE) == client.codec.encode(Request("put", fields))
        assert speaker.other("get", key) == client.codec.encode(Request("get", {"key": name}))
        fields["expected"] = OTHER
        assert speaker.write(key, ONE, OTHER) == client.codec.encode(Request("cas", fields))


def test_replies_mean_what_the_rules_say(root):
    speaker, _ = speaker_of(root)
    table = {
        ("put", b"OK\n"): (OK, PUT, None),
        ("get", b"VALUE x y\n"): (OK, GET, "x y"),
        ("get", b"NOT_FOUND\n"): (OK, GET, None),
        ("delete", b"OK\n"): (OK, DELETE, None),
        ("delete", b"NOT_FOUND\n"): (OK, DELETE_MISSED, None),
        ("cas", b"OK\n"): (OK, CAS, None),
        ("cas", b"MISMATCH\n"): (OK, CAS_MISSED, None),
        ("cas", b"MISMATCH w-000000017\n"): (OK, CAS_MET, ONE),
        ("cas", b"MISMATCH w-000000018\n"): (OK, CAS_MET, OTHER),
        ("cas", b"NOT_FOUND\n"): (OK, CAS_MET, None),
        ("cas", b"ERR read-only: this node is a follower\n"): (REFUSED, CAS, None),
        ("cas", b"NO\n"): (UNKNOWN, CAS, None),
        ("put", b"ERR read-only, leader is on port 9001\n"): (REFUSED, PUT, None),
        ("put", b"what?\n"): (UNKNOWN, PUT, None),
        ("put", b"ERR read-only: this node is a follower\nOK\n"): (UNKNOWN, PUT, None),
    }
    for _ in range(2):  # the second time out of the memo
        for (verb, data), meaning in table.items():
            said = speaker.read(verb, data)
            assert (said.outcome, said.kind, said.value) == meaning, (verb, data)


@given(st.text(alphabet="abc xyz", min_size=1, max_size=20), st.data())
def test_a_reply_in_pieces_is_none_until_it_is_whole(root, value, data):
    speaker, _ = speaker_of(root)
    whole = f"VALUE {value}\n".encode()
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert speaker.read("get", whole[:cut]) is None
    assert speaker.read("get", whole).value == value


def test_one_verbs_reply_is_not_taken_for_anothers(root):
    speaker, _ = speaker_of(root)
    assert speaker.read("put", b"OK\n").kind == PUT
    assert speaker.read("delete", b"OK\n").kind == DELETE


@pytest.mark.parametrize(
    "looks_like",
    [
        b"VALUE w-000000018\n",
        b"VALUE w-00000001x\n",
        b"VALUE w-000000018 \n",
        b"VALUE x-000000018\n",
        b"value w-000000018\n",
    ],
)
def test_what_looks_like_an_earlier_reply_is_read_as_the_codec_reads_it(root, looks_like):
    speaker, _ = speaker_of(root)
    fresh, _ = speaker_of(root)
    assert speaker.read("get", b"VALUE w-000000017\n").value == ONE
    assert speaker.read("get", looks_like) == fresh.read("get", looks_like)


def test_values_are_read_out_of_resp_too(root):
    speaker, _ = speaker_of(root, "redis")
    for value in (ONE, OTHER):
        assert speaker.read("get", f"$11\r\n{value}\r\n".encode()).value == value
    assert speaker.read("get", b"$11\r\nw-000000019\r") is None
    assert speaker.read("get", b"$-1\r\n").value is None
