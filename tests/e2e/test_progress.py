"""What `docker pull`, `push` and `load` draw in a terminal while bytes move: a bar for each layer."""

from __future__ import annotations

import gzip
import io
import random
import re
import tarfile
import threading
from pathlib import Path

import pytest

from tests.e2e.any_registry import AnyRegistry, digest_of
from tests.e2e.clients import Client, Docker
from tests.e2e.stack import Stack

pytestmark = pytest.mark.usefixtures("fresh_images")

SIZE = 6 << 20
BAR = rb"\[=*>\s*\]\s+[0-9.]+[kM]?B/[0-9.]+MB"


def layer(seed: str) -> bytes:
    """A layer of random bytes, which nothing makes smaller."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("noise")
        member.size = SIZE
        tar.addfile(member, io.BytesIO(random.Random(seed).randbytes(SIZE)))
    return out.getvalue()


def test_bars(stack: Stack, any_registry: AnyRegistry, tmp_path: Path, cli: str) -> None:
    name = f"{any_registry.host}/app/bars"
    layers = [layer(f"{cli} {number}") for number in range(2)]
    any_registry.image("app/bars", cli, layers)
    # An engine shows the last of what there is to show, each time that it comes to it: it is given the time.
    sent, taken = threading.Event(), threading.Event()
    any_registry.halved[f"/v2/app/bars/blobs/{digest_of(gzip.compress(layers[0], mtime=0))}"] = sent
    any_registry.taken = taken
    docker = Docker(stack, "alice", Client(cli))
    with docker.terminal("pull", f"{name}:{cli}", columns=140) as screen:
        screen.expect(rb"Pulling from app/bars")
        screen.expect(rb"\b[0-9a-f]{12}: Downloading\s+" + BAR)
        sent.set()
        screen.expect(rb"\b[0-9a-f]{12}: Extracting\s+" + BAR)
        screen.expect(rb"\b[0-9a-f]{12}: Pull complete")
        screen.expect(rb"Digest: sha256:[0-9a-f]{64}")
        screen.expect(re.escape(f"Status: Downloaded newer image for {name}:{cli}".encode()))
        assert screen.wait() == 0
    docker("save", "-o", str(tmp_path / "saved.tar"), f"{name}:{cli}")

    docker("tag", f"{name}:{cli}", f"{name}/again:{cli}")
    with docker.terminal("push", f"{name}/again:{cli}", columns=140) as screen:
        screen.expect(rb"The push refers to repository \[")
        screen.expect(rb"\b[0-9a-f]{12}: Pushing\s+" + BAR)
        taken.set()
        screen.expect(rb"\b[0-9a-f]{12}: Pushed")
        screen.expect(cli.encode() + rb": digest: sha256:[0-9a-f]{64} size: [0-9]+")
        assert screen.wait() == 0

    his = Docker(stack, "bob", Client(cli))
    with his.terminal("load", "-i", str(tmp_path / "saved.tar"), columns=140) as screen:
        screen.expect(rb"\b[0-9a-f]{12}: Loading layer\s+" + BAR)
        screen.expect(re.escape(f"Loaded image: {name}:{cli}".encode()))
        assert screen.wait() == 0
