"""docker container, image, network, volume, builder and system prune: what is not used, and one's own alone.

More of networks' is in test_network_create.py, of a builder's in test_build.py.
"""

from __future__ import annotations

import time

import pytest

from tests.e2e.behind import Unchanged
from tests.e2e.clients import Client, Docker
from tests.e2e.images import image, pack
from tests.e2e.stack import Stack, clis
from tests.e2e.test_events import stamp, told
from tests.e2e.test_volume import clean, names
from tests.machine import wait_until


@pytest.fixture
def docker(stack: Stack, alice: str) -> Docker:
    clean(stack)
    return Docker(stack, alice)


def containers(docker: Docker) -> list[str]:
    return sorted(docker("ps", "-a", "--format", "{{.Names}}").text.split())


def test_a_prune_is_told_behind_its_removals(stack: Stack, docker: Docker) -> None:
    began = stamp()
    for name in ("one", "two", "three"):
        docker("create", "--name", name, "busybox", "true")
    docker("container", "prune", "-f")
    wait_until(lambda: "prune" in [event["Action"] for event in told(docker, since=began)], "the prune's event")
    actions = [event["Action"] for event in told(docker, since=began, kind="container")]
    assert actions == ["create"] * 3 + ["destroy"] * 3 + ["prune"]


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


@pytest.mark.usefixtures("fresh_images")
def test_images(stack: Stack, docker: Docker, cli: str) -> None:
    client = Docker(stack, "alice", Client(cli))

    def load(account: str, marker: str, *tags: str) -> str:
        files, image_id = image(f"{marker} {cli}", *tags)
        stack.docker(account, "load", "-q", input=pack(files))
        return image_id

    def tagged(account: str) -> set[str]:
        listed = stack.docker(account, "images", "--format", "{{.Repository}}:{{.Tag}}").text.split()
        return {name for name in listed if not name.startswith("busybox:")}

    dangling = load("alice", "dangling")
    for account in ("alice", "bob"):
        load(account, "prune", "app:one")
    assert client("image", "prune", "-f", "--filter", "label=no=such").text == "Total reclaimed space: 0B\n"
    said = client("image", "prune", "-f").text
    assert f"deleted: {dangling}" in said and "Total reclaimed space: 0B" in said
    assert tagged("alice") == {"app:one"}
    client("create", "busybox")
    assert client("image", "prune", "-af", "--filter", "until=1960-01-01").text == "Total reclaimed space: 0B\n"
    assert "untagged: app:one" in client("image", "prune", "-af", "--filter", "label=marker").text
    assert tagged("alice") == set() and tagged("bob") == {"app:one"}


def test_networks(stack: Stack, docker: Docker, bob: str, cli: str) -> None:
    client, his = Docker(stack, "alice", Client(cli)), Docker(stack, bob)
    for who in (client, his):
        who("network", "create", "--label", "a=b", "free")
    client("network", "create", "busy")
    try:
        client("create", "--network", "busy", "busybox", "true")
        client("run", "-d", "--name", "uses", "--network", "busy", "busybox", "sleep", "600")
        assert client("network", "prune", "-f", "--filter", "until=1h").text == ""
        assert client("network", "prune", "-f", "--filter", "label!=a").text == ""
        assert client("network", "prune", "-f", "--filter", "label=a=b").text == "Deleted Networks:\nfree\n\n"
        assert client("network", "prune", "-f").text == ""
        listed = his("network", "ls", "-q", "--filter", "name=free").text.split()
        assert len(listed) == 1, "his stays"
    finally:
        docker("rm", "-f", "uses")
        for who in (docker, his):
            who("network", "prune", "-f")


def test_builder(stack: Stack, docker: Docker, cli: str) -> None:
    client = Docker(stack, "alice", Client(cli))
    for words in ((), ("-a",), ("--filter", "until=24h"), ("--keep-storage", "1gb")):
        assert client("builder", "prune", "-f", *words).text.endswith("Total reclaimed space: 0B\n"), words


BAD = [
    ("container", "status=exited", "Invalid filter 'status'"),
    ("container", "until=soon", 'failed to parse value as time or duration: "soon"'),
    ("image", "colour=red", "Invalid filter 'colour'"),
    ("image", "dangling=x", "Invalid filter 'dangling=[true x]'"),
    ("network", "name=x", "Invalid filter 'name'"),
    ("volume", "dangling=true", "Invalid filter 'dangling'"),
    ("builder", "colour=red", "Invalid filter 'colour'"),
]


@pytest.mark.parametrize(("noun", "filters", "words"), BAD, ids=[f"{row[0]} {row[1]}" for row in BAD])
def test_bad_filters(stack: Stack, docker: Docker, cli: str, noun: str, filters: str, words: str) -> None:
    with Unchanged(stack):
        done = Docker(stack, "alice", Client(cli))(noun, "prune", "-f", "--filter", filters, check=False)
    assert done.code == 1 and words in done.said, done


def test_system_prune(stack: Stack, docker: Docker, cli: str) -> None:
    client = Docker(stack, "alice", Client(cli))
    since = str(time.time())
    docker("run", "--name", "done", "-v", "/free", "-v", "data:/d", "busybox", "sh", "-c", "echo x > /x")
    docker("run", "-d", "--name", "runs", "-v", "busy:/d", "busybox", "sleep", "600")
    pruned = client("system", "prune", "-f").text
    assert pruned.startswith("Deleted Containers:\n") and "Total reclaimed space: 2B" in pruned
    assert containers(docker) == ["runs"] and len(names(docker)) == 3
    client("system", "prune", "-f", "--volumes")
    # Below 1.42 a prune takes named ones too.
    assert names(docker) == (["busy"] if cli == "20" else ["busy", "data"])
    words = ("--since", since, "--filter", "event=prune", "--format", "{{.Type}}", "--until")
    wait_until(
        lambda: {"container", "volume"} <= set(docker("events", *words, str(time.time())).text.split()), "both prunes"
    )
