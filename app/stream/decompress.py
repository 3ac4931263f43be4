"""Decompression while it streams, within limits and never by a program of the machine.

The formats are told apart by their first bytes, as dockerd tells them. A small body can stand for an endless one, so
output is made in small pieces and counted; both counts are limits on what anybody may make the service do.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from app.errors import InvalidParameter, TooLarge

GIB = 1 << 30
#: Output per step.
PIECE = 256 * 1024
#: Past the first `GRACE` bytes, more output than this per byte of input is no honest archive.
MAX_RATIO = 200
GRACE = 10 << 20
_XZ_MEMORY = 128 << 20

_MAGIC = {
    "gzip": b"\x1f\x8b\x08",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
}
#: As many first bytes as `detect` needs.
MAGIC_LENGTH = 6


def detect(start: bytes) -> str:
    """The compression that data beginning with `start` has: gzip, bzip2, xz, zstd, or "" for none."""
    for name, magic in _MAGIC.items():
        if start.startswith(magic):
            return name
    if len(start) >= 4 and start[1:4] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50:
        return "zstd"  # One that begins with a skippable frame.
    return ""


class Budget:
    """How many bytes may come out, over all decompressors that share it."""

    def __init__(self, limit: int = 10 * GIB) -> None:
        self._limit = limit
        self._spent = 0

    def spend(self, amount: int) -> None:
        """Raises TooLarge once the limit is passed."""
        self._spent += amount
        if self._spent > self._limit:
            raise TooLarge(f"the archive is larger than {self._limit} bytes")


class Decompressor:
    """One gzip, bzip2 or xz stream, which may consist of several one behind the other.

    Raises InvalidParameter for what is not one, TooLarge where it expands too far.
    """

    def __init__(self, kind: str, budget: Budget) -> None:
        if kind == "zstd":
            raise InvalidParameter("archives compressed with zstd are not supported: use gzip, bzip2, xz or none")
        self._kind = kind
        self._budget = budget
        self._inner: Any = self._new()
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._taken += len(data)
        try:
            while data or not self._hungry():
                if self._inner.eof:
                    if not data.strip(b"\0"):
                        return  # Padding, as tapes have it.
                    self._inner = self._new()
                piece, data = self._step(data)
                if piece:
                    self._count(len(piece))
                    yield piece
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise InvalidParameter(f"invalid {self._kind} data") from error

    def finish(self) -> None:
        """Raises InvalidParameter where the stream has been cut."""
        if not self._inner.eof:
            raise InvalidParameter("unexpected EOF")

    def _new(self) -> Any:
        match self._kind:
            case "gzip":
                return zlib.decompressobj(wbits=31)
            case "bzip2":
                return bz2.BZ2Decompressor()
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def _hungry(self) -> bool:
        """Whether nothing more comes without more input."""
        # zlib hands back input that it had no room to put out; the others keep it.
        return self._kind == "gzip" or self._inner.eof or self._inner.needs_input

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """A piece of output, and what of `data` is still to be taken."""
        piece = self._inner.decompress(data, PIECE)
        if self._inner.eof:
            return piece, self._inner.unused_data
        return piece, self._inner.unconsumed_tail if self._kind == "gzip" else b""

    def _count(self, amount: int) -> None:
        self._given += amount
        self._budget.spend(amount)
        if self._given > GRACE and self._given > MAX_RATIO * self._taken:
            raise TooLarge("the archive expands too far")


def plain(chunks: Iterable[bytes], budget: Budget) -> Iterator[bytes]:
    """`chunks` without their compression, if they have one. Raises as Decompressor does.

    What comes out never looks compressed itself: whoever reads it next would take its own way through it, past all that
    was looked at here.
    """
    source = iter(chunks)
    start = b""
    for chunk in source:
        start += chunk
        if len(start) >= MAGIC_LENGTH:
            break
    kind = detect(start)
    if kind:
        yield from _single(_decompressed(Decompressor(kind, budget), start, source))
        return
    budget.spend(len(start))
    yield start
    for chunk in source:
        budget.spend(len(chunk))
        yield chunk


def _decompressed(decompressor: Decompressor, start: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    yield from decompressor.feed(start)
    for chunk in source:
        yield from decompressor.feed(chunk)
    decompressor.finish()


def _single(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """`pieces`, unless they begin like compressed data."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= MAGIC_LENGTH:
            break
    if detect(start):
        raise InvalidParameter("the archive is compressed more than once")
    yield start
    yield from pieces
