"""docker container prune, volume prune and system prune: what is not used, and one's own alone."""

from __future__ import annotations

import pytest

from tests.e2e.clients import Client, Docker
from tests.e2e.stack import Stack, clis
from tests.e2e.test_volume import clean, names


@pytest.fixture
def docker(stack: Stack, alice: str) -> Docker:
    clean(stack)
    return Docker(stack, alice)


def containers(docker: Docker) -> list[str]:
    return sorted(docker("ps", "-a", "--format", "{{.Names}}").text.split())


def test_containers(stack: Stack, docker: Docker, bob: str) -> None:
    his = Docker(stack, bob)
    his("create", "--name", "his", "busybox", "true")
    docker("run", "--name", "done", "--label", "a=b", "busybox", "sh", "-c", "dd if=/dev/zero of=/x bs=1024 count=100")
    docker("create", "--name", "made", "-v", "data:/d", "-v", "/free", "busybox", "true")
    docker("run", "-d", "--name", "runs", "busybox", "sleep", "600")
    assert "Total reclaimed space: 0B" in docker("container", "prune", "-f", "--filter", "until=1h").text
    assert "Total reclaimed space: 0B" in docker("container", "prune", "-f", "--filter", "label=nosuch").text
    pruned = docker("container", "prune", "-f", "--filter", "label=a=b").text
    assert pruned.startswith("Deleted Containers:\n") and "Total reclaimed space: 102.4kB" in pruned
    assert containers(docker) == ["made", "runs"]
    docker("container", "prune", "-f", "--filter", "label!=nosuch")
    assert containers(docker) == ["runs"] and containers(his) == ["his"]
    assert len(names(docker)) == 2, "the volumes of pruned containers stay"


def test_volumes(stack: Stack, docker: Docker, bob: str) -> None:
    his = Docker(stack, bob)
    his("volume", "create", "data")
    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "dd if=/dev/zero of=/d/x bs=1024 count=100")
    docker("create", "--name", "user", "-v", "used:/d", "-v", "/free", "busybox", "true")
    docker("create", "--name", "gone", "-v", "/free", "busybox", "true")
    docker("rm", "gone")
    docker("volume", "create", "--label", "keep", "kept")
    free = docker("volume", "create").text.strip()
    assert len(names(docker)) == 6
    pruned = docker.call("POST", "/volumes/prune").json()
    assert len(pruned["VolumesDeleted"]) == 2 and free in pruned["VolumesDeleted"] and pruned["SpaceReclaimed"] == 0
    assert len(names(docker)) == 4
    older = Docker(stack, "alice", Client("20"))
    assert older("volume", "prune", "-f", "--filter", "label=nosuch").text == "Total reclaimed space: 0B\n"
    pruned_text = older("volume", "prune", "-f", "--filter", "label!=keep").text
    assert "data\n" in pruned_text and "Total reclaimed space: 102.4kB" in pruned_text
    if "28" in clis():
        newer = Docker(stack, "alice", Client("28"))
        assert newer("volume", "prune", "-f").text == "Total reclaimed space: 0B\n"
        assert "kept\n" in newer("volume", "prune", "-a", "-f").text
    else:
        older("volume", "prune", "-f")
    assert len(names(docker)) == 2 == len(names(docker, "dangling=false")) and names(his) == ["data"]


def test_system_prune(stack: Stack, docker: Docker, cli: str) -> None:
    client = Docker(stack, "alice", Client(cli))
    docker("run", "--name", "done", "-v", "/free", "-v", "data:/d", "busybox", "sh", "-c", "echo x > /x")
    docker("run", "-d", "--name", "runs", "-v", "busy:/d", "busybox", "sleep", "600")
    pruned = client("system", "prune", "-f").text
    assert pruned.startswith("Deleted Containers:\n") and "Total reclaimed space: 2B" in pruned
    assert containers(docker) == ["runs"] and len(names(docker)) == 3
    client("system", "prune", "-f", "--volumes")
    # Below 1.42 a prune takes named ones too.
    assert names(docker) == (["busy"] if cli == "20" else ["busy", "data"])
    told = docker("events", "--since", "10m", "--until", "0s", "--filter", "event=prune", "--format", "{{.Type}}").text
    assert {"container", "volume"} <= set(told.split())
