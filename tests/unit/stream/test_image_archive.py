"""Archives of images: what passes is made anew and verified, and what is not right never gets an end."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.errors import Error, InvalidParameter, TooLarge
from app.stream import tar
from app.stream.decompress import Budget
from app.stream.image_archive import ArchivedImage, ImageArchive

LAYER = b"layer one" * 1000
OTHER = b"layer two" * 1000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config_of(*layers: bytes, **more: Any) -> bytes:
    root = {"type": "layers", "diff_ids": [f"sha256:{sha(layer)}" for layer in layers]}
    return json.dumps({"os": "linux", "config": {}, "rootfs": root, **more}).encode()


def manifest_of(config: str, layers: list[str], tags: list[str] | None = None, **more: Any) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": tags, "Layers": layers, **more}]).encode()


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(data)
    return info, data


def pack(*members: tuple, format: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as out:
        for info, data in members:
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


CONFIG = config_of(LAYER, OTHER)
PARTS = {
    "a/layer.tar": LAYER,
    "b/layer.tar": OTHER,
    f"{sha(CONFIG)}.json": CONFIG,
    "manifest.json": manifest_of(f"{sha(CONFIG)}.json", ["a/layer.tar", "b/layer.tar"], ["x:1", "y:2"]),
}


def good(**changed: bytes | None) -> bytes:
    parts = {name: changed.get(name.partition(".")[0], data) for name, data in PARTS.items()}
    return pack(*(member(name, data) for name, data in parts.items() if data is not None))


def cut(data: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def send(data: bytes, size: int = 1000, limit: int = 1 << 30) -> tuple[bytes, list[ArchivedImage]]:
    """What an engine would be sent, and what the archive says of its images."""
    archive = ImageArchive(cut(data, size), Budget(limit))
    out = b"".join(archive.contents())
    return out + b"".join(archive.ending()), archive.images


def refused(data: bytes, kind: type[Error] = InvalidParameter, **options: Any) -> str:
    archive = ImageArchive(cut(data), Budget(options.get("limit", 1 << 30)))
    with pytest.raises(kind) as raised:
        for _ in archive.contents():
            pass
    return raised.value.message


def files(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return {m.name: opened.extractfile(m).read() for m in opened if m.isreg()}  # type: ignore[union-attr]


# -- what passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 511, 512, 100_000])
def test_names_are_taken_out_and_everything_else_passes(size: int) -> None:
    sent, images = send(good(), size)
    assert images == [ArchivedImage(f"sha256:{sha(CONFIG)}", ("x:1", "y:2"))]
    found = files(sent)
    assert list(found) == [*PARTS]  # The manifest is last.
    assert json.loads(found.pop("manifest.json")) == [
        {"Config": f"{sha(CONFIG)}.json", "RepoTags": None, "Layers": ["a/layer.tar", "b/layer.tar"]}
    ]
    assert found == {name: data for name, data in PARTS.items() if name != "manifest.json"}


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_compressed_archives_are_sent_plain(compress: Callable[[bytes], bytes], size: int) -> None:
    assert send(compress(good()), size) == send(good())


def test_a_compressed_archive_in_several_parts() -> None:
    data = good()
    joined = gzip.compress(data[:5000]) + gzip.compress(data[5000:]) + bytes(512)
    assert send(joined) == send(data)


def test_the_manifest_may_come_first() -> None:
    order = ["manifest.json", f"{sha(CONFIG)}.json", "b/layer.tar", "a/layer.tar"]
    sent, images = send(pack(*(member(name, PARTS[name]) for name in order)))
    assert images[0].id == f"sha256:{sha(CONFIG)}"
    assert list(files(sent)) == [*order[1:], "manifest.json"]


def test_blobs_and_other_descriptions() -> None:
    """docker save since 25: content-addressed files, beside an OCI layout that engines would prefer."""
    blob = "blobs/sha256/"
    parts = {
        blob + sha(LAYER): LAYER,
        blob + sha(OTHER): OTHER,
        blob + sha(CONFIG): CONFIG,
        "index.json": b"{}",
        "manifest.json": manifest_of(blob + sha(CONFIG), [blob + sha(LAYER), blob + sha(OTHER)], ["x:1"]),
        "oci-layout": b"{}",
        "repositories": b'{"x":{"1":"0"}}',
    }
    sent, images = send(pack(*(member(name, data) for name, data in parts.items())))
    assert images == [ArchivedImage(f"sha256:{sha(CONFIG)}", ("x:1",))]
    assert set(files(sent)) == {blob + sha(LAYER), blob + sha(OTHER), blob + sha(CONFIG), "manifest.json"}


def test_a_layer_may_be_a_link_to_another_and_compressed() -> None:
    """docker save before 25 links equal layers; other tools write layers compressed."""
    config = config_of(LAYER, OTHER, LAYER)
    data = pack(
        member("a", kind=tarfile.DIRTYPE),
        member("b", kind=tarfile.DIRTYPE),
        member("a/layer.tar", gzip.compress(LAYER)),
        member("b/layer.tar", OTHER),
        member("c/layer.tar", kind=tarfile.SYMTYPE, target="../a/layer.tar"),
        member("c.json", config),
        member("manifest.json", manifest_of("c.json", ["a/layer.tar", "b/layer.tar", "c/layer.tar"])),
    )
    sent, images = send(data)
    assert images == [ArchivedImage(f"sha256:{sha(config)}", ())]
    with tarfile.open(fileobj=io.BytesIO(sent)) as opened:
        assert opened.getmember("c/layer.tar").linkname == "../a/layer.tar"


def test_long_names_in_both_formats() -> None:
    name = "d" * 90 + "/" + "l" * 90 + ".tar"
    config = config_of(LAYER)
    parts = [member(name, LAYER), member("c.json", config), member("manifest.json", manifest_of("c.json", [name]))]
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert name in files(send(pack(*parts, format=format))[0])


def test_several_images() -> None:
    one, two = config_of(LAYER), config_of(OTHER)
    entries = [
        {"Config": "1.json", "RepoTags": ["a:1"], "Layers": ["l"]},
        {"Config": "2.json", "RepoTags": ["b:1"], "Layers": ["m"]},
    ]
    data = pack(
        member("l", LAYER),
        member("m", OTHER),
        member("1.json", one),
        member("2.json", two),
        member("manifest.json", json.dumps(entries).encode()),
    )
    assert [image.id for image in send(data)[1]] == [f"sha256:{sha(one)}", f"sha256:{sha(two)}"]


def test_nothing_is_held_back() -> None:
    """A large layer passes in pieces while it comes: no more than a few pieces are ever taken ahead."""
    layer = b"\x01" * (8 << 20)
    config = config_of(layer)
    data = pack(member("l", layer), member("c.json", config), member("manifest.json", manifest_of("c.json", ["l"])))
    taken = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for piece in cut(data, 65536):
            taken += len(piece)
            yield piece

    given = 0
    archive = ImageArchive(counted())
    for piece in archive.contents():
        given += len(piece)
        assert taken - given < 3 * 65536
    assert given > len(layer)


# -- what does not ---------------------------------------------------------------------------------------------------


def test_a_layer_that_is_not_the_one_of_the_configuration() -> None:
    """Else whoever knows the digests of another account's layers could load an image made of them."""
    words = refused(good(**{"b/layer": b"nothing"}))
    assert words == f'invalid diffID for layer 1: expected "sha256:{sha(OTHER)}", got "sha256:{sha(b"nothing")}"'


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"nonsense", "malformed JSON"),
        (b"[]", "is not a list of images"),
        (b'{"Config":"c"}', "is not a list of images"),
        (b'[{"Config":"a","Config":"b","Layers":[]}]', "malformed JSON"),
        (b'[{"config":"a","Layers":[]}]', "malformed JSON"),
        (b'[{"Config":"none.json","Layers":[]}]', "is not the configuration of an image"),
        (b'[{"Config":"a/layer.tar","Layers":[]}]', "is not the configuration of an image"),
        (b'[{"Config":5,"Layers":[]}]', "malformed JSON"),
        (b'[{"Config":"../x","Layers":[]}]', "not inside of it"),
        (b"[" * 100_000, "malformed JSON"),
        (manifest_of(f"{sha(CONFIG)}.json", ["a/layer.tar"]), "layers length mismatch: expected 1, got 2"),
        (manifest_of(f"{sha(CONFIG)}.json", ["a/layer.tar", "c/layer.tar"]), "it has no layer 'c/layer.tar'"),
        (manifest_of(f"{sha(CONFIG)}.json", ["a/layer.tar", "manifest.json"]), "it has no layer 'manifest.json'"),
    ],
)
def test_bad_manifests(manifest: bytes, words: str) -> None:
    assert words in refused(good(manifest=manifest))


def test_no_manifest() -> None:
    assert refused(good(manifest=None)) == "invalid archive: it has no manifest.json"
    assert refused(b"") == "invalid archive: it has no manifest.json"
    assert refused(bytes(10240)) == "invalid archive: it has no manifest.json"


def test_a_configuration_that_engines_would_read_otherwise() -> None:
    """Go takes keys in any case, and the last of several: the layers that we checked would not be the ones loaded."""
    sneaky = CONFIG[:-1] + b', "RootFS": {"type": "layers", "diff_ids": []}}'
    manifest = manifest_of("c.json", ["a/layer.tar", "b/layer.tar"])
    for config in (sneaky, sneaky.replace(b"RootFS", b"rootfs"), sneaky.replace(b"RootFS", "rootf\u017f".encode())):
        data = pack(
            member("a/layer.tar", LAYER),
            member("b/layer.tar", OTHER),
            member("c.json", config),
            member("manifest.json", manifest),
        )
        assert "is not the configuration of an image" in refused(data)


def test_another_operating_system() -> None:
    config = config_of(os="windows")
    data = pack(member("c.json", config), member("manifest.json", manifest_of("c.json", [])))
    assert refused(data) == "cannot load windows image on linux"


@pytest.mark.parametrize(
    "entry",
    [
        member("/etc/x", b"x"),
        member("../x", b"x"),
        member("a/../../x", b"x"),
        member("a/../b", b"x"),
        member("", b"x"),
        member("n" * 5000, b"x"),
        member("/".join("abcdefghijkl"), b"x"),
        member("l", kind=tarfile.SYMTYPE, target="/etc/passwd"),
        member("l", kind=tarfile.SYMTYPE, target="../x"),
        member("d/l", kind=tarfile.SYMTYPE, target="../../x"),
        member("l", kind=tarfile.LNKTYPE, target="/etc/passwd"),
        member("l", kind=tarfile.LNKTYPE, target="../x"),
        member("dev", kind=tarfile.CHRTYPE),
        member("dev", kind=tarfile.BLKTYPE),
        member("pipe", kind=tarfile.FIFOTYPE),
        member("manifest.json", kind=tarfile.SYMTYPE, target="other"),
        member("a/layer.tar", b"twice"),
        member("a", b"a file where a folder is"),
    ],
    ids=lambda entry: f"{entry[0].type.decode()}-{entry[0].name[:16]}-{entry[0].linkname[:12]}",
)
def test_entries_that_are_refused(entry: tuple) -> None:
    rest = [member(name, data) for name, data in PARTS.items() if name != "manifest.json"]
    assert refused(pack(*rest, entry))


def test_a_file_below_a_link() -> None:
    link = member("d", kind=tarfile.SYMTYPE, target="a")
    assert refused(pack(member("a/x", b"1"), link, member("d/x", b"2"))) == "invalid archive: 'd' is not a folder"


def test_a_sparse_file() -> None:
    info, data = member("s", b"x")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    assert "sparse" in refused(pack((info, data), format=tarfile.PAX_FORMAT))


@pytest.mark.parametrize("keep", [1, 100, 511, 513, 600, 1024, 5000, 9000])
def test_cut_archives(keep: int) -> None:
    assert refused(good()[:keep]) in ("unexpected EOF", "invalid archive: it has no manifest.json")
    assert refused(gzip.compress(good())[:keep] if keep < 200 else gzip.compress(good())[:-4]) == "unexpected EOF"


def test_nonsense() -> None:
    assert refused(b"x" * 2000) == "archive/tar: invalid tar header"
    assert refused(b"\x1f\x8b\x08" + b"x" * 2000) == "invalid gzip data"
    assert refused(b"BZh9" + b"x" * 2000) == "invalid bzip2 data"
    assert refused(b"\xfd7zXZ\x00" + b"x" * 2000) == "invalid xz data"
    assert "zstd" in refused(b"\x28\xb5\x2f\xfd" + b"x" * 2000)
    negative = bytearray(pack(member("x", b"x")))
    negative[124:136] = b"\xff" * 12
    negative[148:156] = b" " * 8
    negative[148:156] = b"%06o\0 " % sum(negative[:512])
    assert refused(bytes(negative)) == "archive/tar: invalid tar header"


def test_a_layer_compressed_in_another_way() -> None:
    config = config_of(LAYER)
    for data in (bz2.compress(LAYER), lzma.compress(LAYER), b"\x28\xb5\x2f\xfd....", b"\x50\x2a\x4d\x18...."):
        archive = pack(
            member("l", data), member("c.json", config), member("manifest.json", manifest_of("c.json", ["l"]))
        )
        assert refused(archive) == "invalid archive: layer 'l' is neither plain nor compressed with gzip"


def test_too_much() -> None:
    assert refused(good(), TooLarge, limit=10_000) == "the archive is larger than 10000 bytes"
    assert refused(gzip.compress(good()), TooLarge, limit=10_000)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_bombs(compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(64 << 20))
    assert refused(compress(pack(member("l", bytes(64 << 20)))), TooLarge) == "the archive expands too far"
    if compress is gzip.compress:
        assert refused(pack(member("l", bomb)), TooLarge) == "the archive expands too far"


def test_too_many_entries_and_headers() -> None:
    reader = tar.Reader(cut(pack(*(member(str(n)) for n in range(11)))), max_entries=10)
    with pytest.raises(InvalidParameter, match="more than 10 entries"):
        list(reader.entries())
    long = pack(member("n" * 5000, b"x"))
    assert "empty or too long" in refused(long)
    huge = member("x", b"x")
    huge[0].pax_headers = {"comment": "c" * 100_000}
    assert "too long" in refused(pack(huge, format=tarfile.PAX_FORMAT))
    endless = b"".join(tar.header(tar.Entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, 0)) for _ in range(20))
    assert refused(endless) == "archive/tar: invalid tar header"
    config = member("c.json", b"{" + b" " * (5 << 20))
    manifest = member("manifest.json", b"[" + b" " * (5 << 20))
    assert "is larger than" in refused(pack(config, manifest))


def test_an_archive_that_is_refused_has_no_end() -> None:
    """An engine that got what was sent so far must not be able to do anything with it."""
    archive = ImageArchive(cut(good(manifest=b"[]")))
    sent = b""
    with pytest.raises(InvalidParameter):
        for piece in archive.contents():
            sent += piece
    assert sent
    assert "manifest.json" not in files(sent)
    assert not sent.endswith(tar.END)
