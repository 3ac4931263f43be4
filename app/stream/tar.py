"""A strict reader and a writer of tar archives that stream. What is written has been made anew from what was read.

The standard library's reader is made for archives that one trusts: it keeps all members, and reads an extended header
of any size into memory. This one takes the entry types that images need and refuses the others, by their number.
"""

from __future__ import annotations

import posixpath
import re
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
#: Headers that say something of the entry behind them.
EXTENSIONS = frozenset([tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
_TOO_MANY_EXTENSIONS = 8
#: A size in octal digits, as every reader takes it: in front of a NUL or behind one readers see different digits.
_OCTAL = re.compile(rb" *[0-7]*[ \0]*")


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
    """Entries of an archive, in order. Raises InvalidParameter for what is malformed or not to be taken.

    `absolute_links`: a symlink may have an absolute target, which whoever unpacks it must take from the archive's root.
    """

    def __init__(
        self, chunks: Iterable[bytes], *, max_entries: int = MAX_ENTRIES, absolute_links: bool = False
    ) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._at = 0
        self._max_entries = max_entries
        self._absolute_links = absolute_links
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
        if not self._pass_padding():
            return None
        extended: dict[str, str] = {}
        for _ in range(_TOO_MANY_EXTENSIONS):
            info = self._header(bool(extended))
            if info is None:
                return None
            if info.type not in EXTENSIONS:
                return self._entry(info, extended)
            extended |= self._extension(info)
        raise InvalidParameter("archive/tar: invalid tar header")

    def _pass_padding(self) -> bool:
        """False where the archive ends within it, which Go takes for its end.

        The docker command ends a context so where the Dockerfile is not of it (`build -f`).
        """
        while self._padding:
            if not self._fill():
                self._padding = 0
                return False
            self._padding -= len(self._some(self._padding))
        return True

    def _header(self, expected: bool) -> tarfile.TarInfo | None:
        block = self._block()
        if block is None or block == bytes(BLOCK):
            if expected:
                raise InvalidParameter("unexpected EOF")
            return None
        return read_header(block)

    def _extension(self, info: tarfile.TarInfo) -> dict[str, str]:
        if info.size > MAX_EXTENSION:
            raise InvalidParameter("the archive has an extended header that is too long")
        data = self._exactly(info.size)
        self._exactly(-info.size % BLOCK)
        return read_extension(info.type, data)

    def _entry(self, info: tarfile.TarInfo, extended: dict[str, str]) -> Entry:
        kind = _TYPES.get(info.type)
        if kind is None:
            raise InvalidParameter(f"the archive has an entry of a type that is not supported: {info.type!r}")
        size = int(extended.get("size", info.size)) if kind == FILE else 0
        self._left, self._padding = size, -size % BLOCK
        name = inside(extended.get("path", info.name))
        target = extended.get("linkpath", info.linkname)
        if kind == HARDLINK:
            target = inside(target)
        elif kind == SYMLINK:
            _check(target)
            if not (self._absolute_links and target.startswith("/")):
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
    size = block[124:136]
    if size[0] < 0x80 and not _OCTAL.fullmatch(size):
        raise InvalidParameter("archive/tar: invalid tar header")
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        raise InvalidParameter("archive/tar: invalid tar header") from None
    if info.size < 0:
        raise InvalidParameter("archive/tar: invalid tar header")
    return info


def read_extension(kind: bytes, data: bytes) -> dict[str, str]:
    """What the content of an extended header says of the entry behind it: `path`, `linkpath` and `size`, a number.

    Raises InvalidParameter, also for what says nothing: an engine would then go by the entry's own header.
    """
    if kind in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        name = data.partition(b"\0")[0]
        if not name:
            raise InvalidParameter("archive/tar: invalid tar header")
        which = "path" if kind == tarfile.GNUTYPE_LONGNAME else "linkpath"
        return {which: name.decode("utf-8", "surrogateescape")}
    told: dict[str, str] = {}
    # The records of a pax header: "<length> <key>=<value>\n".
    while data:
        digits, space, _ = data[:20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = data[len(digits) + 1 : length]
        key, equals, value = record[:-1].partition(b"=")
        if not 0 < length <= len(data) or not record.endswith(b"\n") or not equals:
            raise InvalidParameter("archive/tar: invalid tar header")
        if key.startswith(b"GNU.sparse"):
            raise InvalidParameter("sparse files are not supported in archives")
        if key in (b"path", b"linkpath", b"size"):
            is_number = value.isdigit() and len(value) < 20
            if kind == tarfile.XGLTYPE or not value or b"\0" in value or (key == b"size" and not is_number):
                raise InvalidParameter("archive/tar: invalid tar header")
            told[key.decode()] = value.decode("utf-8", "surrogateescape")
        data = data[length:]
    return told


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
