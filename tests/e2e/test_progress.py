"""What `docker pull`, `push` and `load` draw in a terminal while bytes move: a bar for each layer."""

from __future__ import annotations

import io
import random
import re
import tarfile
from pathlib import Path

import pytest

from tests.e2e.any_registry import AnyRegistry
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
    any_registry.image("app/bars", cli, [layer(cli)])
    docker = Docker(stack, "alice", Client(cli))
    with docker.terminal("pull", f"{name}:{cli}", columns=140) as screen:
        screen.expect(rb"Pulling from app/bars")
        screen.expect(rb"\b[0-9a-f]{12}: Downloading\s+" + BAR)
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
        screen.expect(rb"\b[0-9a-f]{12}: Pushed")
        screen.expect(cli.encode() + rb": digest: sha256:[0-9a-f]{64} size: [0-9]+")
        assert screen.wait() == 0

    his = Docker(stack, "bob", Client(cli))
    with his.terminal("load", "-i", str(tmp_path / "saved.tar"), columns=140) as screen:
        screen.expect(rb"\b[0-9a-f]{12}: Loading layer\s+" + BAR)
        screen.expect(re.escape(f"Loaded image: {name}:{cli}".encode()))
        assert screen.wait() == 0
