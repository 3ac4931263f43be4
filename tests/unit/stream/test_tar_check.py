"""A tar on its way into a container."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator

import pytest

from app.errors import InvalidParameter, TooLarge
from app.stream import tar_check
from app.stream.decompress import Budget
from app.stream.tar_check import checked


def member(name: str, content: bytes = b"", **about: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in about.items():
        setattr(info, key, value)
    return info, content


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def through(data: bytes, size: int = 4096) -> bytes:
    return b"".join(checked(pieces(data, size)))


def extended(kind: bytes, record: bytes = b"", behind: bytes = b"") -> bytes:
    """An extended header with a pax record of less than 95 bytes and what is behind it, or with nothing."""
    size = len(record) + (3 if len(record) < 7 else 4)
    content = b"%d %s\n%s" % (size, record, behind) if record else b""
    info, _ = member("extension", content, type=kind)
    return info.tobuf() + content + bytes(-len(content) % 512)


def long_name(name: str) -> bytes:
    data = name.encode() + b"\0"
    info, _ = member("././@LongLink", data, type=tarfile.GNUTYPE_LONGNAME)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def with_size(written: bytes) -> bytes:
    """An entry of one block, whose size is written so."""
    header = bytearray(member("x", b"y" * 512)[0].tobuf())
    header[124:136] = written
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"y" * 512


HARD_LINK_OUT = member("x", type=tarfile.LNKTYPE, linkname="../../etc/shadow")
HONEST = archive(
    member("dir", type=tarfile.DIRTYPE, mode=0o755, uid=7, gid=8),
    member("dir/file", b"x" * 70_000, mode=0o4755, uid=1000, gid=1001, mtime=5, uname="me"),
    member("dir/empty"),
    member("link", type=tarfile.SYMTYPE, linkname="../../etc/passwd"),
    member("hard", type=tarfile.LNKTYPE, linkname="dir/file"),
    member("pipe", type=tarfile.FIFOTYPE),
    member("a" * 200 + "/ä", b"y", pax_headers={"SCHILY.xattr.user.a": "b"}),
)


@pytest.mark.parametrize("size", [1, 511, 512, 4096, 1 << 20])
def test_what_is_honest_arrives_as_it_came(size: int) -> None:
    arrived = through(HONEST, size)
    assert HONEST.startswith(arrived[: -2 * 512]) and arrived.endswith(tar_check.END)
    with tarfile.open(fileobj=io.BytesIO(arrived)) as tar, tarfile.open(fileobj=io.BytesIO(HONEST)) as sent:
        assert [m.get_info() for m in tar] == [m.get_info() for m in sent]


def test_gnu_names_and_compression() -> None:
    data = archive(
        member("b" * 300, b"z"), member("l", type=tarfile.SYMTYPE, linkname="c" * 300), form=tarfile.GNU_FORMAT
    )
    with tarfile.open(fileobj=io.BytesIO(through(gzip.compress(data)))) as tar:
        assert [(len(m.name), len(m.linkname)) for m in tar] == [(300, 0), (1, 300)]


@pytest.mark.parametrize("left", [0, 1, 500])
def test_the_end_may_lie_in_the_padding(left: int) -> None:
    whole = archive(member("a", b"12345"))
    assert through(whole[: 512 + 5 + left]) == whole[:1024] + tar_check.END
    with pytest.raises(InvalidParameter, match="unexpected EOF"):
        through(whole[: 512 + 4])


def test_an_empty_body_is_an_empty_archive() -> None:
    assert through(b"") == tar_check.END


def test_long_names_of_both_kinds_and_words_for_all_that_follows() -> None:
    gnu = archive(member("n" * 300, type=tarfile.SYMTYPE, linkname="t" * 300), form=tarfile.GNU_FORMAT)
    assert through(gnu).startswith(gnu[:3072])
    told = extended(b"g", b"comment=of all") * 2 + archive(member("n" * 300, b"y"))
    assert through(told).startswith(told[:2048])
    assert through(with_size(b"       1000 ")).startswith(with_size(b"       1000 "))


def test_small_files_go_together() -> None:
    data = archive(*(member(f"f{i}", b"x") for i in range(500)))
    assert len(list(checked(pieces(data, 512)))) < 12


def test_what_is_behind_the_end_is_taken_and_dropped() -> None:
    source = pieces(HONEST + b"rest" * 10_000, 4096)
    assert b"rest" not in b"".join(checked(source))
    assert next(source, None) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (archive(member("d", type=tarfile.CHRTYPE, devmajor=1, devminor=5)), "a device"),
        (archive(member("d", type=tarfile.BLKTYPE)), "a device"),
        (archive(member("x", type=b"S")), "not supported"),
        (archive(member("../x", b"y")), "not inside"),
        (archive(member("a/../../x", b"y")), "not inside"),
        (archive(member("x", type=tarfile.LNKTYPE, linkname="../../etc/shadow")), "not inside"),
        (archive(member("x", b"y", pax_headers={"GNU.sparse.major": "1"})), "sparse"),
        (archive(member("x", b"y", pax_headers={"SCHILY.xattr.a": "b" * 70_000})), "too long"),
        (archive(member("n" * 5000, b"y")), "too long"),
        # An engine goes by the entry's own header where its extension says nothing, or reads a name to its first NUL.
        (extended(b"x", b"path=") + archive(member("../x", b"y")), "invalid tar header"),
        (extended(b"x", b"linkpath=") + archive(HARD_LINK_OUT), "invalid tar header"),
        (extended(b"x", b"path=..\0/x") + archive(member("x", b"y")), "invalid tar header"),
        (extended(b"x", b"size=") + archive(member("x", b"y")), "invalid tar header"),
        (extended(b"x", b"size=-1") + archive(member("x", b"y")), "invalid tar header"),
        (extended(b"x", b"path=y", b"\0") + archive(member("x", b"y")), "invalid tar header"),
        (extended(b"g", b"path=y") + archive(member("x", b"y")), "invalid tar header"),
        (extended(b"L") + archive(member("../x", b"y")), "invalid tar header"),
        # Readers take one of several extensions, or one before the other.
        (extended(b"x", b"path=y") * 2 + archive(member("../x", b"y")), "invalid tar header"),
        (extended(b"x", b"path=y") + extended(b"g", b"a=b") + archive(member("../x", b"y")), "invalid tar header"),
        (extended(b"x", b"path=ok") + long_name("../x") + archive(member("x", b"y")), "invalid tar header"),
        (long_name("../x") + extended(b"x", b"path=ok") + archive(member("x", b"y")), "invalid tar header"),
        # A folder, or a file, by the name here or there.
        (extended(b"x", b"path=a/") + archive(member("x", b"y", type=tarfile.AREGTYPE)), "invalid tar header"),
        (with_size(b"\0" + b"0000001000\0"), "invalid tar header"),
        (with_size(b"0000 000001\0"), "invalid tar header"),
        (HONEST[:1000], "unexpected EOF"),
        (HONEST[:-9000], "unexpected EOF"),
        (b"garbage", "unexpected EOF"),
        (b"g" * 512, "invalid tar header"),
    ],
)
def test_what_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        through(data)


@pytest.mark.parametrize("limit", [1000, 10_000])
def test_no_more_than_the_budget(limit: int) -> None:
    with pytest.raises(TooLarge):
        b"".join(checked(pieces(HONEST, 512), Budget(limit)))


def test_no_more_entries_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_check, "MAX_ENTRIES", 5)
    with pytest.raises(TooLarge):
        through(HONEST)


def test_a_size_in_an_extended_header_counts() -> None:
    """A header that says less than its extension would hide entries from us that the engine unpacks."""
    data = archive(member("x", b"y" * 600, pax_headers={"size": "600"}))
    assert through(data).startswith(data[:2048])


def test_errors_of_the_source_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[bytes]:
        yield HONEST[:600]
        raise ConnectionResetError

    run: Callable[[], bytes] = lambda: b"".join(checked(broken()))  # noqa: E731
    with pytest.raises(ConnectionResetError):
        run()


def test_what_an_engine_would_decompress_again() -> None:
    """Engines below 29.5.1 run the container's own gzip for it, as root of the node."""
    inner = archive(member("\x1f\udc8b\x08x", b"x"), form=tarfile.GNU_FORMAT)
    for data in (gzip.compress(inner), gzip.compress(gzip.compress(HONEST))):
        with pytest.raises(InvalidParameter, match="more than once"):
            through(data)
