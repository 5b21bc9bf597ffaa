"""A reader of Fressian (https://github.com/Datomic/fressian/wiki), as far as Jepsen writes it.

Values become what the reader of EDN makes of them: keywords, symbols, sets and tagged values are
those of `typed_values`, a map is a dict where its keys are keywords, a list is a list. An object of
which this reader does not know the type is a tagged list of its parts. Codes and the order in which
they fill the two caches are those of `org.fressian.FressianReader`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from kvsim.history.typed_values import (
    Character,
    Keyword,
    Members,
    Pairs,
    RegularExpression,
    Symbol,
    Tagged,
)

# First code, zero and count of the bytes that follow, of the packed integers.
PACKED_INTEGERS = (
    (0x40, 0x50, 1),
    (0x60, 0x68, 2),
    (0x70, 0x72, 3),
    (0x74, 0x76, 4),
    (0x78, 0x7A, 5),
    (0x7C, 0x7E, 6),
)
PRIORITY_CACHE, STRUCT_CACHE = 0x80, 0xA0
# Code → (tag, count of its parts).
TYPES = {
    0xB0: ("long[]", 2),
    0xB1: ("double[]", 2),
    0xB2: ("boolean[]", 2),
    0xB3: ("int[]", 2),
    0xB4: ("float[]", 2),
    0xB5: ("Object[]", 2),
    0xC0: ("map", 1),
    0xC1: ("set", 1),
    0xC3: ("uuid", 2),
    0xC4: ("regex", 1),
    0xC5: ("uri", 1),
    0xC6: ("bigint", 1),
    0xC7: ("bigdec", 2),
    0xC8: ("inst", 1),
    0xC9: ("sym", 2),
    0xCA: ("key", 2),
}
GET_PRIORITY_CACHE, PUT_PRIORITY_CACHE, FOOTER = 0xCC, 0xCD, 0xCF
BYTES_PACKED, BYTES_CHUNK, BYTES = 0xD0, 0xD8, 0xD9
STRING_PACKED, STRING_CHUNK, STRING = 0xDA, 0xE2, 0xE3
LIST_PACKED, LIST, CLOSED_LIST, OPEN_LIST = 0xE4, 0xEC, 0xED, 0xEE
STRUCT_TYPE, STRUCT = 0xEF, 0xF0
CONSTANTS: dict[int, Any] = {0xF5: True, 0xF6: False, 0xF7: None, 0xFB: 0.0, 0xFC: 1.0, 0xFF: -1}
INTEGER, FLOAT, DOUBLE = 0xF8, 0xF9, 0xFA
END_OF_LIST, RESET_CACHES = 0xFD, 0xFE
# Of the footer, behind its code: three more bytes of its magic number, the length, a checksum.
FOOTER_BYTES = 11
DEPTH_MAX = 100
OP_PARTS = (":index", ":time", ":type", ":process", ":f", ":value")


class FressianError(ValueError):
    """Bytes that are not Fressian."""


class FressianReader:
    """The objects in some bytes, one after another."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data, self.position, self.depth = bytes(data), 0, 0
        self.cache: list[Any] = []
        self.types: list[tuple[str, int]] = []

    def objects(self) -> Iterator[Any]:
        """Every object to the end of the bytes. Raises FressianError."""
        while self.position < len(self.data):
            yield self.read()

    def read(self) -> Any:
        """The next object. Raises FressianError."""
        if self.depth >= DEPTH_MAX:
            raise FressianError(f"nested deeper than {DEPTH_MAX}")
        self.depth += 1
        try:
            return self._read(self._byte())
        finally:
            self.depth -= 1

    def _read(self, code: int) -> Any:
        if code < 0x40:
            return code
        if code in CONSTANTS:
            return CONSTANTS[code]
        if code < PRIORITY_CACHE or code == INTEGER:
            return self._integer(code)
        if code < STRUCT_CACHE:
            return self._cached(self.cache, code - PRIORITY_CACHE)
        if code < STRUCT_CACHE + 16:
            return self._object(*self._cached(self.types, code - STRUCT_CACHE))
        if code in TYPES:
            return self._object(*TYPES[code])
        if BYTES_PACKED <= code <= BYTES:
            return self._bytes(code)
        if STRING_PACKED <= code <= STRING:
            return self._string(code)
        if LIST_PACKED <= code <= OPEN_LIST:
            return self._list(code)
        return self._rare(code)

    def _rare(self, code: int) -> Any:
        if code == PUT_PRIORITY_CACHE:
            index = len(self.cache)
            self.cache.append(None)
            self.cache[index] = value = self.read()
            return value
        if code == GET_PRIORITY_CACHE:
            return self._cached(self.cache, self._count())
        if code == STRUCT_TYPE:
            tag, parts = self.read(), self._count()
            self.types.append((str(tag), parts))
            return self._object(str(tag), parts)
        if code == STRUCT:
            return self._object(*self._cached(self.types, self._count()))
        if code == FLOAT:
            return struct.unpack(">f", self._take(4))[0]
        if code == DOUBLE:
            return struct.unpack(">d", self._take(8))[0]
        if code in (RESET_CACHES, FOOTER):
            self.cache, self.types = [], []
            if code == FOOTER:
                self._take(FOOTER_BYTES)
            return self.read()
        raise FressianError(f"the code {code:#x} at byte {self.position - 1} is not known")

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, count: int) -> bytes:
        begin, end = self.position, self.position + count
        if end > len(self.data):
            raise FressianError("it ends inside an object")
        self.position = end
        return self.data[begin:end]

    def _integer(self, code: int) -> int:
        if code == INTEGER:
            return int.from_bytes(self._take(8), "big", signed=True)
        for first, zero, count in reversed(PACKED_INTEGERS):
            if code >= first:
                return (code - zero << 8 * count) | int.from_bytes(self._take(count), "big")
        return code

    def _count(self) -> int:
        count = self.read()
        if not isinstance(count, int) or not 0 <= count <= len(self.data):
            raise FressianError(f"{str(count)[:40]} is not a count")
        return count

    def _cached(self, cache: list[Any], index: int) -> Any:
        if index >= len(cache):
            raise FressianError(f"object {index} of a cache is not known")
        return cache[index]

    def _bytes(self, code: int) -> bytes:
        found = b""
        while code == BYTES_CHUNK:
            found += self._take(self._count())
            code = self._byte()
        if not BYTES_PACKED <= code <= BYTES:
            raise FressianError("bytes have no end")
        return found + self._take(self._count() if code == BYTES else code - BYTES_PACKED)

    def _string(self, code: int) -> str:
        found = b""
        while code == STRING_CHUNK:
            found += self._take(self._count())
            code = self._byte()
        if not STRING_PACKED <= code <= STRING:
            raise FressianError("a string has no end")
        found += self._take(self._count() if code == STRING else code - STRING_PACKED)
        try:
            text = found.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise FressianError("a string is not text") from error
        # Java's characters of 16 bits are encoded one by one.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _list(self, code: int) -> list[Any]:
        if code < CLOSED_LIST:
            count = self._count() if code == LIST else code - LIST_PACKED
            return [self.read() for _ in range(count)]
        found: list[Any] = []
        while True:
            if code == OPEN_LIST and self.position == len(self.data):
                return found
            if self.data[self.position : self.position + 1] == bytes([END_OF_LIST]):
                self.position += 1
                return found
            found.append(self.read())

    def _object(self, tag: str, count: int) -> Any:
        parts = [self.read() for _ in range(count)]
        try:
            return _build(tag, parts)
        except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError) as error:
            raise FressianError(f"a {tag[:40]} that is none: {error}") from error


def _build(tag: str, parts: list[Any]) -> Any:
    """An object from its parts. Raises TypeError, ValueError where they do not fit the tag."""
    if tag in ("key", "sym"):
        space, name = parts
        text = f"{space}/{name}" if space is not None else str(name)
        return Keyword(f":{text}") if tag == "key" else Symbol(text)
    if tag == "jepsen.history.Op":
        fields = dict(zip(OP_PARTS, parts, strict=False))
        return {**(parts[6] or {}), **{Keyword(name): fields[name] for name in OP_PARTS}}
    if tag == "map":
        (flat,) = parts
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        keywords = all(isinstance(key, Keyword) for key, _ in pairs)
        return dict(pairs) if keywords else Pairs(pairs)
    if tag in ("set", "persistent-hash-set", "persistent-sorted-set"):
        return Members(list(parts[0] or []))
    if tag in ("vec", "atom", "byte"):
        return parts[0]
    if tag == "map-entry":
        return parts
    if tag == "record":
        return parts[1]
    return _build_scalar(tag, parts)


def _build_scalar(tag: str, parts: list[Any]) -> Any:
    if tag == "bigint":
        return int.from_bytes(parts[0], "big", signed=True)
    if tag == "bigdec":
        return Decimal(int.from_bytes(parts[0], "big", signed=True)).scaleb(-parts[1])
    if tag == "ratio":
        ratio = Fraction(*parts)
        return ratio.numerator if ratio.denominator == 1 else ratio
    if tag == "char":
        return Character(chr(parts[0]))
    if tag == "regex":
        return RegularExpression(str(parts[0]))
    return Tagged(tag, parts)
