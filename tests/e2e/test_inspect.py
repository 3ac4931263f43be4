"""`docker inspect` of containers: fields, sizes, and how a container may be named."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.behind import ask, message
from tests.e2e.stack import Stack


@pytest.fixture(scope="module")
def ids(stack: Stack) -> Iterator[list[str]]:
    """Enough of alice's containers for two ids to begin alike; the first one, `web`, runs with many options."""
    stack.remove_all("alice")
    web = stack.docker(
        "alice", "run", "-d", "--name", "web", "-e", "A=1", "-l", "k=v", "-p", "8082:80", "-v", "data:/data", "-v",
        "/anon", "-m", "64m", "--health-cmd", "true", "--tmpfs", "/t", "-w", "/w", "busybox", "sleep", "600",
    ).text.strip()  # fmt: skip
    others = [
        stack.request("alice", "POST", "/containers/create", {"Image": "busybox"}).json()["Id"] for _ in range(17)
    ]
    yield [web, *others]
    stack.remove_all("alice")


def inspect(stack: Stack, name: str, **how: Any) -> dict[str, Any]:
    return json.loads(stack.docker("alice", "inspect", name, **how).text)[0]


def test_fields(stack: Stack, ids: list[str], cli: str) -> None:
    seen = inspect(stack, "web", cli=cli)
    engine = stack.engine_container(ids[0])
    assert engine is not None
    assert (seen["Id"], seen["Name"], seen["Driver"], seen["Platform"]) == (ids[0], "/web", "sdc", "linux")
    assert (seen["Path"], seen["Args"]) == ("sleep", ["600"])
    assert seen["State"]["Status"] == "running" and seen["State"]["Pid"] > 0 and seen["State"]["StartedAt"] > "2"
    assert seen["State"]["Health"]["Status"] in ("starting", "healthy")
    assert seen["Image"] == engine["Image"]
    config = seen["Config"]
    assert (config["Image"], config["Hostname"], config["WorkingDir"]) == ("busybox", ids[0][:12], "/w")
    assert "A=1" in config["Env"] and config["Labels"] == {"k": "v"}
    host = seen["HostConfig"]
    assert host["Memory"] == 64 << 20 and host["Binds"] == ["data:/data"] and host["Tmpfs"] == {"/t": ""}
    assert host["NetworkMode"] == "default"
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8082"}]}
    assert host["CgroupParent"] == ""
    mounts = {mount["Destination"]: mount for mount in seen["Mounts"]}
    assert mounts["/data"] == {
        "Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data", "Destination": "/data",
        "Driver": "local", "Mode": "z", "RW": True, "Propagation": "",
    } | {"Mode": mounts["/data"]["Mode"]}  # fmt: skip
    assert len(mounts["/anon"]["Name"]) == 64
    settings = seen["NetworkSettings"]
    assert settings["Ports"] == {"80/tcp": [{"HostIp": stack.node_address, "HostPort": "8082"}]}
    network = settings["Networks"]["bridge"]
    assert network["IPAddress"] == settings["IPAddress"] == engine_address(engine)
    assert network["NetworkID"] == stack.psql("SELECT n.id FROM networks n JOIN accounts a ON a.id = n.account_id "
                                              "WHERE a.login = 'alice'")[0][0]  # fmt: skip


def engine_address(engine: dict[str, Any]) -> str:
    (network,) = engine["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def test_nothing_of_the_node_is_told(stack: Stack, ids: list[str]) -> None:
    for version in ("1.20", "1.24", "1.44"):
        seen = ask(stack, "alice", "GET", f"/v{version}/containers/web/json?size=1").json()
        assert seen["LogPath"] == seen["HostsPath"] == seen["ResolvConfPath"] == seen["HostnamePath"] == ""
        assert seen["GraphDriver"]["Data"] is None
        assert not any(key.startswith("sdc.") for key in seen["Config"]["Labels"])


def test_sizes(stack: Stack, ids: list[str], cli: str) -> None:
    stack.docker("alice", "exec", "web", "sh", "-c", "head -c 50000 /dev/zero > /file")
    sized = inspect(stack, "web", cli=cli) | json.loads(stack.docker("alice", "inspect", "-s", "web", cli=cli).text)[0]
    assert sized["SizeRw"] >= 50_000 and sized["SizeRootFs"] > sized["SizeRw"]
    assert "SizeRw" not in inspect(stack, "web", cli=cli)


def test_names_ids_and_prefixes(stack: Stack, ids: list[str], cli: str) -> None:
    for name in ("web", "/web", ids[0], ids[0][:12], ids[0][:10]):
        assert inspect(stack, name, cli=cli)["Id"] == ids[0], name
    shown = stack.docker("alice", "inspect", "-f", "{{.State.Status}} {{.Name}}", "web", ids[1], cli=cli).text
    assert shown.split() == ["running", "/web", "created", inspect(stack, ids[1])["Name"]]


def test_ambiguous_prefix(stack: Stack, ids: list[str]) -> None:
    shared = next(a[0] for a, b in itertools.pairwise(sorted(ids)) if a[0] == b[0])
    response = ask(stack, "alice", "GET", f"/containers/{shared}/json")
    # The engine's status and words (20.10: 404).
    assert (response.status, message(response)) == (404, f"Multiple IDs found with provided prefix: {shared}")


@pytest.mark.parametrize("name", ["nosuch", "0" * 64, "%", "_eb", "WEB", "we", "web ", "-", "a" * 500])
def test_unknown(stack: Stack, ids: list[str], name: str) -> None:
    response = ask(stack, "alice", "GET", f"/containers/{name.replace('%', '%25').replace(' ', '%20')}/json")
    assert (response.status, message(response)) == (404, f"No such container: {name}")


def test_unknown_by_the_cli(stack: Stack, ids: list[str], cli: str) -> None:
    done = stack.docker("alice", "inspect", "--type", "container", "nosuch", "web", cli=cli, check=False)
    assert done.code == 1
    assert [seen["Name"] for seen in json.loads(done.text)] == ["/web"]
    assert "No such container: nosuch" in done.said


def test_of_any_kind(stack: Stack, ids: list[str], cli: str) -> None:
    """Without a type the client asks for one after the other; another account has none of it."""
    stack.docker("alice", "volume", "create", "looked-at")
    stack.docker("alice", "network", "create", "seen-net")
    try:
        found = json.loads(stack.docker("alice", "inspect", "web", "busybox", "seen-net", "looked-at", cli=cli).text)
        container, image, network, volume = found
        assert container["Name"] == "/web" and "busybox:latest" in image["RepoTags"]
        assert network["Driver"] == "bridge" and volume["Mountpoint"].endswith("/looked-at/_data")
        for kind, name in (("image", "busybox"), ("network", "seen-net"), ("volume", "looked-at")):
            field = "{{.Mountpoint}}" if kind == "volume" else "{{.Id}}"
            typed, untyped = (
                stack.docker("alice", "inspect", *words, "-f", field, name, cli=cli).text
                for words in (("--type", kind), ())
            )
            assert typed == untyped
        for name in ("web", ids[0], "seen-net", network["Id"], "looked-at", "nosuch"):
            done = stack.docker("bob", "inspect", name, cli=cli, check=False)
            assert (done.code, done.text.strip()) == (1, "[]") and f"No such object: {name}" in done.said
    finally:
        stack.docker("alice", "volume", "rm", "looked-at")
        stack.docker("alice", "network", "rm", "seen-net")


def test_a_name_wins_over_an_id_prefix(stack: Stack, ids: list[str]) -> None:
    prefix = ids[0][:8]
    stack.docker("alice", "create", "--name", prefix, "busybox")
    assert inspect(stack, prefix)["Name"] == f"/{prefix}"
    stack.docker("alice", "rm", prefix)
    assert inspect(stack, prefix)["Name"] == "/web"


def test_versions_differ_as_docker_has_it(stack: Stack, ids: list[str]) -> None:
    old = ask(stack, "alice", "GET", "/v1.20/containers/web/json").json()
    new = ask(stack, "alice", "GET", "/v1.44/containers/web/json").json()
    assert "Networks" not in old["NetworkSettings"] and old["NetworkSettings"]["IPAddress"]
    assert old["NetworkSettings"]["IPAddress"] == new["NetworkSettings"]["IPAddress"]
    assert new["NetworkSettings"]["Networks"]["bridge"]["DNSNames"] is None
