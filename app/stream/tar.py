"""A strict reader and a writer of tar archives that stream. What is written has been made anew from what was read.

The standard library's reader is made for archives that one trusts: it keeps all members, and reads an extended header
of any size into memory. This one takes the entry types that images need and refuses the others, by their number.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.errors import InvalidParameter

BLOCK = 512
END = bytes(2 * BLOCK)
MAX_NAME = 4096
MAX_EXTENSION = 64 * 1024
MAX_ENTRIES = 50_000

FILE, FOLDER, SYMLINK, HARDLINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
_TYPES = {tarfile.AREGTYPE: FILE, tarfile.CONTTYPE: FILE, FILE: FILE} | {t: t for t in (FOLDER, SYMLINK, HARDLINK)}
_TOO_MANY_EXTENSIONS = 8


@dataclass(frozen=True)
class Entry:
    """A member. `name` is a clean relative path; `target` of a link is one too (a symlink's as it stands there)."""

    name: str
    kind: bytes
    size: int = 0
    mode: int = 0o644
    mtime: int = 0
    target: str = ""


class Reader:
    """Entries of an archive, in order. Raises InvalidParameter for what is malformed or not to be taken."""

    def __init__(self, chunks: Iterable[bytes], *, max_entries: int = MAX_ENTRIES) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._at = 0
        self._max_entries = max_entries
        #: Bytes of the current entry's content, and of its padding, that are still to come.
        self._left = 0
        self._padding = 0

    def entries(self) -> Iterator[Entry]:
        """Content that is not read with `content` is passed over."""
        count = 0
        while (entry := self._next()) is not None:
            count += 1
            if count > self._max_entries:
                raise InvalidParameter(f"the archive has more than {self._max_entries} entries")
            if entry.name != ".":
                yield entry
        # Whoever sends the archive wants to get rid of all of it.
        for _ in self._chunks:
            pass

    def content(self) -> Iterator[bytes]:
        """The content of the entry that `entries` came to."""
        while self._left:
            piece = self._some(self._left)
            self._left -= len(piece)
            yield piece

    def _next(self) -> Entry | None:
        for _ in self.content():
            pass
        self._exactly(self._padding)
        self._padding = 0
        extended: dict[str, str] = {}
        for _ in range(_TOO_MANY_EXTENSIONS):
            info = self._header(bool(extended))
            if info is None:
                return None
            if info.type not in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE):
                return self._entry(info, extended)
            extended |= self._extension(info)
        raise InvalidParameter("archive/tar: invalid tar header")

    def _header(self, expected: bool) -> tarfile.TarInfo | None:
        block = self._block()
        if block is None or block == bytes(BLOCK):
            if expected:
                raise InvalidParameter("unexpected EOF")
            return None
        return read_header(block)

    def _extension(self, info: tarfile.TarInfo) -> dict[str, str]:
        """What an extended header says of the entry behind it."""
        if info.size > MAX_EXTENSION:
            raise InvalidParameter("the archive has an extended header that is too long")
        data = self._exactly(info.size)
        self._exactly(-info.size % BLOCK)
        if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            key = "path" if info.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
            return {key: data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
        records = _records(data)
        if any(key.startswith("GNU.sparse") for key in records):
            raise InvalidParameter("sparse files are not supported in archives")
        told = {key: value for key, value in records.items() if key in ("path", "linkpath", "size")}
        if told and info.type == tarfile.XGLTYPE:
            raise InvalidParameter("archive/tar: invalid tar header")
        return told

    def _entry(self, info: tarfile.TarInfo, extended: dict[str, str]) -> Entry:
        kind = _TYPES.get(info.type)
        if kind is None:
            raise InvalidParameter(f"the archive has an entry of a type that is not supported: {info.type!r}")
        size = info.size
        if "size" in extended:
            if not (extended["size"].isascii() and extended["size"].isdigit() and len(extended["size"]) < 20):
                raise InvalidParameter("archive/tar: invalid tar header")
            size = int(extended["size"])
        if kind != FILE:
            size = 0
        self._left, self._padding = size, -size % BLOCK
        name = inside(extended.get("path", info.name))
        target = extended.get("linkpath", info.linkname)
        if kind == HARDLINK:
            target = inside(target)
        elif kind == SYMLINK:
            _check(target)
            inside(posixpath.join(posixpath.dirname(name), target), climbing=True)
        return Entry(name, kind, size, info.mode & 0o7777, max(0, int(info.mtime)), target)

    # -- bytes ---------------------------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Have at least one byte at hand; False at the end of the archive's bytes."""
        while self._at >= len(self._buffer):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._buffer, self._at = chunk, 0
        return True

    def _some(self, at_most: int) -> bytes:
        if not self._fill():
            raise InvalidParameter("unexpected EOF")
        piece = self._buffer[self._at : self._at + at_most]
        self._at += len(piece)
        return piece

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._some(size - len(data))
        return data

    def _block(self) -> bytes | None:
        """The next header; None at the end, which need not be marked."""
        return self._exactly(BLOCK) if self._fill() else None


def read_header(block: bytes) -> tarfile.TarInfo:
    """What a header block says. Raises InvalidParameter."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        raise InvalidParameter("archive/tar: invalid tar header") from None
    if info.size < 0:
        raise InvalidParameter("archive/tar: invalid tar header")
    return info


def header(entry: Entry) -> bytes:
    """The header blocks of an entry, in GNU format."""
    info = tarfile.TarInfo(entry.name)
    info.type, info.size, info.mode, info.mtime, info.linkname = (
        entry.kind,
        entry.size,
        entry.mode,
        entry.mtime,
        entry.target,
    )
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


#: What an archive that an engine gets begins with: an engine tells compression by the first bytes, and these would else
#: be a name that somebody has chosen.
START = header(Entry(".", FOLDER, mode=0o755))


def padding(size: int) -> bytes:
    """What follows `size` bytes of content."""
    return bytes(-size % BLOCK)


def file(name: str, content: bytes) -> bytes:
    """A whole file as an entry."""
    return header(Entry(name, FILE, len(content))) + content + padding(len(content))


def inside(name: str, *, climbing: bool = False) -> str:
    """`name` as a clean path inside of the archive. `climbing`: it may go up, as long as it stays inside.

    Raises InvalidParameter.
    """
    _check(name)
    clean = posixpath.normpath(name)
    parts = (clean if climbing else name).split("/")
    if name.startswith("/") or ".." in parts:
        raise InvalidParameter(f"the archive has a path that is not inside of it: {name!r}")
    return clean


def _check(name: str) -> None:
    if not name or len(name) > MAX_NAME or "\0" in name:
        raise InvalidParameter("the archive has an entry whose name is empty or too long")


def _records(data: bytes) -> dict[str, str]:
    """The records of a pax header: "<length> <key>=<value>\\n"."""
    records: dict[str, str] = {}
    while data:
        digits, space, _ = data[:20].partition(b" ")
        if not space or not digits.isdigit():
            break
        length = int(digits)
        record = data[len(digits) + 1 : length]
        key, equals, value = record[:-1].partition(b"=")
        if length > len(data) or not record.endswith(b"\n") or not equals:
            break
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        data = data[length:]
    if data.strip(b"\0"):
        raise InvalidParameter("archive/tar: invalid tar header")
    return records
