"""docker stats."""

from __future__ import annotations

import json

from tests.e2e.behind import ask, message
from tests.e2e.clients import Client, Docker, every_client, read_until
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire
from tests.machine import wait_until


@every_client
def test_one_sample(stack: Stack, alice: str, bob: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    first = docker.container("run", "-d", "--name", "one", "-m", "64m", "busybox", "sleep", "600")
    docker("run", "-d", "--name", "two", "busybox", "sleep", "600")
    Docker(stack, bob, client)("run", "-d", "--name", "his", "busybox", "sleep", "600")
    shown = ""

    def all_told() -> bool:
        nonlocal shown
        shown = docker("stats", "--no-stream").text
        return "-- / --" not in shown

    # A client waits for two seconds, and shows what it has not got by then as "-- / --".
    wait_until(all_told, "a sample of each")
    # Of names a client of 1.20 is told nothing.
    assert (first[:12] in shown) == (client.api != "1.20") and "64MiB" in shown and "his" not in shown
    assert len(shown.splitlines()) == 3
    assert docker("stats", "--no-stream", "his", check=False).code != 0 or client.api is not None


def test_the_stream_and_its_shapes(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "--name", "one", "busybox", "sleep", "600")

    def one_shot() -> dict:
        return ask(stack, alice, "GET", f"/v1.41/containers/{container}/stats?stream=0&one-shot=1").json()

    # What starts a process has several threads until it is that process.
    wait_until(lambda: one_shot()["pids_stats"]["current"] == 1, "its process alone")
    once = one_shot()
    assert (once["name"], once["id"]) == ("/one", container)
    assert once["memory_stats"]["limit"] == 1 << 30
    assert set(once["networks"]) == {"eth0"} and once["cpu_stats"]["online_cpus"] >= 1

    oldest = stack.request(alice, "GET", f"/v1.20/containers/{container}/stats?stream=0").json()
    assert "networks" not in oldest and oldest["network"]["rx_bytes"] >= 0
    assert not {"name", "id", "pids_stats", "preread"} & set(oldest)

    with Wire(stack, alice) as wire:
        wire.send("GET", f"/v1.41/containers/{container}/stats")
        status, headers = wire.head()
        assert (status, headers["Content-Type"]) == ("200 OK", "application/json")
        sample = json.loads(wire.read(b"}\n").partition(b"\r\n")[2])
        wire.read(b'"read":"')
        assert sample["id"] == container

    both = ask(stack, alice, "GET", f"/containers/{container}/stats?stream=1&one-shot=1")
    assert (both.status, message(both)) == (400, "cannot have stream=true and one-shot=true")
    theirs = ask(stack, bob, "GET", "/containers/one/stats?stream=0")
    assert (theirs.status, message(theirs)) == (404, "No such container: one")
    docker("kill", container)
    ended = stack.request(alice, "GET", f"/containers/{container}/stats?stream=0").json()
    assert "networks" not in ended and ended["name"] == "/one"


def test_more_streams_than_threads(stack: Stack, alice: str) -> None:
    """A stream holds no thread: with all of them open, others are answered as before."""
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "busybox", "sleep", "600")
    wires = [Wire(stack, alice) for _ in range(40)]
    try:
        for wire in wires:
            wire.send("GET", f"/v1.41/containers/{container}/stats")
        for wire in wires:
            assert wire.head()[0] == "200 OK"
        # None of them ends by itself.
        docker("ps")
        for wire in wires:
            wire.read(b'"id":"')
    finally:
        for wire in wires:
            wire.__exit__()


def test_following_shows_those_that_come(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    docker("run", "-d", "--name", "was-there", "busybox", "sleep", "600")
    with docker.background("stats", "--format", "{{.Name}}", bufsize=0) as process:
        read_until(process, b"was-there")
        docker("run", "-d", "--name", "comes-later", "busybox", "sleep", "600")
        read_until(process, b"comes-later")
