"""Request templates: fields in every form, names of the node, and braces that are only braces."""

from __future__ import annotations

import base64
import json
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.templates import FORMS, Unsendable, compile_template, to_bytes
from kvsim.config.names import REQUEST_FORMS
from kvsim.errors import UsageError

NAMES = {"port": "9001", "leader.addr": "127.0.0.1:9000"}
TEXT = st.text(max_size=30) | st.binary(max_size=30).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)


def fill(template: str, **fields: str) -> bytes:
    return compile_template(template, NAMES).fill(fields)


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("PUT {key} {value}", b"PUT k v w"),
        ("{key}{key}", b"kk"),
        ("{port} {leader.addr}", b"9001 127.0.0.1:9000"),
        ('{"a": {"k": "{key}"}, "v": {value.json}}', b'{"a": {"k": "k"}, "v": "v w"}'),
        ("{{key}} {} { key }", b"{key} {} { key }"),
        (
            "{value.bytes} {key.u8}{key.u16}{key.u16le}{key.u32}",
            b"3 \x01\x00\x01\x01\x00\x00\x00\x00\x01",
        ),
        ("{0x00ff}{key}", b"\x00\xffk"),
        ("{value.url} {value.base64}", b"v%20w diB3"),
        ("", b""),
    ],
)
def test_a_template_is_filled(template, made):
    assert fill(template, key="k", value="v w") == made


@given(TEXT)
def test_every_form_stands_for_the_same_bytes(text):
    data = to_bytes(text) if sendable(text) else None
    if data is None:
        with pytest.raises(Unsendable):
            fill("{key}", key=text)
        return
    assert fill("{key}", key=text) == data
    assert unquote_to_bytes(fill("{key.url}", key=text)) == data
    assert base64.b64decode(fill("{key.base64}", key=text)) == data
    assert int(fill("{key.bytes}", key=text)) == len(data)
    assert json.loads(fill("{key.json}", key=text)) == text
    assert b"\n" not in fill("{key.json}{key.url}{key.base64}", key=text)


def sendable(text: str) -> bool:
    return not any(
        "\ud800" <= letter <= "\udc7f" or "\udd00" <= letter <= "\udfff" for letter in text
    )


@given(st.text(max_size=60))
def test_a_field_is_never_a_template(text):
    if sendable(text):
        assert fill("<{key}>", key=text, value="NO") == b"<" + to_bytes(text) + b">"


def test_mistakes_are_named():
    with pytest.raises(UsageError, match=r"\{leader.port\} is neither"):
        fill("{leader.port}")
    with pytest.raises(UsageError, match="needs a value; it was given key"):
        fill("{key} {value}", key="k")
    with pytest.raises(Unsendable):
        fill("{key.u8}", key="x" * 256)


def test_the_forms_are_those_that_node_yaml_may_name():
    assert set(FORMS) == set(REQUEST_FORMS)


def test_which_fields_are_written_raw():
    assert compile_template("{key} {value}", {}).raw_fields == {"key", "value"}
    assert compile_template("{key.json} {value.bytes}\r\n{value}", {}).raw_fields == frozenset()
