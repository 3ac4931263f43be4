"""What would make an engine read another build, or another archive, than the one that was looked at."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Stack

TAR = {"Content-Type": "application/x-tar"}
#: Of a gzip stream whose extra field is the rest of a tar's header: magic, flag for it, time, system, 500 bytes.
GZIP = b"\x1f\x8b\x08\x04\x01\x01\x01\x01\x01\x01\xf4\x01"


def tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def two_archives(inner: Mapping[str, bytes], outer: Mapping[str, bytes]) -> bytes:
    """A plain tar that is also a gzip of another one: its first entry's name is gzip's header."""
    data = tar(inner)
    packer = zlib.compressobj(wbits=-15)
    hidden = packer.compress(data) + packer.flush() + struct.pack("<II", zlib.crc32(data), len(data))
    made = tar({GZIP.decode("utf-8", "surrogateescape"): hidden, **outer})
    assert made.startswith(GZIP)
    assert zlib.decompressobj(wbits=31).decompress(made) == data
    return made


@pytest.fixture(autouse=True)
def fresh(stack: Stack, bob: str) -> Iterator[None]:
    yield
    stack.docker(bob, "builder", "prune", "-af")
    stack.docker(bob, "image", "prune", "-f")


@pytest.fixture
def hidden() -> bytes:
    inner = {"Dockerfile": b"FROM busybox\nRUN echo two > /it\n", "../../planted": b"x"}
    return gzip.compress(two_archives(inner, {"Dockerfile": b"FROM busybox\nRUN echo one > /it\n"}))


def test_a_context_that_is_two(stack: Stack, bob: str, hidden: bytes) -> None:
    with Unchanged(stack):
        response = ask(stack, bob, "POST", "/build", hidden, headers=TAR)
    assert (response.status, message(response)) == (400, "the archive is compressed more than once")


def test_a_copy_that_is_two(stack: Stack, bob: str, hidden: bytes) -> None:
    """An old engine decompresses it by the container's own gzip, as root of the node."""
    name = stack.docker(bob, "create", "busybox", "true").text.strip()
    response = ask(stack, bob, "PUT", f"/containers/{name}/archive?path=/tmp", hidden, headers=TAR, typed=name)
    assert (response.status, message(response)) == (400, "the archive is compressed more than once")


def test_a_load_that_is_two(stack: Stack, bob: str, hidden: bytes) -> None:
    with Unchanged(stack):
        response = ask(stack, bob, "POST", "/images/load", hidden, headers=TAR)
    assert (response.status, message(response)) == (400, "the archive is compressed more than once")


def test_a_name_like_compressed_data_is_a_name(stack: Stack, bob: str) -> None:
    """Behind the first entry it is nothing but a name; nor is it one there for an engine."""
    context = tar({"BZh9": b"two\n", "Dockerfile": b"FROM busybox\nCOPY BZh9 /x\nRUN cat /x\n"})
    packed = gzip.compress(tar({"a": b""})[:512] + context)
    response = ask(stack, bob, "POST", "/build", packed, headers=TAR, typed="unused", timeout=60)
    assert b'{"stream":"two\\n"}' in response.body and b"Successfully built" in response.body
