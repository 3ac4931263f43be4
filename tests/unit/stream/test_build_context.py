"""Build contexts: what is read, and what an engine gets."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile

import pytest

from app.errors import InvalidParameter, Unavailable
from app.stream import build_context
from app.stream.build_context import BuildContext
from app.stream.decompress import detect


def archive(files: dict[str, bytes], *, extra: list[tarfile.TarInfo] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o640
            tar.addfile(member, io.BytesIO(content))
        for member in extra or []:
            tar.addfile(member)
    return out.getvalue()


def unpacked(context: BuildContext, dockerfile: bytes) -> dict[str, bytes]:
    file, length = context.finish(dockerfile)
    data = file.read()
    assert len(data) == length
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            found[member.name] = content.read() if content else b""
    context.close()
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_the_dockerfile_is_replaced(packed: bool) -> None:
    data = archive({"a": b"1", "Dockerfile": b"FROM x\n", "b/c": b"2" * 70_000})
    context = BuildContext([gzip.compress(data) if packed else data], "Dockerfile")
    assert context.dockerfile() == b"FROM x\n"
    assert unpacked(context, b"FROM sha256:1\n") == {
        ".": b"",
        "a": b"1",
        "Dockerfile": b"FROM sha256:1\n",
        "b/c": b"2" * 70_000,
    }


@pytest.mark.parametrize("name", ["\x1f\udc8b\x08", "BZh9", "P*M\x18", "(\udcb5/\udcfd"])
def test_a_name_that_looks_like_compressed_data(name: str) -> None:
    """By the first bytes an engine would read another archive than what was looked at: one inside."""
    data = gzip.compress(archive({"a": b"", name: b"x", "Dockerfile": b"FROM x\n"}))
    with contextlib.closing(BuildContext([data], "Dockerfile")) as context:
        assert detect(context.finish(b"FROM y\n")[0].read(512)) == ""
    data = gzip.compress(archive({".": b"", name: b"x", "Dockerfile": b"FROM x\n"}))
    with contextlib.closing(BuildContext([data], "Dockerfile")) as context:
        assert detect(context.finish(b"FROM y\n")[0].read(512)) == ""


def test_compressed_twice() -> None:
    data = gzip.compress(gzip.compress(archive({"Dockerfile": b"FROM x\n"})))
    with pytest.raises(InvalidParameter, match="more than once"):
        BuildContext([data], "Dockerfile")


@pytest.mark.parametrize("left", [0, 1, 500])
def test_the_end_may_lie_in_the_padding(left: int) -> None:
    """As the docker command ends it, where the Dockerfile is not of the context."""
    data = archive({"Dockerfile": b"FROM x\n", ".dockerignore": b"12345"})[: 3 * 512 + 5 + left]
    with contextlib.closing(BuildContext([data], "Dockerfile")) as context:
        assert unpacked(context, b"FROM y\n")[".dockerignore"] == b"12345"
    with pytest.raises(InvalidParameter, match="unexpected EOF"):
        BuildContext([data[: 3 * 512 + 4]], "Dockerfile")


def test_the_last_one_of_a_name_counts() -> None:
    data = archive({"Dockerfile": b"one"})[:1024] + archive({"./Dockerfile": b"two"})
    with contextlib.closing(BuildContext([data], "Dockerfile")) as context:
        assert context.dockerfile() == b"two"


def test_small_letters() -> None:
    with contextlib.closing(BuildContext([archive({"dockerfile": b"FROM x"})], "Dockerfile")) as context:
        assert context.dockerfile() == b"FROM x" and context.name == "dockerfile"
    other = BuildContext([archive({"dev": b"FROM x"})], "Dev")
    with contextlib.closing(other), pytest.raises(InvalidParameter):
        other.dockerfile()


def test_none() -> None:
    context = BuildContext([archive({"a": b""})], "sub/Dockerfile")
    with contextlib.closing(context), pytest.raises(InvalidParameter) as refused:
        context.dockerfile()
    assert refused.value.message == "Cannot locate specified Dockerfile: sub/Dockerfile"


def symlink(name: str, target: str) -> tarfile.TarInfo:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, target
    return link


def test_links_to_what_the_image_has() -> None:
    """As in every virtual environment of Python."""
    links = [symlink("bin/python3", "/usr/bin/python3"), symlink("bin/python", "python3"), symlink("up", "bin/../x")]
    context = BuildContext([archive({"Dockerfile": b"FROM x"}, extra=links)], "Dockerfile")
    with contextlib.closing(context), tarfile.open(fileobj=context.finish(b"FROM y")[0]) as tar:
        found = {member.name: member.linkname for member in tar if member.issym()}
    assert found == {link.name: link.linkname for link in links}
    with pytest.raises(InvalidParameter, match="not inside"):
        BuildContext([archive({}, extra=[symlink("up", "../../outside")])], "Dockerfile")


def test_no_file() -> None:
    with pytest.raises(InvalidParameter):
        BuildContext([archive({}, extra=[symlink("Dockerfile", "other")])], "Dockerfile")
    with pytest.raises(InvalidParameter):
        BuildContext([archive({"Dockerfile": b"FROM x"}, extra=[symlink("Dockerfile", "/other")])], "Dockerfile")


@pytest.mark.parametrize(
    "data", [b"not a tar" * 200, archive({"../x": b""}), archive({"Dockerfile": b"x" * 3_000_000})]
)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidParameter):
        BuildContext([data], "Dockerfile")


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts leave room to others."""
    monkeypatch.setattr(build_context, "SPARE", 1.0)
    with pytest.raises(Unavailable, match="no room"):
        BuildContext([archive({"Dockerfile": b"FROM x"})], "Dockerfile")
