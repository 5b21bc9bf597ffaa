"""`test.jepsen`: Fressian's codes, the blocks around them, and damage that is named."""

from __future__ import annotations

import contextlib
import struct
import zlib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.errors import UsageError
from kvsim.history.formats import jepsen_test
from kvsim.history.fressian import FressianError, FressianReader
from kvsim.history.pairing import FormatError
from kvsim.history.typed_values import Keyword, Symbol, literal

# Bytes that org.fressian.FressianWriter gives, by its codes.
CODES = {
    "00": 0,
    "3f": 63,
    "ff": -1,
    "50 40": 64,
    "4f fe": -2,
    "5f ff": 4095,
    "68 10 00": 4096,
    "67 ef ff": -4097,
    "72 08 00 00": 524288,
    "76 02 00 00 00": 1 << 25,
    "7a 01 00 00 00 00": 1 << 32,
    "7e 01 00 00 00 00 00": 1 << 40,
    "f8 40 00 00 00 00 00 00 00": 1 << 62,
    "f5": True,
    "f6": False,
    "f7": None,
    "fb": 0.0,
    "fa 3f f8 00 00 00 00 00 00": 1.5,
    "f9 3f c0 00 00": 1.5,
    "da": "",
    "dc 68 69": "hi",
    "e3 09 31 32 33 34 35 36 37 38 39": "123456789",
    "e2 02 61 62 db 63": "abc",
    # A character beyond 16 bits, as its two surrogates.
    "e0 ed a0 bd ed b8 80": "😀",
    "e4": [],
    "e6 01 02": [1, 2],
    "ec 09 01 02 03 04 05 06 07 08 09": [1, 2, 3, 4, 5, 6, 7, 8, 9],
    "ed 01 02 fd": [1, 2],
    "ee 01 02": [1, 2],
    "ca f7 db 61": Keyword(":a"),
    "ca db 62 db 61": Keyword(":b/a"),
    "c9 f7 db 61": Symbol("a"),
    "c0 e6 ca f7 db 61 01": {":a": 1},
    # A name that is cached when it is first written.
    "e6 ca f7 cd db 61 ca f7 80": [Keyword(":a"), Keyword(":a")],
    "e6 cd db 61 cc 00": ["a", "a"],
    "c6 d1 80": -128,
    "c7 d1 0f 01": Decimal("1.5"),
    "ef df 72 61 74 69 6f 02 03 02": Fraction(3, 2),
    # The type of a struct is cached, too.
    "e6 ef df 72 61 74 69 6f 02 03 02 a0 04 02": [Fraction(3, 2), 2],
    "e6 ef df 72 61 74 69 6f 02 03 02 f0 00 01 02": [Fraction(3, 2), Fraction(1, 2)],
    "fe 01": 1,
    "cf cf cf cf 00 00 00 01 00 00 00 00 05": 5,
}


@pytest.mark.parametrize("text", CODES)
def test_codes(text: str) -> None:
    reader = FressianReader(bytes.fromhex(text))
    value = reader.read()
    assert value == CODES[text] and type(value) is type(CODES[text])
    assert reader.position == len(reader.data)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("c1 e6 02 01", "#{1 2}"),
        ("c0 e6 02 01", "{2 1}"),
        ("c4 db 61", '#"a"'),
        ("ef de 63 68 61 72 01 50 61", "\\a"),
        ("ef db 78 02 01 d1 ff", '#x [1 #bytes "ff"]'),
        ("b0 02 e6 01 02", "#long[] [2 [1 2]]"),
    ],
)
def test_objects_of_other_types(text: str, written: str) -> None:
    assert literal(FressianReader(bytes.fromhex(text)).read()) == written


@pytest.mark.parametrize(
    "text", ["dc 68", "cc 05", "80", "a0", "f2", "c0 e5 01", "e2 01 61 00", "d8 00 00"]
)
def test_what_is_no_fressian(text: str) -> None:
    with pytest.raises(FressianError):
        FressianReader(bytes.fromhex(text)).read()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_are_no_fressian(data: bytes) -> None:
    try:
        for value in FressianReader(data).objects():
            literal(value)
    except FressianError:
        pass


def fressian(value: Any) -> bytes:
    """A value in some of Fressian's codes: enough to write a test."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf7", True: b"\xf5", False: b"\xf6"}[value]
    if isinstance(value, int):
        return b"\xf8" + value.to_bytes(8, "big", signed=True)
    if isinstance(value, Keyword):
        return b"\xca\xf7" + fressian(value[1:])
    if isinstance(value, str):
        return b"\xe3" + fressian(len(value.encode())) + value.encode()
    if isinstance(value, dict):
        return b"\xc0" + fressian([part for pair in value.items() for part in pair])
    if isinstance(value, list):
        return b"\xec" + fressian(len(value)) + b"".join(map(fressian, value))
    tag, *parts = value
    return b"\xef" + fressian(tag) + fressian(len(parts)) + b"".join(map(fressian, parts))


def op(time: int, type_: str, process: Any, f: str, value: Any, **more: Any) -> tuple:
    extra = {Keyword(f":{name}"): item for name, item in more.items()} or None
    return ("jepsen.history.Op", 0, time, Keyword(type_), process, Keyword(f), value, extra)


def block(type_: int, content: bytes) -> bytes:
    length = 28 + len(content)
    checksum = zlib.crc32(struct.pack(">qIh14x", length, 0, type_), zlib.crc32(content))
    return struct.pack(">qIh14x", length, checksum, type_) + content


def file_of(*chunks: list[tuple], version: int = 1) -> bytes:
    """A file in which each chunk is a stream, as Jepsen writes it."""
    streams = [block(4, b"".join(map(fressian, chunk))) for chunk in chunks]
    numbers = range(3, 3 + len(chunks))
    vector = struct.pack(">q", sum(map(len, chunks)))
    vector += b"".join(struct.pack(">qi", 0, number) for number in numbers)
    test = {Keyword(":name"): "a test", Keyword(":history"): ("block-ref", 2)}
    blocks = [block(3, b"\0\0\0\0" + fressian(test)), block(5, vector), *streams]
    data, offsets = b"", []
    for item in blocks:
        offsets.append(18 + len(data))
        data += item
    index = struct.pack(">i", 1)
    index += b"".join(struct.pack(">iq", *pair) for pair in enumerate(offsets, 1))
    header = struct.pack(">6siq", b"JEPSEN", version, 18 + len(data))
    return header + data + block(1, index)


OPS = [
    op(1, ":invoke", 0, ":write", ("map-entry", 7, "a")),
    op(2, ":info", Keyword(":nemesis"), ":start", None),
    op(3, ":ok", 0, ":write", ("map-entry", 7, "a")),
    op(4, ":invoke", 1, ":read", ("map-entry", 7, None)),
    op(5, ":fail", 1, ":read", ("map-entry", 7, None), error="no"),
]


def test_a_history_in_chunks() -> None:
    found = jepsen_test.read_bytes(file_of(OPS[:2], OPS[2:])).operations
    assert [(row.process, row.key, row.kind, row.value, row.outcome) for row in found] == [
        (0, "7", "put", "a", "ok"),
        (1, "7", "get", None, "refused"),
    ]


def test_an_operation_of_another_model_is_named_by_its_number() -> None:
    with pytest.raises(FormatError, match=r"test\.jepsen:2: :txn is an operation of transactions"):
        jepsen_test.read_bytes(file_of([OPS[1], op(3, ":invoke", 0, ":txn", [])]))


# Written by org.fressian 0.6.6 with Jepsen's handlers and its layout of blocks: one register in
# two chunks and a nemesis; the same as maps of version 0, begun, and crashed in the second chunk.
WRITTEN = Path(__file__).parents[1] / "data" / "jepsen"
REGISTER = [
    (0, "7", "put", "300", None, "ok"),
    (1, "7", "get", "300", None, "ok"),
    (0, "7", "cas", "-70000", "300", "unknown"),
    (1, "7", "get", "-70000", None, "ok"),
]


def rows_of(name: str) -> list[tuple]:
    found = jepsen_test.read_bytes((WRITTEN / name).read_bytes()).operations
    return [(row.process, row.key, row.kind, row.value, row.expected, row.outcome) for row in found]


@pytest.mark.parametrize("name", ["whole.jepsen", "version0.jepsen"])
def test_files_of_the_fressian_library(name: str) -> None:
    assert rows_of(name) == REGISTER


def test_bytes_are_integers() -> None:
    assert rows_of("bytes.jepsen") == [(0, "register", "put", "5", None, "ok")]


def test_a_crashed_test_is_judged_as_far_as_its_index_goes_and_says_so() -> None:
    assert rows_of("crashed.jepsen") == REGISTER[:2]
    data = (WRITTEN / "crashed.jepsen").read_bytes()
    assert "without its last" in jepsen_test.read_bytes(data).origin
    assert "without" not in jepsen_test.read_bytes((WRITTEN / "whole.jepsen").read_bytes()).origin


def test_a_test_that_wrote_no_operation_yet_names_another_file() -> None:
    with pytest.raises(UsageError, match=r"its :history is empty yet: .*jepsen\.log may have them"):
        rows_of("begun.jepsen")


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"JEPSEN", "does not begin with JEPSEN and the offset"),
        (file_of(OPS, version=7), "it has the version 7; known are 0 and 1"),
        (changed(file_of(OPS), 10, b"\0" * 8), "it has no index yet"),
        (changed(file_of(OPS), 10, b"\0" * 7 + b"\x07"), "a block at byte 7 is not in the file"),
        (changed(file_of(OPS), 60, b"\xff"), "the checksum of the block at byte 18"),
        (file_of(OPS)[:-5], "does not end in the file"),
        (file_of([(*OPS[0][:7], [1])]), r"a jepsen\.history\.Op that is none"),
        (file_of(), "no operation of a client"),
    ],
)
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        jepsen_test.read_bytes(data)


@given(st.data())
def test_any_change_is_read_or_is_an_error_of_the_file(data: st.DataObject) -> None:
    """Behind the checksums: the content of a block is changed, and its sum is made right."""
    content = bytearray(b"".join(map(fressian, OPS)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    whole, stream = file_of(OPS), block(4, b"".join(map(fressian, OPS)))
    with contextlib.suppress(UsageError):
        jepsen_test.read_bytes(whole.replace(stream, block(4, bytes(content))))
