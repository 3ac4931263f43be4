"""docker stats."""

from __future__ import annotations

import json
import time

from tests.e2e.behind import ask, message
from tests.e2e.clients import Client, Docker, every_client, read_until
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire


@every_client
def test_one_sample(stack: Stack, alice: str, bob: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    first = docker.container("run", "-d", "--name", "one", "-m", "64m", "busybox", "sleep", "600")
    docker("run", "-d", "--name", "two", "busybox", "sleep", "600")
    Docker(stack, bob, client)("run", "-d", "--name", "his", "busybox", "sleep", "600")
    shown = docker("stats", "--no-stream", timeout=20).text
    # Of names a client of 1.20 is told nothing.
    assert (first[:12] in shown) == (client.api != "1.20") and "64MiB" in shown and "his" not in shown
    assert len(shown.splitlines()) == 3
    assert docker("stats", "--no-stream", "his", check=False).code != 0 or client.api is not None


def test_the_stream_and_its_shapes(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "--name", "one", "busybox", "sleep", "600")
    once = ask(stack, alice, "GET", f"/v1.41/containers/{container}/stats?stream=0&one-shot=1", timeout=5).json()
    assert (once["name"], once["id"]) == ("/one", container)
    assert once["memory_stats"]["limit"] == 1 << 30 and once["pids_stats"]["current"] == 1
    assert set(once["networks"]) == {"eth0"} and once["cpu_stats"]["online_cpus"] >= 1

    oldest = stack.request(alice, "GET", f"/v1.20/containers/{container}/stats?stream=0", timeout=10).json()
    assert "networks" not in oldest and oldest["network"]["rx_bytes"] >= 0
    assert not {"name", "id", "pids_stats", "preread"} & set(oldest)

    with Wire(stack, alice) as wire:
        began = time.monotonic()
        wire.send("GET", f"/v1.41/containers/{container}/stats")
        status, headers = wire.head(timeout=2)
        assert (status, headers["Content-Type"]) == ("200 OK", "application/json")
        samples = [json.loads(wire.read(b"}\n", timeout=5).partition(b"\r\n")[2]) for _ in range(1)]
        wire.read(b'"read":"', timeout=5)
        assert samples[0]["id"] == container and time.monotonic() - began < 5

    both = ask(stack, alice, "GET", f"/containers/{container}/stats?stream=1&one-shot=1")
    assert (both.status, message(both)) == (400, "cannot have stream=true and one-shot=true")
    theirs = ask(stack, bob, "GET", "/containers/one/stats?stream=0")
    assert (theirs.status, message(theirs)) == (404, "No such container: one")
    docker("kill", container)
    ended = stack.request(alice, "GET", f"/containers/{container}/stats?stream=0", timeout=10).json()
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
            assert wire.head(timeout=10)[0] == "200 OK"
        began = time.monotonic()
        docker("ps")
        assert time.monotonic() - began < 3
        for wire in wires:
            wire.read(b'"id":"', timeout=10)
    finally:
        for wire in wires:
            wire.__exit__()


def test_following_shows_those_that_come(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    with docker.background("stats", "--format", "{{.Name}}", bufsize=0) as process:
        time.sleep(0.5)
        docker("run", "-d", "--name", "comes-later", "busybox", "sleep", "600")
        read_until(process, b"comes-later", timeout=15)
