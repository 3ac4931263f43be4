"""docker pause and unpause."""

from __future__ import annotations

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.clients import Client, Docker, every_client
from tests.e2e.stack import Stack


@every_client
def test_pause(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    first = docker.container("run", "-d", "--name", "first", "busybox", "sleep", "600")
    docker("run", "-d", "--name", "second", "busybox", "sleep", "600")
    assert docker("pause", "first", "second").text.split() == ["first", "second"]
    assert "(Paused)" in docker("ps", "--filter", "status=paused", "--format", "{{.Status}}").text
    assert docker("inspect", "-f", "{{.State.Paused}} {{.State.Running}}", first).text.split() == ["true", "true"]
    refused = docker("exec", "first", "true", check=False)
    assert refused.code != 0 and "is paused, unpause the container before exec" in refused.said
    docker("unpause", "first")
    assert docker("exec", "first", "echo", "goes on").text == "goes on\n"
    docker("kill", "second", check=False)
    docker("rm", "-f", "second")


def test_refusals(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    runs = docker.container("run", "-d", "--name", "runs", "busybox", "sleep", "600")
    paused = docker.container("run", "-d", "busybox", "sleep", "600")
    created = docker.container("create", "busybox")
    docker("pause", paused)
    cases = [
        (paused, "pause", 409, f"Container {paused} is already paused"),
        (created, "pause", 409, f"Container {created} is not running"),
        (created, "unpause", 409, f"Container {created} is not paused"),
        (runs, "unpause", 409, f"Container {runs} is not paused"),
        ("nosuch", "pause", 404, "No such container: nosuch"),
    ]
    with Unchanged(stack):
        for name, action, status, words in cases:
            answer = ask(stack, alice, "POST", f"/containers/{name}/{action}")
            assert (answer.status, message(answer)) == (status, words)
        for action in ("pause", "unpause"):
            for name in ("runs", runs):
                answer = ask(stack, bob, "POST", f"/containers/{name}/{action}", typed=name)
                assert (answer.status, message(answer)) == (404, f"No such container: {name}")
