"""Cached requests and replies are equal to those of the client layer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.connect import connect
from kvsim.client.exchange import Request
from kvsim.config.program_loader import load_program
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
from kvsim.runner.registry import REGISTRY
from kvsim.workload.plan import LoadPlan
from kvsim.workload.request_cache import RequestCache

KEYS = ("a", "b")
ONE, OTHER = "w-000000017", "w-000000018"


def cache_of(root, program: str = "kvstore") -> tuple[RequestCache, object]:
    problems: list = []
    client = connect(
        load_program(str(root / f"nodes/{program}/node.yaml"), root, problems, REGISTRY),
        "127.0.0.1",
        1,
        names={},
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
    return RequestCache(client, plan), client


@pytest.mark.parametrize("program", ["kvstore", "redis", "etcd"])
def test_requests_are_equal_to_the_codec_s(root, program):
    cache, client = cache_of(root, program)
    for key, name in enumerate(KEYS):
        fields = {"key": name, "value": ONE}
        assert cache.write(key, ONE) == client.codec.encode(Request("put", fields))
        assert cache.without_value("get", key) == client.codec.encode(Request("get", {"key": name}))
        fields["expected"] = OTHER
        assert cache.write(key, ONE, OTHER) == client.codec.encode(Request("cas", fields))


def test_replies_are_parsed_by_the_rules(root):
    cache, _ = cache_of(root)
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
    # The second time they come from the memo.
    for _ in range(2):
        for (verb, data), expected in table.items():
            reply = cache.parse(verb, data)
            assert (reply.outcome, reply.kind, reply.value) == expected, (verb, data)


@given(st.text(alphabet="abc xyz", min_size=1, max_size=20), st.data())
def test_a_reply_in_pieces_is_none_until_it_is_whole(root, value, data):
    cache, _ = cache_of(root)
    whole = f"VALUE {value}\n".encode()
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert cache.parse("get", whole[:cut]) is None
    assert cache.parse("get", whole).value == value


def test_equal_replies_to_different_verbs_stay_apart(root):
    cache, _ = cache_of(root)
    assert cache.parse("put", b"OK\n").kind == PUT
    assert cache.parse("delete", b"OK\n").kind == DELETE


@pytest.mark.parametrize(
    "similar",
    [
        b"VALUE w-000000018\n",
        b"VALUE w-00000001x\n",
        b"VALUE w-000000018 \n",
        b"VALUE x-000000018\n",
        b"value w-000000018\n",
    ],
)
def test_a_reply_similar_to_a_pattern_is_parsed_as_by_the_codec(root, similar):
    cache, _ = cache_of(root)
    fresh, _ = cache_of(root)
    assert cache.parse("get", b"VALUE w-000000017\n").value == ONE
    assert cache.parse("get", similar) == fresh.parse("get", similar)


def test_values_in_resp(root):
    cache, _ = cache_of(root, "redis")
    for value in (ONE, OTHER):
        assert cache.parse("get", f"$11\r\n{value}\r\n".encode()).value == value
    assert cache.parse("get", b"$11\r\nw-000000019\r") is None
    assert cache.parse("get", b"$-1\r\n").value is None
