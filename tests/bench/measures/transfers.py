"""Images to and from a registry on this machine."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import urllib.parse

from tests.bench.measures.turns import MIB, clock, in_turn
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import Client, Side, Sides
from tests.e2e.stack import digest, registry
from tests.machine import busybox_archive

LIMIT: Limit = (">=", 0.8)
NO_CREDENTIALS = base64.urlsafe_b64encode(b"{}").decode()


def transfers(sides: Sides, rounds: int, *, size: int = 64 * MIB) -> list[Row]:
    """Push and pull of an image with one layer of `size` random bytes; each round's is an image of its own."""
    pair = (sides.ours, sides.fronted)
    with registry(sides.stack.registry_host) as server:
        numbers = iter(range(10**6))

        def trip(side: Side) -> dict[str, float]:
            name = f"{server.host}/bench/{next(numbers)}"
            with side.client() as client:
                image = _load(client, size)
                repository = urllib.parse.quote(name, safe="")
                client.call("POST", f"/images/{image}/tag?repo={repository}&tag=latest")
                began = clock()
                _told(
                    client.bytes("POST", f"/images/{name}/push?tag=latest", headers={"X-Registry-Auth": NO_CREDENTIALS})
                )
                pushed = clock() - began
                client.call("DELETE", f"/images/{name}:latest?force=1")
                began = clock()
                _told(client.bytes("POST", f"/images/create?fromImage={repository}&tag=latest"))
                pulled = clock() - began
                client.call("DELETE", f"/images/{name}:latest?force=1")
            return {"push": size / MIB / pushed, "pull": size / MIB / pulled}

        found = in_turn(pair, rounds, trip)
    return [
        compared(f"{verb} of {size // MIB} MiB", "MiB/s", *found[verb], sides.fronted.name, LIMIT)
        for verb in ("pull", "push")
    ]


def _told(messages: bytes) -> None:
    assert b'"error"' not in messages, messages[-500:]


def _load(client: Client, size: int) -> str:
    """Load an image of one new layer; its id."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        member = tarfile.TarInfo("random")
        member.size = size
        tar.addfile(member, io.BytesIO(os.urandom(size)))
    content = layer.getvalue()
    with tarfile.open(fileobj=io.BytesIO(busybox_archive())) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        config = json.load(archive.extractfile(manifest["Config"]))  # type: ignore[arg-type]
    config["rootfs"]["diff_ids"] = [digest(content)]
    config["history"] = [{"created": config["created"], "created_by": "random bytes"}]
    raw = json.dumps(config).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        name = digest(raw).removeprefix("sha256:")
        document = [{"Config": f"{name}.json", "RepoTags": None, "Layers": ["layer/layer.tar"]}]
        for path, data in (
            (f"{name}.json", raw),
            ("layer/layer.tar", content),
            ("manifest.json", json.dumps(document).encode()),
        ):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    _told(client.bytes("POST", "/images/load?quiet=1", out.getvalue(), headers={"Content-Type": "application/x-tar"}))
    return digest(raw)
