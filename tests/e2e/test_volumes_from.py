"""docker run --volumes-from: named, anonymous and the image's volumes, read-only or not, and what the source leaves."""

from __future__ import annotations

import json

import pytest

from tests.e2e.behind import ask, message
from tests.e2e.clients import Client, Docker
from tests.e2e.stack import Stack
from tests.e2e.test_volume import clean, names


@pytest.fixture
def docker(stack: Stack, alice: str, cli: str) -> Docker:
    clean(stack)
    return Docker(stack, alice, Client(cli))


def mounts(docker: Docker, name: str) -> dict[str, dict]:
    return {m["Destination"]: m for m in json.loads(docker("inspect", "-f", "{{json .Mounts}}", name).stdout)}


def test_named_and_anonymous(docker: Docker) -> None:
    docker(
        "run",
        "--name",
        "source",
        "-v",
        "data:/named",
        "-v",
        "/free",
        "busybox",
        "sh",
        "-c",
        "echo n>/named/f; echo a>/free/f",
    )
    look = ("busybox", "sh", "-c", "cat /named/f /free/f; touch /named/new /free/new && echo written")
    assert docker("run", "--rm", "--volumes-from", "source", *look).text == "n\na\nwritten\n"
    read_only = docker("run", "--rm", "--volumes-from", "source:ro", *look, check=False)
    assert read_only.text == "n\na\n" and "Read-only file system" in read_only.said
    docker("create", "--name", "heir", "--volumes-from", "source:rw", "busybox", "cat", "/named/f", "/free/f")
    source, heir = mounts(docker, "source"), mounts(docker, "heir")
    assert {place: m["Name"] for place, m in heir.items()} == {place: m["Name"] for place, m in source.items()}
    assert heir["/named"]["Source"] == "/var/lib/docker/volumes/data/_data"
    assert docker("inspect", "-f", "{{.HostConfig.VolumesFrom}}", "heir").text == "[source]\n"
    # Both are the heir's now, whatever becomes of the source.
    docker("rm", "-v", "source")
    assert len(names(docker)) == 2 == len(names(docker, "dangling=false"))
    assert docker("start", "-a", "heir").text == "n\na\n"
    refused = docker("volume", "rm", "data", check=False)
    assert refused.code == 1 and "volume is in use" in refused.said
    docker("rm", "-v", "heir")
    assert names(docker) == ["data"]


def test_two_sources_and_ones_own(docker: Docker) -> None:
    for name in ("one", "two"):
        docker("run", "--name", name, "-v", f"{name}:/d", "busybox", "sh", "-c", f"echo {name} > /d/f")
    look = ("busybox", "cat", "/d/f")
    assert docker("run", "--rm", "--volumes-from", "one", "--volumes-from", "two", *look).text == "two\n"
    assert docker("run", "--rm", "--volumes-from", "one", "-v", "two:/d", *look).text == "two\n"


def test_refused(stack: Stack, docker: Docker, bob: str) -> None:
    docker("create", "--name", "hers", "-v", "/free", "busybox", "true")
    for account, source, words in (
        ("alice", "nosuch", "No such container: nosuch"),
        ("bob", "hers", "No such container: hers"),
        ("alice", "hers:zz", "invalid mode: zz"),
        ("alice", "", "volumes-from specification cannot be an empty string"),
    ):
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"VolumesFrom": [source]}}
        refused = ask(stack, account, "POST", "/v1.44/containers/create", body)
        assert refused.status == 400 and words in message(refused), refused.body
