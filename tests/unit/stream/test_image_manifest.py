"""Manifests as an engine reads them; what Go would read in another way is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.errors import InvalidParameter, NotFound
from app.stream import image_manifest
from app.stream.image_manifest import Blob, Platform

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
GOOD: dict[str, Any] = {
    "schemaVersion": 2,
    "config": {"digest": A, "size": 5},
    "layers": [{"digest": B, "size": 7, "mediaType": "x", "annotations": {"K": "1", "k": "2"}}],
}


def test_manifest() -> None:
    found = image_manifest.manifest(json.dumps(GOOD).encode())
    assert (found.config, found.layers) == (Blob(A, 5), (Blob(B, 7),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        json.dumps(GOOD | {"schemaVersion": 1}),
        json.dumps(GOOD | {"manifests": []}),
        json.dumps(GOOD | {"Config": {"digest": B, "size": 5}}),
        json.dumps(GOOD)[:-1] + f', "config": {{"digest": "{B}", "size": 5}}}}',
        json.dumps(GOOD | {"layer\u017f": []}),
        json.dumps(GOOD | {"layers": [{"digest": B, "size": 7, "DIGEST": A}]}),
        json.dumps(GOOD | {"layers": [{"digest": "sha512:" + "a" * 128, "size": 7}]}),
        json.dumps(GOOD | {"layers": [{"digest": B, "size": -1}]}),
        json.dumps(GOOD | {"layers": [{"digest": B, "size": True}]}),
        json.dumps(GOOD | {"layers": {}}),
        json.dumps(GOOD | {"layers": [{"digest": B, "size": 7}] * 1001}),
        json.dumps(GOOD | {"config": None}),
        json.dumps(GOOD | {"annotations": float("nan")}),
    ],
)
def test_bad_manifests(text: str) -> None:
    with pytest.raises(InvalidParameter, match="malformed manifest"):
        image_manifest.manifest(text.encode())


def index(*platforms: dict[str, str]) -> bytes:
    digests = [f"sha256:{str(place) * 64}" for place in range(len(platforms))]
    listed = [{"digest": d, "size": 1, "platform": p} for d, p in zip(digests, platforms, strict=True)]
    return json.dumps({"schemaVersion": 2, "manifests": listed}).encode()


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        (Platform("linux", "amd64"), 1),
        (Platform("linux", "arm64"), 2),
        (Platform("linux", "arm64", "v8"), 2),
        (Platform("linux", "arm", "v7"), 4),
        (Platform("linux", "arm"), 3),
    ],
)
def test_choose(wanted: Platform, place: int) -> None:
    listed = [
        {"os": "windows", "architecture": "amd64"},
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64"},
        {"os": "linux", "architecture": "arm", "variant": "v6"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
    ]
    assert image_manifest.choose(index(*listed), wanted) == f"sha256:{str(place) * 64}"
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        image_manifest.choose(index(*listed), Platform("linux", "s390x"))


def test_config() -> None:
    found = image_manifest.config(
        json.dumps({"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": [A]}}).encode()
    )
    assert (found.platform, found.diff_ids) == (Platform("linux", "arm64"), (A,))
    for bad in ({"rootfs": {"diff_ids": ["x"]}}, {"rootfs": {"diff_ids": [A], "Diff_ids": [B]}}, {"rootfs": 1}, []):
        with pytest.raises(InvalidParameter):
            image_manifest.config(json.dumps(bad).encode())


def test_platforms() -> None:
    assert Platform.parse("", "amd64") == Platform("linux", "amd64")
    assert Platform.parse("linux/arm/v7", "amd64") == Platform("linux", "arm", "v7")
    assert str(Platform("linux", "arm", "v7")) == "linux/arm/v7"
