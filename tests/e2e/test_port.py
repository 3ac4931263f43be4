"""docker port, and the fields of `docker ps --format`."""

from __future__ import annotations

import json

from tests.e2e.clients import Client, Docker, every_client
from tests.e2e.stack import Stack
from tests.machine import wait_until


@every_client
def test_port(stack: Stack, alice: str, bob: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container(
        "run", "-d", "--name", "ports", "-p", "18080:80", "-p", "53/udp", "busybox", "sleep", "600"
    )
    shown = docker("port", "ports").text.splitlines()
    assert f"80/tcp -> {stack.node_address}:18080" in shown
    assert docker("port", container, "80").text.split() == [f"{stack.node_address}:18080"]
    assert docker("port", container, "53/udp").text.startswith(f"{stack.node_address}:")
    refused = docker("port", container, "81", check=False)
    assert refused.code != 0 and "81" in refused.said
    assert Docker(stack, bob, client)("port", "ports", check=False).code != 0


def test_every_field_of_ps(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container(
        "run", "-d", "--name", "fields", "--label", "a=b", "-v", "fields-data:/data", "-v", "/anon", "-p", "18081:80",
        "busybox", "sh", "-c", "echo 12345 >/size; sleep 600",
    )  # fmt: skip
    look = ("exec", "fields", "cat", "/size")
    wait_until(lambda: docker(*look, check=False).text == "12345\n", "what it writes")
    fields = [
        "ID",
        "Image",
        "Command",
        "CreatedAt",
        "RunningFor",
        "Ports",
        "State",
        "Status",
        "Size",
        "Names",
        "Labels",
        "Mounts",
        "LocalVolumes",
        "Networks",
    ]
    shape = "{" + ",".join(f'"{field}":{{{{json .{field}}}}}' for field in fields) + "}"
    shown = json.loads(docker("ps", "--no-trunc", "--size", "--format", shape).text)
    assert (shown["ID"], shown["Image"], shown["Names"]) == (container, "busybox", "fields")
    assert shown["Command"] == "\"sh -c 'echo 12345 >/size; sleep 600'\""
    assert shown["RunningFor"].endswith("ago") and shown["Status"].startswith("Up") and shown["State"] == "running"
    assert shown["Ports"] == f"{stack.node_address}:18081->80/tcp" and shown["Labels"] == "a=b"
    assert shown["Networks"] == "bridge" and shown["LocalVolumes"] == "2"
    assert "fields-data" in shown["Mounts"].split(",") and len(shown["Mounts"].split(",")) == 2
    assert "(virtual " in shown["Size"] and shown["Size"].split()[0] != "0B"
    assert "SizeRw" in stack.request(alice, "GET", f"/containers/{container}/json?size=1").json()
    docker("rm", "-fv", container)
    docker("volume", "rm", "fields-data", check=False)
