"""Volumes and system df as clients of each age see and ask for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.api.versions import downgrade_response, parse, upgrade_request

VOLUME = {
    "CreatedAt": "2026-01-02T03:04:05Z",
    "Driver": "local",
    "Labels": {"a": "b"},
    "Mountpoint": "/var/lib/docker/volumes/data/_data",
    "Name": "data",
    "Options": None,
    "Scope": "local",
}
OLDEST = {"Driver": "local", "Mountpoint": "/var/lib/docker/volumes/data/_data", "Name": "data"}


@pytest.mark.parametrize(
    ("version", "left_out"),
    [
        ("1.44", set()),
        ("1.31", set()),
        ("1.30", {"CreatedAt"}),
        ("1.25", {"CreatedAt"}),
        ("1.24", {"CreatedAt", "Options"}),
        ("1.23", {"CreatedAt", "Options", "Scope"}),
        ("1.22", {"CreatedAt", "Options", "Scope", "Labels"}),
        ("1.21", {"CreatedAt", "Options", "Scope", "Labels"}),
    ],
)
def test_a_volume(version: str, left_out: set[str]) -> None:
    wanted = {key: value for key, value in VOLUME.items() if key not in left_out}
    for operation in ("volumes.inspect", "volumes.create"):
        assert downgrade_response(parse(version), operation, VOLUME) == wanted
    listed = {"Volumes": [VOLUME, VOLUME], "Warnings": None}
    assert downgrade_response(parse(version), "volumes.list", listed) == {"Volumes": [wanted] * 2, "Warnings": None}
    assert listed["Volumes"] == [VOLUME] * 2 and len(VOLUME) == 7


def test_requests() -> None:
    def asked(version: str, operation: str, query: dict[str, list[str]], body: Any = None) -> Any:
        return upgrade_request(parse(version), operation, query, body)

    body = {"Name": "data", "Labels": {"a": "b"}}
    assert asked("1.22", "volumes.create", {}, body)[1] == {"Name": "data"}
    assert asked("1.23", "volumes.create", {}, body)[1] == body
    assert asked("1.24", "volumes.remove", {"force": ["1"]})[0] == {}
    assert asked("1.25", "volumes.remove", {"force": ["1"]})[0] == {"force": ["1"]}
    assert asked("1.41", "system.df", {"type": ["volume"]})[0] == {}
    assert asked("1.42", "system.df", {"type": ["volume"]})[0] == {"type": ["volume"]}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, {"all": {"true": True}}),
        ("", {"all": {"true": True}}),
        ("null", {"all": {"true": True}}),
        ('{"label": {"a": true}}', {"label": {"a": True}, "all": {"true": True}}),
        ('{"label": ["a"]}', {"label": ["a"], "all": ["true"]}),
    ],
)
def test_a_prune_before_1_42_takes_all(given: str | None, wanted: dict) -> None:
    query = {} if given is None else {"filters": [given]}
    upgraded, _ = upgrade_request(parse("1.41"), "volumes.prune", query, None)
    assert json.loads(upgraded["filters"][0]) == wanted
    assert upgrade_request(parse("1.42"), "volumes.prune", query, None)[0] == query


@pytest.mark.parametrize("given", ["nojson", "[1]", '"x"', "[" * 9999])
def test_filters_that_cannot_be_read_are_left_for_their_reader(given: str) -> None:
    assert upgrade_request(parse("1.41"), "volumes.prune", {"filters": [given]}, None)[0] == {"filters": [given]}


def test_df() -> None:
    image = {"Id": "sha256:1", "Size": 5, "SharedSize": 0, "Containers": 1, "RepoTags": [], "RepoDigests": []}
    container = {"Id": "c", "State": "removing", "Mounts": [], "NetworkSettings": {"Networks": {}}}
    usage = {"RefCount": 1, "Size": 7}
    body = {
        "LayersSize": 5,
        "Images": [image],
        "Containers": [container],
        "Volumes": [{**VOLUME, "UsageData": usage}],
        "BuildCache": [{"Size": 3}, {"Size": 4}],
    }
    assert downgrade_response(parse("1.44"), "system.df", body) == body
    assert downgrade_response(parse("1.42"), "system.df", body)["Images"][0]["VirtualSize"] == 5
    assert "BuilderSize" not in downgrade_response(parse("1.42"), "system.df", body)
    assert downgrade_response(parse("1.41"), "system.df", body)["BuilderSize"] == 7
    old = downgrade_response(parse("1.25"), "system.df", body)
    assert not {"BuildCache", "BuilderSize"} & old.keys() and "CreatedAt" not in old["Volumes"][0]
    assert old["Volumes"][0]["UsageData"] == usage
    nothing = {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": None, "BuildCache": None}
    assert downgrade_response(parse("1.43"), "system.df", nothing) == nothing
