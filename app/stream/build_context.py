"""A build's context: an archive that is read strictly, written anew into a file, with the Dockerfile picked out."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO

from app.errors import InvalidParameter, Unavailable
from app.stream import decompress, tar
from app.stream.decompress import Budget

DEFAULT = "Dockerfile"
MAX_ENTRIES = 500_000
#: More than a Dockerfile can have.
MAX_DOCKERFILE = 2 * 1024 * 1024
#: The part of the file system that contexts leave to others, and after how many bytes that is looked at.
SPARE = 0.05
_LOOK_EVERY = 64 * 1024 * 1024


class BuildContext:
    """Reads the whole archive, plain or compressed. `dockerfile` is a clean path in it.

    The Dockerfile can stand anywhere in the archive and has to be known before anything of it is sent, so the rest
    waits in a file without a name, which goes with the process. Raises InvalidParameter, TooLarge, Unavailable.
    """

    def __init__(self, chunks: Iterable[bytes], dockerfile: str, budget: Budget | None = None) -> None:
        self.name = dockerfile
        # Like dockerd, which knows the default name in small letters too.
        self._names = (dockerfile, dockerfile.lower()) if dockerfile == DEFAULT else (dockerfile,)
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="sdc-build-")  # noqa: SIM115
        self._found: dict[str, tuple[tar.Entry, bytes]] = {}
        self._unlooked = _LOOK_EVERY
        try:
            self._read(decompress.plain(chunks, budget or Budget()))
        except OSError as error:
            self.close()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _no_room() from error
        except BaseException:
            self.close()
            raise

    def _read(self, chunks: Iterator[bytes]) -> None:
        # Links to files that the image will have: an engine unpacks and copies within the context's own root.
        reader = tar.Reader(chunks, max_entries=MAX_ENTRIES, absolute_links=True)
        self._write(tar.START)
        for entry in reader.entries():
            self._write(tar.header(entry))
            if entry.name in self._names:
                self._found[entry.name] = entry, self._dockerfile(entry, reader)
                continue
            for piece in reader.content():
                self._write(piece)
            self._write(tar.padding(entry.size))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._unlooked += len(data)
        if self._unlooked >= _LOOK_EVERY:
            self._unlooked = 0
            left = os.fstatvfs(self._file.fileno())
            if left.f_bavail < left.f_blocks * SPARE:
                raise _no_room()

    def _dockerfile(self, entry: tar.Entry, reader: tar.Reader) -> bytes:
        if entry.kind != tar.FILE:
            raise InvalidParameter(f"the Dockerfile ({entry.name}) is not a regular file")
        if entry.size > MAX_DOCKERFILE:
            raise InvalidParameter(f"the Dockerfile ({entry.name}) is too large")
        content = b"".join(reader.content())
        self._write(content + tar.padding(entry.size))
        return content

    def dockerfile(self) -> bytes:
        """The Dockerfile; `name` is then the one that it has. Raises InvalidParameter where there is none."""
        for name in self._names:
            if name in self._found:
                self.name = name
                return self._found[name][1]
        raise InvalidParameter(f"Cannot locate specified Dockerfile: {self.name}")

    def finish(self, dockerfile: bytes) -> tuple[IO[bytes], int]:
        """The whole archive as a file to read, and its length. `dockerfile` stands last: it is what is unpacked."""
        entry, _ = self._found[self.name]
        header = tar.header(replace(entry, size=len(dockerfile)))
        self._file.write(header + dockerfile + tar.padding(len(dockerfile)) + tar.END)
        length = self._file.tell()
        self._file.seek(0)
        return self._file, length

    def close(self) -> None:
        self._file.close()


def _no_room() -> Unavailable:
    return Unavailable("there is no room for the build's context now", retry_after=30)
