"""Raw bytes as a scenario writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.template import to_bytes


def test_escapes_are_bytes_and_the_rest_is_utf8() -> None:
    assert to_bytes(r"PUT é\r\n\x00\xfF\\n\t\0") == "PUT é".encode() + b"\r\n\x00\xff\\n\t\0"


@pytest.mark.parametrize("text", ["\\q", "\\", "\\x1", "\\xg0"])
def test_an_unknown_escape_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="unknown escape"):
        to_bytes(text)


@given(data=st.binary(max_size=30))
def test_every_byte_can_be_written(data: bytes) -> None:
    assert to_bytes("".join(f"\\x{byte:02x}" for byte in data)) == data
