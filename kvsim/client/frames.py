"""`speak: frames`: each request and reply is a length and that many bytes. Pure codec; stream.py carries it.

A request's body is its template; `{value.u16}` and the like write a field's own length into it, `{0x01}` a
byte. What the rules read is the body of the reply without its length, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kvsim.client.codec import STREAM_SETTINGS, Malformed, Reply, Shake, too_long
from kvsim.client.exchange import Request
from kvsim.client.settings import BadSetting, Setting, one_of, read_settings, shakes, text, truth
from kvsim.client.stream import StreamClient
from kvsim.client.templates import UnknownVerb, Unsendable, compile_template
from kvsim.client.verbs import rules_of
from kvsim.config.program import Program

SETTINGS: dict[str, Setting] = {
    **STREAM_SETTINGS,
    "size": Setting(
        "how many bytes the length takes: 1, 2, 4 or 8", 4, lambda raw: int(one_of("1", "2", "4", "8")(raw))
    ),
    "byte_order": Setting("`big` (network order) or `little`", "big", one_of("big", "little")),
    "includes_itself": Setting("whether the length counts its own bytes too", False, truth),
    "greeting": Setting("whether the server sends a frame before it is asked", False, truth),
    "handshake": Setting(
        "requests to send on a new connection: a list of {send, expect: PATTERN}", (), shakes
    ),
}


@dataclass(frozen=True)
class Framing:
    """How a length is written."""

    size: int = 4
    byte_order: str = "big"
    includes_itself: bool = False
    limit: int = 16 * 1024 * 1024

    @property
    def own(self) -> int:
        return self.size if self.includes_itself else 0


def encode(body: bytes, framing: Framing) -> bytes:
    """The frame. Raises Unsendable when the length does not fit."""
    length = len(body) + framing.own
    try:
        return length.to_bytes(framing.size, framing.byte_order) + body  # type: ignore[arg-type]
    except OverflowError:
        raise Unsendable(
            f"cannot send a body of {len(body)} bytes: its length does not fit into {framing.size} bytes"
        ) from None


class FrameDecoder:
    """Cuts one frame out of bytes that come in any pieces."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Reply | None:
        self._buffer += data
        size = self._framing.size
        if len(self._buffer) < size:
            return None
        stop = size + self._length(self._buffer[:size])
        if len(self._buffer) < stop:
            return None
        return Reply(bytes(self._buffer[size:stop]), bytes(self._buffer[stop:]))

    def finish(self) -> Reply | None:
        return None

    @property
    def wants(self) -> str:
        size = self._framing.size
        if len(self._buffer) < size:
            return f"{size - len(self._buffer)} bytes of a length of {size}"
        return f"{size + self._length(self._buffer[:size]) - len(self._buffer)} bytes of the frame"

    def _length(self, header: bytes) -> int:
        announced = int.from_bytes(header, self._framing.byte_order)  # type: ignore[arg-type]
        length = announced - self._framing.own
        if length < 0:
            raise Malformed(f"a frame announces {announced} bytes, less than its length takes itself")
        if length > self._framing.limit:
            raise too_long(self._framing.limit)
        return length


class FramesCodec:
    """Requests and replies of one program as frames."""

    def __init__(self, program: Program, names: Mapping[str, str], settings: Mapping[str, object]) -> None:
        for verb, body in program.requests.items():
            if not isinstance(body, str):
                raise BadSetting(
                    f"program {program.name}: request `{verb}`: `speak: frames` wants text, not {body!r}"
                )
        self._program = program
        self._greets = settings["greeting"]
        self._framing = Framing(
            settings["size"],  # type: ignore[arg-type]
            settings["byte_order"],  # type: ignore[arg-type]
            settings["includes_itself"],  # type: ignore[arg-type]
            settings["reply_max_bytes"],  # type: ignore[arg-type]
        )
        self._templates = {
            verb: compile_template(str(body), names) for verb, body in program.requests.items()
        }
        self.handshake = tuple(
            Shake(encode(compile_template(text(send), names).fill({}), self._framing), expect)
            for send, expect in settings["handshake"]  # type: ignore[attr-defined]
        )

    def encode(self, request: Request) -> bytes:
        if request.payload is not None:
            return request.payload
        template = self._templates.get(request.verb)
        if template is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        return encode(template.fill(request.fields), self._framing)

    def decoder(self, verb: str) -> FrameDecoder:
        return FrameDecoder(self._framing)

    def greeting(self) -> FrameDecoder | None:
        return FrameDecoder(self._framing) if self._greets else None


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> StreamClient:
    """A client that speaks frames. Raises BadSetting, UsageError for what node.yaml says wrong."""
    settings = read_settings("frames", SETTINGS, program.speak.settings)
    lasting = settings["connection"] == "lasting"
    return StreamClient(FramesCodec(program, names, settings), rules_of(program), host, port, lasting=lasting)
