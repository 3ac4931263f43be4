"""A tar on its way into a container: looked at while it streams, and passed on as it came.

An engine unpacks in a root of the container's own, so names cannot lead out of it. This is the second look: no device
nodes, no hard links to the outside, and limits on what anybody may make an engine read. Headers are not made anew,
because owners, modes, times and extended attributes are to arrive as they are.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator

from app.errors import InvalidParameter, TooLarge
from app.stream.decompress import Budget, plain
from app.stream.tar import BLOCK, END, EXTENSIONS, MAX_EXTENSION, MAX_NAME, read_extension, read_header

#: Pieces smaller than this are put together.
JOINED = 64 * 1024
MAX_ENTRIES = 500_000

_WITH_CONTENT = frozenset([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE])
_WITHOUT = frozenset([tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
_DEVICES = frozenset([tarfile.CHRTYPE, tarfile.BLKTYPE])


def checked(chunks: Iterable[bytes], budget: Budget | None = None) -> Iterator[bytes]:
    """The archive without its compression. Raises InvalidParameter and TooLarge as soon as something is wrong."""
    return _joined(_Check(plain(chunks, budget or Budget())).pieces())


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Headers and small files together: each piece costs its sender a call."""
    small = bytearray()
    for piece in pieces:
        if len(piece) < JOINED:
            small += piece
        if small and (len(small) >= JOINED or len(piece) >= JOINED):
            yield bytes(small)
            small.clear()
        if len(piece) >= JOINED:
            yield piece
    yield bytes(small)


def _check_order(kind: bytes, before: set[bytes]) -> None:
    """One extended header of a kind for an entry, and none of which readers take one before the other.

    Raises InvalidParameter.
    """
    of_the_next = before - {tarfile.XGLTYPE}
    mixed = (kind == tarfile.XHDTYPE) != (tarfile.XHDTYPE in of_the_next)
    if of_the_next and (kind in of_the_next or kind == tarfile.XGLTYPE or mixed):
        raise InvalidParameter("archive/tar: invalid tar header")


class _Check:
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = memoryview(b"")

    def pieces(self) -> Iterator[bytes]:
        entries = 0
        told: dict[str, str] = {}
        #: The kinds of extended headers since the last entry.
        kinds: set[bytes] = set()
        while (block := self._header()) is not None:
            info = read_header(block)
            yield block
            if info.type in EXTENSIONS:
                if info.size > MAX_EXTENSION:
                    raise InvalidParameter("the archive has an extended header that is too long")
                _check_order(info.type, kinds)
                kinds.add(info.type)
                data = self._exactly(info.size + -info.size % BLOCK)
                told |= read_extension(info.type, data[: info.size])
                yield data
                continue
            entries += 1
            if entries > MAX_ENTRIES:
                raise TooLarge(f"the archive has more than {MAX_ENTRIES} entries")
            if kinds and block[156:157] == tarfile.AREGTYPE:
                # A folder or a file by its last name, or by its first: readers differ.
                raise InvalidParameter("archive/tar: invalid tar header")
            size = self._check(info, told)
            told, kinds = {}, set()
            yield from self._content(size)
            yield self._padding(-size % BLOCK)
        yield END
        for _ in self._chunks:
            pass  # Whoever sends the archive wants to get rid of all of it.

    @staticmethod
    def _check(info: tarfile.TarInfo, told: dict[str, str]) -> int:
        """How long the entry's content is."""
        name, target = told.get("path", info.name), told.get("linkpath", info.linkname)
        if len(name) > MAX_NAME or len(target) > MAX_NAME:
            raise InvalidParameter("the archive has a name that is too long")
        if info.type in _DEVICES:
            raise InvalidParameter(f"the archive has a device, which cannot be copied here: {name[:200]!r}")
        if info.type not in _WITH_CONTENT and info.type not in _WITHOUT:
            raise InvalidParameter(f"the archive has an entry of a type that is not supported: {info.type!r}")
        if ".." in name.split("/") or (info.type == tarfile.LNKTYPE and ".." in target.split("/")):
            raise InvalidParameter(f"the archive has a path that is not inside of it: {name[:200]!r}")
        if info.type in _WITHOUT:
            return 0
        return int(told.get("size", info.size))

    def _header(self) -> bytes | None:
        """The next block; None at the end, which need not be marked."""
        if not self._fill():
            return None
        block = self._exactly(BLOCK)
        return None if block == bytes(BLOCK) else block

    def _content(self, left: int) -> Iterator[bytes]:
        while left:
            if not self._fill():
                raise InvalidParameter("unexpected EOF")
            piece = self._buffer[:left]
            self._buffer = self._buffer[len(piece) :]
            left -= len(piece)
            yield piece  # type: ignore[misc]

    def _padding(self, size: int) -> bytes:
        """Whole, also where the archive ends within it, which Go takes for its end."""
        left = size
        while left and self._fill():
            taken = min(left, len(self._buffer))
            self._buffer = self._buffer[taken:]
            left -= taken
        return bytes(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not self._fill():
                raise InvalidParameter("unexpected EOF")
            piece = self._buffer[: size - len(data)]
            self._buffer = self._buffer[len(piece) :]
            data += piece
        return data

    def _fill(self) -> bool:
        while not self._buffer:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._buffer = memoryview(chunk)
        return True
