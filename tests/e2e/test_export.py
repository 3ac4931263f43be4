"""docker export."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from tests.e2e.behind import ask, message
from tests.e2e.clients import Client, Docker, two_clients
from tests.e2e.stack import Stack


@two_clients
def test_the_whole_file_system(stack: Stack, alice: str, bob: str, tmp_path: Path, client: Client) -> None:
    docker = Docker(stack, alice, client)
    Docker(stack, bob, client)("create", "--name", "his", "busybox", "true")
    runs = docker.container("run", "-d", "--name", "exported", "busybox", "sh", "-c", "echo hi >/mark; sleep 600")
    ended = docker.container("create", "busybox", "true")
    docker("exec", runs, "sh", "-c", "until [ -s /mark ]; do sleep 0.05; done")
    with tarfile.open(fileobj=io.BytesIO(docker("export", runs).stdout)) as archive:
        mark = archive.extractfile("mark")
        assert mark and mark.read() == b"hi\n" and "bin/busybox" in archive.getnames()
    docker("export", "-o", str(tmp_path / "out.tar"), ended)
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert "bin/busybox" in archive.getnames()
    answer = stack.request(alice, "GET", f"/containers/{runs}/export")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    for name in ("nosuch", "his"):
        refused = docker("export", name, check=False)
        assert (refused.code, refused.stdout) == (1, b"") and f"No such container: {name}" in refused.said
    theirs = ask(stack, bob, "GET", "/containers/exported/export")
    assert (theirs.status, message(theirs)) == (404, "No such container: exported")
