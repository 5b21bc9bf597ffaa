"""No bytes crash a reader: what is not a history is an error of the file, in every format."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.checks.consistency.check import check
from kvsim.checks.consistency.report import render
from kvsim.errors import UsageError
from kvsim.history import binary_file, formats
from kvsim.history.history import FinalRead, History, RoleSample
from kvsim.history.operations import Operations
from kvsim.history.pairing import FormatError
from tests.history.test_jepsen_test import OPS, file_of

NAMES = formats.names()

EDN = b"""[{:process 0, :type :invoke, :f :write, :value [1 "a\\u0041"], :time 10, :index 0}
 {:process 1, :type :invoke, :f :cas, :value [1 [nil {:b 2}]], :time 11}
 #jepsen.history.Op{:process 0, :type :ok, :f :write, :value [1 "aA"], :time 12}
 {:process :nemesis, :type :info, :f :start, :value #{1 2}, :time 13}
 {:process 1, :type :fail, :f :cas, :value [1 [nil {:b 2}]], :time 14, :error :no}
 {:process 1, :type :invoke, :f :read, :value [1 nil], :time 15}
 {:process 1, :type :ok, :f :read, :value [1 \\a], :time 16}]
"""
LOG = b"""INFO  jepsen.util - 0\t:invoke\t:write\t2
2024{GMT}\tINFO\t[w] jepsen.util: 1\t:invoke\t:cas\t[3 4]
0\t:info\t:write\t:timed-out
1\t:fail\t:cas\t[3 4]\t:no-leader
"""
PORCUPINE = b"""{"ClientId":0,"Input":{"op":1,"key":"k","value":""},"Call":1,"Output":{},"Return":2}
{"ClientId":0,"Input":{"op":0,"key":"k"},"Call":3,"Output":{"value":"a"},"Return":4}
{"ClientId":1,"Input":{"op":2,"key":"k","value":"b"},"Call":3,"Output":null,"Return":null}
{"ClientId":1,"Input":{"Op":1,"Key":"v","Version":0},"Call":5,"Output":{"Err":"OK"},"Return":6}
"""
ETCD = (
    b"""{"ClientId":0,"Input":{"Type":"range","Range":{"Start":"k"}},"Call":1,"Output":
{"Range":{"KVs":[{"Key":"k","Value":{"Hash":3}}]}},"Return":2}
""".replace(b"\n{", b"{")
    + b"""{"ClientId":0,"Input":{"Type":"txn","Txn":{"OperationsOnSuccess":
[{"Type":"put-operation","Put":{"Key":"k","Value":{"Value":"v"}}}]}},"Call":3,"Output":{},"Return":4}
""".replace(b"\n[", b"[")
)


def whole() -> History:
    operations = Operations()
    operations.add(1, 2, 0, "k", "put", "a", node="n1")
    operations.add(3, 4, 0, "k", "cas_met", "a", expected="b", node="n1")
    return History(
        operations,
        samples=(RoleSample(1, "n1", "leader", 3),),
        finals=(FinalRead("n1", "k", "a", 9),),
        leader_log=(("k", "a"),),
        initial={"k": "z"},
    )


def exported() -> bytes:
    module = __import__("kvsim.history.formats.kvsim_jsonl", fromlist=["write"])
    return "".join(line + "\n" for line in module.write(whole())).encode()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("h") / "h.bin"
    binary_file.save(whole(), path)
    return path.read_bytes()


SEEDS = {
    "jepsen-test": [file_of(OPS)],
    "jepsen-edn": [EDN],
    "jepsen-log": [LOG],
    "porcupine-jsonl": [PORCUPINE, ETCD, b"[" + b",".join(ETCD.splitlines()) + b"]"],
    "kvsim-jsonl": [exported()],
}
# Pieces that mean something in one of the formats.
PIECES = [
    b"",
    b"\n",
    *b'"{}[]():#,\\^;\t',
    b"null",
    b"nil",
    b"-1",
    b"1e999",
    b"NaN",
    b"99999999999999999999",
    b"true",
    b'"x"',
    b"{}",
    b"[]",
    b"#_",
    b"#:a",
    b"\xff",
    b"\\ud800",
    b":type",
    b":value",
    b":ok",
    b":invoke",
    b":append",
    b"JEPSEN",
    b"[" * 2_000,
]
PIECE = st.sampled_from([piece if isinstance(piece, bytes) else bytes([piece]) for piece in PIECES])
TOKEN = re.compile(rb"[A-Za-z0-9_:.-]+|\s|.", re.DOTALL)


def attempt(name: str | None, data: bytes) -> History | None:
    """What is read; None for an error of the file, which is the only one allowed."""
    try:
        _, found = formats.read_open(name, io.BufferedReader(io.BytesIO(data)), "h")
    except FormatError as error:
        assert error.line >= 1
        return None
    except UsageError:
        return None
    assert not found.operations.problems()
    for string in (*found.operations.keys.strings, *found.operations.values.strings):
        (string or "").encode()
    return found


@given(st.sampled_from([None, *NAMES]), st.binary(max_size=200))
def test_any_bytes(name: str | None, data: bytes) -> None:
    attempt(name, data)


@given(st.sampled_from([None, *NAMES]), st.lists(PIECE, max_size=12))
def test_any_pieces(name: str | None, pieces: list[bytes]) -> None:
    attempt(name, b"".join(pieces))


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid file in which a few tokens are replaced, doubled or dropped."""
    name = draw(st.sampled_from(sorted(SEEDS)))
    tokens = TOKEN.findall(draw(st.sampled_from(SEEDS[name])))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(tokens) - 1))
        end = begin + draw(st.sampled_from([0, 1, 1, 1, 5, 40]))
        other = draw(st.sampled_from(tokens))
        tokens[begin:end] = [draw(PIECE | st.just(other))]
    return name, b"".join(tokens)


@given(mutated(), st.booleans())
def test_any_change_of_a_valid_file(file: tuple[str, bytes], guessed: bool) -> None:
    name, data = file
    found = attempt(None if guessed else name, data)
    if found is not None:
        # What was read can be judged and printed.
        render(check(found, {"leader_reads": "linearizable"})).encode()


@given(st.data())
def test_any_change_of_a_binary_file(saved: bytes, data: st.DataObject) -> None:
    changed = bytearray(saved)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(changed)) | st.just(len(changed)))
    attempt(formats.BINARY, bytes(changed[:cut]))


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_the_seeds_are_valid_and_are_recognised(name: str) -> None:
    for data in SEEDS[name]:
        found = attempt(None, data)
        assert found is not None and len(found.operations) > 0
        assert formats.read_open(None, io.BufferedReader(io.BytesIO(data)), "h")[0] == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Type", "Txn", "Range", "KVs", "Value", "Put", "Key", "op", "Hash"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from([*SEEDS["porcupine-jsonl"][:2], *SEEDS["kvsim-jsonl"]]), JSON, st.data())
def test_any_value_in_a_field(seed: bytes, value: object, data: st.DataObject) -> None:
    lines = [json.loads(line) for line in seed.splitlines()]
    place = data.draw(st.sampled_from(lines))
    while True:
        name = data.draw(st.sampled_from(sorted(place))) if place else "op"
        if not isinstance(place.get(name), dict) or data.draw(st.booleans()):
            place[name] = value
            break
        place = place[name]
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    for format_name in ("porcupine-jsonl", "kvsim-jsonl"):
        attempt(format_name, text)
