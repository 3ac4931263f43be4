"""The configuration of a committed image, written anew."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest

from app.domain import image_config

SEEN: dict[str, Any] = {
    "Architecture": "amd64",
    "Os": "linux",
    "Created": "2026-01-01T00:00:00Z",
    "Author": "me",
    "Comment": "hi",
    "DockerVersion": "20.10.24",
    "Container": "c" * 64,
    "ContainerConfig": {"Hostname": "engine", "Labels": {"sdc.account": "x"}},
    "Config": {"Env": ["A=1"], "Labels": {"a": "b", "sdc.account": "x", "sdc.op": "y"}, "Image": "sha256:abc"},
    "RootFS": {"Layers": ["sha256:one", "sha256:two"]},
}


def step(size: int, by: str = "x") -> dict[str, Any]:
    return {"CreatedBy": by, "Created": 5, "Size": size, "Comment": "", "Id": "<missing>"}


def test_nothing_of_ours_or_the_engines_is_in_it() -> None:
    data = image_config.rewritten(SEEN, [step(5), step(6)], image="busybox")
    assert b"sdc." not in data and b"cccc" not in data and b"engine" not in data
    told = json.loads(data)
    assert told["config"] == {"Env": ["A=1"], "Labels": {"a": "b"}, "Image": "busybox"}
    assert (told["author"], told["comment"], told["rootfs"]["diff_ids"]) == ("me", "hi", ["sha256:one", "sha256:two"])
    assert image_config.rewritten(SEEN, [step(5), step(6)], image="busybox") == data, "its id must not change"


def test_what_links_say_is_not_in_it() -> None:
    data = image_config.rewritten(SEEN, [step(5), step(6)], image="busybox", told=["A=1"])
    assert json.loads(data)["config"]["Env"] == []


@pytest.mark.parametrize(
    ("sizes", "empty"),
    [
        ([5, 6], [False, False]),
        ([0, 5, 0, 6], [True, False, True, False]),
        # A layer may weigh nothing.
        ([0, 0, 5], [False, True, False]),
        ([0, 0], [False, False]),
    ],
)
def test_as_many_steps_as_layers_have_one(sizes: list[int], empty: list[bool]) -> None:
    told = json.loads(image_config.rewritten(SEEN, [step(size) for size in sizes], image="x"))
    assert [line.get("empty_layer", False) for line in told["history"][::-1]] == empty


def test_the_archive() -> None:
    data = image_config.rewritten(SEEN, [step(5), step(6)], image="x")
    with tarfile.open(fileobj=io.BytesIO(image_config.archive(data))) as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())[0]  # type: ignore[union-attr]
        assert tar.extractfile(manifest["Config"]).read() == data  # type: ignore[union-attr]
    assert f"sha256:{manifest['Config'].removesuffix('.json')}" == image_config.image_id(data)
    assert len(manifest["Layers"]) == 2 and manifest["RepoTags"] is None
