"""docker system df: own objects alone, with their sizes and use."""

from __future__ import annotations

import json

import pytest

from tests.e2e.clients import Client, Docker
from tests.e2e.stack import Stack, clis
from tests.e2e.test_volume import clean


@pytest.fixture
def docker(stack: Stack, alice: str) -> Docker:
    clean(stack)
    return Docker(stack, alice)


def test_df(stack: Stack, docker: Docker, bob: str) -> None:
    write = "dd if=/dev/zero of=/data/file bs=1024 count=300; dd if=/dev/zero of=/own bs=1024 count=200"
    docker("run", "--name", "web", "-v", "data:/data", "busybox", "sh", "-c", write)
    docker("volume", "create", "unused")
    Docker(stack, bob)("run", "--name", "his", "-v", "secret:/data", "busybox", "sh", "-c", write)
    body = docker.call("GET", "/system/df").json()
    assert set(body) == {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"}
    volumes = {v["Name"]: v["UsageData"] for v in body["Volumes"]}
    assert volumes["unused"] == {"RefCount": 0, "Size": 0} and set(volumes) == {"data", "unused"}
    assert volumes["data"]["RefCount"] == 1 and 300 * 1024 <= volumes["data"]["Size"] < 320 * 1024
    (container,) = body["Containers"]
    assert container["Names"] == ["/web"] and 200 * 1024 <= container["SizeRw"] < 220 * 1024
    assert container["SizeRootFs"] > container["SizeRw"]
    (image,) = [i for i in body["Images"] if "busybox:latest" in i["RepoTags"]]
    assert image["Containers"] == 1 and 0 <= image["SharedSize"] <= image["Size"]
    assert body["LayersSize"] >= image["Size"] and body["BuildCache"] == []
    only = docker.call("GET", "/system/df?type=volume&type=container").json()
    assert only["Images"] is None and only["BuildCache"] is None and len(only["Volumes"]) == 2
    old = docker.call("GET", "/v1.41/system/df?type=volume").json()
    assert old["BuilderSize"] == 0 and old["Images"][0]["VirtualSize"] == old["Images"][0]["Size"]
    assert "BuildCache" not in docker.call("GET", "/v1.30/system/df").json()
    assert "CreatedAt" not in docker.call("GET", "/v1.30/system/df").json()["Volumes"][0]
    for version in clis():
        for api in (None, "1.30"):
            client = Docker(stack, "alice", Client(version, api))
            rows = [json.loads(line) for line in client("system", "df", "--format", "{{json .}}").text.splitlines()]
            counts = {row["Type"]: (str(row["TotalCount"]), str(row["Active"])) for row in rows}
            assert counts["Containers"] == ("1", "0") and counts["Local Volumes"] == ("2", "1"), (version, api)
            verbose = client("system", "df", "-v").text
            assert "web" in verbose and "307.2kB" in verbose and "his" not in verbose and "secret" not in verbose
