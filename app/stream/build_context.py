"""A build's context: an archive that is read strictly, written anew into a file, with the Dockerfile picked out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO

from app.errors import InvalidParameter
from app.stream import decompress, tar
from app.stream.decompress import Budget

DEFAULT = "Dockerfile"
MAX_ENTRIES = 500_000
#: More than a Dockerfile can have.
MAX_DOCKERFILE = 2 * 1024 * 1024


class BuildContext:
    """Reads the whole archive, plain or compressed. `dockerfile` is a clean path in it.

    The Dockerfile can stand anywhere in the archive and has to be known before anything of it is sent, so the rest
    waits in a file without a name, which goes with the process. Raises InvalidParameter, TooLarge.
    """

    def __init__(self, chunks: Iterable[bytes], dockerfile: str, budget: Budget | None = None) -> None:
        self.name = dockerfile
        # Like dockerd, which knows the default name in small letters too.
        self._names = (dockerfile, dockerfile.lower()) if dockerfile == DEFAULT else (dockerfile,)
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="sdc-build-")  # noqa: SIM115
        self._found: dict[str, tuple[tar.Entry, bytes]] = {}
        try:
            self._read(decompress.plain(chunks, budget or Budget()))
        except BaseException:
            self.close()
            raise

    def _read(self, chunks: Iterator[bytes]) -> None:
        reader = tar.Reader(chunks, max_entries=MAX_ENTRIES)
        self._file.write(tar.START)
        for entry in reader.entries():
            self._file.write(tar.header(entry))
            if entry.name in self._names:
                self._found[entry.name] = entry, self._dockerfile(entry, reader)
                continue
            for piece in reader.content():
                self._file.write(piece)
            self._file.write(tar.padding(entry.size))

    def _dockerfile(self, entry: tar.Entry, reader: tar.Reader) -> bytes:
        if entry.kind != tar.FILE:
            raise InvalidParameter(f"the Dockerfile ({entry.name}) is not a regular file")
        if entry.size > MAX_DOCKERFILE:
            raise InvalidParameter(f"the Dockerfile ({entry.name}) is too large")
        content = b"".join(reader.content())
        self._file.write(content + tar.padding(entry.size))
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
