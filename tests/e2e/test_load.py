"""`docker load`: good archives in every form, and bad ones, of which nothing stays."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.images import Files, image, pack
from tests.e2e.stack import Stack

pytestmark = pytest.mark.usefixtures("fresh_images")


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["", "gz", "bz2", "xz"])
def test_load(stack: Stack, compress: Callable[[bytes], bytes], cli: str) -> None:
    files, image_id = image(f"{compress.__name__} {cli}", "app:one", "example.com/team/app:two")
    done = stack.docker("alice", "load", "-q", input=compress(pack(files)), cli=cli)
    assert sorted(done.text.split("\n")[:-1]) == ["Loaded image: app:one", "Loaded image: example.com/team/app:two"]
    listed = stack.docker("alice", "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").text
    assert {f"app:one {image_id}", f"example.com/team/app:two {image_id}"} <= set(listed.splitlines())
    assert stack.docker("alice", "run", "--rm", "app:one", "echo", "hello").text == "hello\n"
    assert "app" not in stack.docker("bob", "images").text


def test_from_a_file_and_without_a_name(stack: Stack, tmp_path: Path, cli: str) -> None:
    files, image_id = image(f"file {cli}")
    (tmp_path / "app.tar").write_bytes(pack(files))
    done = stack.docker("alice", "load", "-i", str(tmp_path / "app.tar"), cli=cli)
    assert done.text.splitlines()[-1] == f"Loaded image ID: {image_id}"
    assert stack.docker("alice", "images", "-q", "--no-trunc", "-f", "dangling=true").text.strip() == image_id


def test_a_name_that_is_taken_moves(stack: Stack) -> None:
    first, first_id = image("first", "app:one")
    second, second_id = image("second", "app:one")
    stack.docker("alice", "load", input=pack(first))
    done = stack.docker("alice", "load", input=pack(second))
    assert f"The image app:one already exists, renaming the old one with ID {first_id} to empty string" in done.text
    listed = stack.docker("alice", "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").text
    assert {f"app:one {second_id}", f"<none>:<none> {first_id}"} <= set(listed.splitlines())


def test_several_images_and_accounts(stack: Stack) -> None:
    one, first = image("a1", "app:one")
    two, second = image("a2", "app:two")
    manifest = json.loads(one["manifest.json"]) + json.loads(two["manifest.json"])
    both = one | two | {"manifest.json": json.dumps(manifest).encode()}
    done = stack.docker("alice", "load", input=pack(both))
    assert "Loaded image: app:one" in done.text and "Loaded image: app:two" in done.text
    his, third = image("b", "app:one")
    stack.docker("bob", "load", input=pack(his))
    for account, expected in (("alice", first), ("bob", third)):
        assert stack.docker(account, "images", "-q", "--no-trunc", "app:one").text.strip() == expected
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("api", ["1.20", "1.24"])
def test_old_versions(stack: Stack, api: str) -> None:
    files, image_id = image(api, "app:old")
    stack.docker("alice", "load", input=pack(files), cli="20", api=api)
    assert stack.docker("alice", "images", "-q", "--no-trunc", "app:old").text.strip() == image_id


def broken(change: Callable[[Files], None]) -> bytes:
    files, _ = image("bad", "app:bad")
    change(files)
    return pack(files)


def layer(files: Files) -> str:
    return str(json.loads(files["manifest.json"])[0]["Layers"][0])


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> bytes:
    files, _ = image("bad", "app:bad")
    archive = pack(files)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        tar.addfile(member)
        with tarfile.open(fileobj=io.BytesIO(archive)) as old:
            for m in old:
                tar.addfile(m, old.extractfile(m))
    return out.getvalue()


def set_manifest(text: str) -> Callable[[Files], None]:
    return lambda files: files.update({"manifest.json": text.encode()})


BAD: dict[str, Callable[[], bytes]] = {
    "garbage": lambda: b"garbage" * 1000,
    "nothing": lambda: b"",
    "zeros": lambda: bytes(10240),
    "cut": lambda: pack(image("bad", "app:bad")[0])[:200_000],
    "cut gzip": lambda: gzip.compress(pack(image("bad", "app:bad")[0]))[:-2000],
    "no manifest": lambda: broken(lambda files: files.pop("manifest.json")),
    "manifest of no JSON": lambda: broken(set_manifest("{")),
    "manifest of the wrong type": lambda: broken(set_manifest('{"Config": 1}')),
    "empty manifest": lambda: broken(set_manifest("[]")),
    "manifest with a path outside": lambda: broken(
        set_manifest('[{"Config":"../../etc/passwd","RepoTags":["a:b"],"Layers":["/etc/shadow"]}]')
    ),
    "no layer": lambda: broken(lambda files: files.pop(layer(files))),
    "another layer": lambda: broken(lambda files: files.update({layer(files): pack({"evil": b"x"})})),
    "a bad name": lambda: pack(image("bad", "NOT a name")[0]),
    "a file outside": lambda: broken(lambda files: files.update({"../../evil": b"x"})),
    "an absolute file": lambda: broken(lambda files: files.update({"/etc/evil": b"x"})),
    "a link outside": lambda: link("evil", "/etc/passwd"),
    "a hard link outside": lambda: link("evil", "/etc/passwd", tarfile.LNKTYPE),
    "a device": lambda: link("evil", "", tarfile.CHRTYPE),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives(stack: Stack, name: str) -> None:
    headers = {"Content-Type": "application/x-tar"}
    with Unchanged(stack):
        response = ask(stack, "alice", "POST", "/v1.44/images/load", BAD[name](), headers=headers, timeout=60)
    assert response.status == 400, response.body
    assert message(response)


def test_bad_archives_by_the_cli(stack: Stack, cli: str) -> None:
    with Unchanged(stack):
        done = stack.docker("alice", "load", input=b"garbage" * 500, cli=cli, check=False)
    assert done.code == 1 and "Error response from daemon: " in done.said


def test_a_bomb(stack: Stack) -> None:
    """1 GiB of zeros in 1 MiB of gzip."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as packed:
        header = tarfile.TarInfo("zeros")
        header.size = 1 << 30
        packed.write(header.tobuf())
        for _ in range(64):
            packed.write(bytes(1 << 24))
    with Unchanged(stack):
        response = ask(stack, "alice", "POST", "/images/load", out.getvalue(), timeout=120)
    assert response.status in (400, 413), response.body


def test_content_comes_by_bringing_it_only(stack: Stack) -> None:
    """bob cannot have alice's image by an archive that only names its layers."""
    files, _ = image("possession", "app:mine")
    stack.docker("alice", "load", input=pack(files))
    del files[layer(files)]
    response = ask(stack, "bob", "POST", "/images/load", pack(files), headers={"Content-Type": "application/x-tar"})
    assert response.status == 400
