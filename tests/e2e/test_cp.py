"""docker cp, both ways."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.clients import Client, Docker, every_client, two_clients
from tests.e2e.stack import Stack


def tree(folder: Path) -> Path:
    (folder / "in" / "sub").mkdir(parents=True)
    (folder / "in" / "file").write_bytes(b"hello\n")
    (folder / "in" / "file").chmod(0o640)
    (folder / "in" / "sub" / "more").write_bytes(b"more\n")
    (folder / "in" / "link").symlink_to("file")
    return folder / "in"


def tar(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid, info.mode = len(content), 1000, 1001, 0o600
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@every_client
def test_files_folders_and_links(stack: Stack, alice: str, tmp_path: Path, client: Client) -> None:
    docker = Docker(stack, alice, client)
    source = tree(tmp_path)
    runs = docker.container("run", "-d", "-v", "/data", "busybox", "sleep", "600")
    waits = docker.container("create", "busybox", "true")

    for container in (runs, waits):
        docker("cp", str(source), f"{container}:/tmp")
        docker("cp", f"{source}/.", f"{container}:/tmp/flat", check=False)
        docker("cp", str(source / "file"), f"{container}:/tmp/renamed")
        back = tmp_path / container
        back.mkdir()
        docker("cp", f"{container}:/tmp/in", str(back))
        assert (back / "in" / "file").read_bytes() == b"hello\n"
        assert (back / "in" / "sub" / "more").read_bytes() == b"more\n"
        assert (back / "in" / "file").stat().st_mode & 0o777 == 0o640
        assert (back / "in" / "link").is_symlink() and (back / "in" / "link").read_bytes() == b"hello\n"
        docker("cp", f"{container}:/tmp/renamed", str(back / "one"))
        assert (back / "one").read_bytes() == b"hello\n"

    docker("cp", str(source / "file"), f"{runs}:/data/kept")
    assert docker("exec", runs, "cat", "/data/kept").text == "hello\n"
    for words in ([f"{runs}:/nope", str(tmp_path)], [str(source / "file"), f"{runs}:/nope/x"]):
        refused = docker("cp", *words, check=False)
        assert refused.code != 0 and ("No such container:path" in refused.said or "Could not find" in refused.said)


@two_clients
def test_tar_streams_keep_owners(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("run", "-d", "busybox", "sleep", "600")
    docker("cp", "-", f"{container}:/tmp", input=tar(mine=b"x", other=b"yy"))
    assert docker("exec", container, "stat", "-c", "%u:%g %a %s", "/tmp/mine").text == "1000:1001 600 1\n"
    out = docker("cp", f"{container}:/tmp/other", "-").stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        found = archive.next()
        assert found and (found.name, found.uid, found.gid, found.mode & 0o777) == ("other", 1000, 1001, 0o600)


def test_a_large_file_arrives_whole(stack: Stack, alice: str, tmp_path: Path) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "busybox", "true")
    content = hashlib.shake_256(b"seed").digest(24 << 20)
    (tmp_path / "big").write_bytes(content)
    docker("cp", str(tmp_path / "big"), f"{container}:/tmp/big")
    docker("cp", f"{container}:/tmp/big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content


def test_what_is_at_a_path(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "--name", "cp-hers", "busybox", "true")
    for method in ("HEAD", "GET"):
        answer = stack.request(alice, method, f"/v1.41/containers/{container}/archive?path=/bin/busybox")
        stat = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
        assert answer.status == 200 and stat["name"] == "busybox" and stat["mode"] & 0o111
        assert set(stat) == {"name", "size", "mode", "mtime", "linkTarget"}
    assert answer.headers["Content-Type"] == "application/x-tar"
    old = stack.request(alice, "POST", f"/v1.23/containers/{container}/copy", {"Resource": "/etc/passwd"})
    with tarfile.open(fileobj=io.BytesIO(old.body)) as archive:
        assert archive.getnames() == ["passwd"]
    assert stack.request(alice, "POST", f"/v1.24/containers/{container}/copy", {"Resource": "/etc"}).status == 404
    for method in ("HEAD", "GET", "PUT"):
        for whose in ("cp-hers", container):
            theirs = ask(stack, bob, method, f"/containers/{whose}/archive?path=/etc", typed=whose)
            assert theirs.status == 404 and (method == "HEAD" or message(theirs) == f"No such container: {whose}")


def test_bad_archives(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "busybox", "true")
    locked = docker.container("create", "--read-only", "busybox", "true")
    device = tarfile.TarInfo("null")
    device.type = tarfile.CHRTYPE
    climbing = tar(x=b"").replace(b"x\0\0\0\0", b"../x\0", 1)
    cases = [
        (container, "", tar(x=b"y"), 400, "path cannot be empty"),
        (container, "/nope", tar(x=b"y"), 404, "Could not find the file /nope in container"),
        (container, "/tmp", device.tobuf() + bytes(1024), 400, "device"),
        (container, "/tmp", climbing, 400, ""),
        (container, "/tmp", tar(x=b"y" * 5000)[:3000], 400, "unexpected EOF"),
        (container, "/tmp", b"\x28\xb5\x2f\xfd" + bytes(100), 400, "zstd"),
        (locked, "/tmp", tar(x=b"y"), 403, "read-only"),
        (container, "/a%00b", tar(x=b"y"), 400, "NUL"),
    ]
    with Unchanged(stack):
        for target, path, body, status, words in cases:
            answer = ask(stack, alice, "PUT", f"/containers/{target}/archive?path={path}", body)
            assert answer.status == status and words in message(answer), (path, words, answer)
        for path in ("", "/nope"):
            answer = ask(stack, alice, "GET", f"/containers/{container}/archive?path={path}")
            assert answer.status == (404 if path else 400), answer
