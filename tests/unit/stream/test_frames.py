"""The stdout/stderr multiplex."""

from __future__ import annotations

import random

import pytest

from app.errors import Internal
from app.stream.frames import STDERR, STDIN, STDOUT, SYSTEM, Frame, decode, encode


def test_a_frame_as_the_engine_writes_it() -> None:
    assert encode(STDERR, b"hello") == b"\x02\x00\x00\x00\x00\x00\x00\x05hello"
    assert decode(b"\x01\x00\x00\x00\x00\x00\x00\x02hi") == ([Frame(STDOUT, b"hi")], b"")


@pytest.mark.parametrize("stream", [STDIN, STDOUT, STDERR, SYSTEM])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000])
def test_there_and_back(stream: int, size: int) -> None:
    payload = bytes(random.Random(size).randbytes(size))
    assert decode(encode(stream, payload)) == ([Frame(stream, payload)], b"")


def test_split_at_every_byte_nothing_is_lost() -> None:
    frames = [Frame(STDOUT, b"one"), Frame(STDERR, b""), Frame(STDOUT, b"three\n")]
    data = b"".join(encode(*frame) for frame in frames)
    for cut in range(len(data) + 1):
        first, rest = decode(data[:cut])
        second, nothing = decode(rest + data[cut:])
        assert first + second == frames
        assert nothing == b""


def test_byte_by_byte() -> None:
    data = encode(STDOUT, b"abc") + encode(STDERR, b"def")
    found, rest = [], b""
    for byte in data:
        frames, rest = decode(rest + bytes([byte]))
        found += frames
    assert found == [Frame(STDOUT, b"abc"), Frame(STDERR, b"def")]


@pytest.mark.parametrize("data", [b"\x04\0\0\0\0\0\0\x01x", b"\x01\0\x01\0\0\0\0\x01x", b"raw text"])
def test_what_is_no_frame_is_an_error(data: bytes) -> None:
    with pytest.raises(Internal):
        decode(data)
