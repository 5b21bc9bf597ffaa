"""Requests by table and replies by memo say exactly what the client layer says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.connect import connect
from kvsim.client.exchange import Request
from kvsim.config.program_file import load_program
from kvsim.history.operations import DELETE, DELETE_MISSED, GET, OK, PUT, REFUSED, UNKNOWN
from kvsim.load.speaking import Speaker

VERBS = ("put", "get", "delete")


def speaker_of(root) -> tuple[Speaker, object]:
    problems: list = []
    program = load_program(str(root / "nodes/kvstore/node.yaml"), root, problems)
    client = connect(program, "127.0.0.1", 1, names={})
    return Speaker(client, VERBS, ("a", "b"), "w-000000000"), client


def test_requests_are_the_codecs_own(root):
    speaker, client = speaker_of(root)
    for key, name in enumerate(("a", "b")):
        assert speaker.put(key, "w-000000017") == client.codec.encode(
            Request("put", {"key": name, "value": "w-000000017"})
        )
        assert speaker.other("get", key) == client.codec.encode(Request("get", {"key": name}))


def test_replies_mean_what_the_rules_say(root):
    speaker, _ = speaker_of(root)
    table = {
        ("put", b"OK\n"): (OK, PUT, None),
        ("get", b"VALUE x y\n"): (OK, GET, "x y"),
        ("get", b"NOT_FOUND\n"): (OK, GET, None),
        ("delete", b"OK\n"): (OK, DELETE, None),
        ("delete", b"NOT_FOUND\n"): (OK, DELETE_MISSED, None),
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
