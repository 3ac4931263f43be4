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
from tests.machine import busybox_archive, wait_until

LIMIT: Limit = (">=", 0.8)
NO_CREDENTIALS = base64.urlsafe_b64encode(b"{}").decode()


def transfers(sides: Sides, rounds: int, *, size: int = 64 * MIB) -> list[Row]:
    """Push and pull of an image with one layer of `size` random bytes; each round's is an image of its own.

    A pull waits until the engine has dropped what was pushed, so that it brings the whole layer over.
    """
    pair = (sides.ours, sides.fronted)
    with registry(sides.stack.registry_host) as server:
        numbers = iter(range(10**6))

        def trip(side: Side) -> dict[str, float]:
            name = f"{server.host}/bench/{next(numbers)}"
            repository = urllib.parse.quote(name, safe="")
            with side.client() as client:
                image = _load(client, size)
                client.call("POST", f"/images/{image}/tag?repo={repository}&tag=latest")
                began = clock()
                _told(
                    client.bytes("POST", f"/images/{name}/push?tag=latest", headers={"X-Registry-Auth": NO_CREDENTIALS})
                )
                pushed = clock() - began
            _remove(sides, side, image)
            with side.client() as client:
                client.bytes("GET", "/_ping")
                began = clock()
                _told(client.bytes("POST", f"/images/create?fromImage={repository}&tag=latest"))
                pulled = clock() - began
            assert image in _images(sides), f"{side.name}: {image} was not pulled"
            _remove(sides, side, image)
            return {"push": size / MIB / pushed, "pull": size / MIB / pulled}

        found = in_turn(pair, rounds, trip)
    return [
        compared(f"{verb} of {size // MIB} MiB", "MiB/s", *found[verb], sides.fronted.name, LIMIT)
        for verb in ("pull", "push")
    ]


def _remove(sides: Sides, side: Side, image: str) -> None:
    """Remove an image, and wait until the engine has it no more: the service drops what nobody has after a while."""
    with side.client() as client:
        client.call("DELETE", f"/images/{image}?force=1")
    wait_until(lambda: image not in _images(sides), f"{side.name}: {image} gone from the engine", timeout=90)


def _images(sides: Sides) -> set[str]:
    status, found = sides.stack.engine.call("GET", "/images/json?all=1")
    assert status == 200, found
    return {image["Id"] for image in found}


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
