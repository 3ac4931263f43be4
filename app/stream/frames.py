"""The stdout/stderr multiplex of attach, exec and logs without a terminal.

Each frame has an 8-byte header: the stream's number, three zero bytes, and the payload's length as a big-endian
32-bit number (Docker Engine API, "Stream format" of ContainerAttach). Bytes in, bytes out; no sockets here.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from app.errors import Internal

STDIN, STDOUT, STDERR, SYSTEM = 0, 1, 2, 3

_HEADER = struct.Struct(">B3xI")


class Frame(NamedTuple):
    """One piece of output: `stream` is STDIN, STDOUT, STDERR or SYSTEM (the engine's own error text)."""

    stream: int
    payload: bytes


def encode(stream: int, payload: bytes) -> bytes:
    """The frame that carries `payload` on `stream`."""
    return _HEADER.pack(stream, len(payload)) + payload


def decode(buffer: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames at the start of `buffer`, and the bytes behind them that are not a whole frame yet.

    Raises `Internal` when the bytes cannot be a frame header: an engine never sends such.
    """
    frames: list[Frame] = []
    position = 0
    while len(buffer) - position >= _HEADER.size:
        stream, length = _HEADER.unpack_from(buffer, position)
        if stream > SYSTEM or buffer[position + 1 : position + 4] != b"\0\0\0":
            raise Internal("the engine sent a malformed stream frame")
        start = position + _HEADER.size
        if len(buffer) - start < length:
            break
        frames.append(Frame(stream, bytes(buffer[start : start + length])))
        position = start + length
    return frames, bytes(buffer[position:])
