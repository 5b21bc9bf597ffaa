"""Any bytes of a server, in any pieces: a decoder ends in a reply, or in an error of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kvsim.client.codec import Malformed, Oversize
from kvsim.client.connect import connect
from kvsim.client.stream import StreamClient
from kvsim.config.program import Program, Role, Speak
from tests.fuzz.mutations import changed_bytes, fuzz_seed

REQUESTS: dict[str, object] = {
    "lines": "GET {key}",
    "frames": "GET {key}",
    "resp": ("GET", "{key}"),
    "http": "GET /{key}",
}
REPLIES = {
    "lines": [b"VALUE v\n", b"OK\r\n", b"\n"],
    "frames": [b"\x00\x00\x00\x05hello", b"\x05\x00\x00\x00hello"],
    "resp": [b"+OK\r\n", b"$5\r\nhello\r\n", b"*2\r\n:1\r\n*1\r\n$-1\r\n", b"-ERR no\r\n"],
    "http": [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ],
}
PIECES = [
    *(b"", b"\r\n", b"\n", b"\0", b"\xff" * 8, b"-1", b"9" * 40, b"*1\r\n" * 64, b"$", b":", b"\r"),
    *(b"Content-Length: -5\r\n", b"Transfer-Encoding: chunked\r\n", b"zz\r\n", b"HTTP/1.1 "),
]


def client(kind: str) -> StreamClient:
    requests = {"get": REQUESTS[kind]}
    speak = Speak(kind, {"reply_max_bytes": "4096"})
    program = Program("p", Path(), dict.fromkeys(Role, ("true",)), requests=requests, speak=speak)
    made = connect(program, "127.0.0.1", 1, names={})
    assert isinstance(made, StreamClient)
    return made


def decode_any(kind: str, count: int) -> None:
    seed = fuzz_seed()
    print(f"KVSIM_FUZZ_SEED={seed}")
    rng = random.Random(seed)
    codec = client(kind).codec
    for number in range(count):
        data = changed_bytes(rng.choice(REPLIES[kind]), rng, PIECES)
        decoder = codec.decoder("get")
        try:
            while data:
                size = rng.choice([1, 2, 7, 4096])
                if decoder.feed(data[:size]) is not None:
                    break
                assert decoder.missing
                data = data[size:]
            else:
                decoder.finish()
        except (Malformed, Oversize) as error:
            assert str(error)
        except Exception as error:
            error.add_note(f"{kind}: seed {seed}, number {number}")
            raise


@pytest.mark.parametrize("kind", REPLIES)
def test_any_bytes_of_a_server(kind: str) -> None:
    decode_any(kind, 400)


@pytest.mark.slow
@pytest.mark.parametrize("kind", REPLIES)
def test_many_bytes_of_a_server(kind: str) -> None:
    decode_any(kind, 20_000)
