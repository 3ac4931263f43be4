"""docker wait, and POST /containers/{id}/wait."""

from __future__ import annotations

import json

import pytest

from tests.e2e.clients import Client, Docker, every_client
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire, unchunked
from tests.machine import wait_until


def answer(wire: Wire) -> dict:
    return json.loads(unchunked(wire.rest()))


@every_client
def test_exit_codes_of_several_containers(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    codes = (3, 0, 255)
    made = [docker.container("run", "-d", "busybox", "sh", "-c", f"sleep 0.5; exit {code}") for code in codes]

    assert docker("wait", *made).text == "".join(f"{code}\n" for code in codes)
    # What has ended is told at once, again and again.
    assert docker("wait", made[0]).text == "3\n"


@every_client
def test_after_the_answer_nobody_sees_it_run(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)

    for code in range(3):
        container = docker.container("run", "-d", "busybox", "sh", "-c", f"sleep 0.3; exit {code}")
        with Wire(stack, alice) as wire:
            wire.send("POST", f"/v{client.api or 1.41}/containers/{container}/wait")
            wire.head()
            assert answer(wire)["StatusCode"] == code
            listed = docker.call("GET", "/containers/json").json()
        assert listed == [], "still in the list of what runs"
        assert docker.state(container) == "exited"


@pytest.mark.parametrize("api", ["1.44", "1.25"])
def test_one_that_has_removed_itself_before(stack: Stack, alice: str, api: str) -> None:
    """As for a client that starts a container and waits for it next."""
    docker = Docker(stack, alice)
    container = docker.container("create", "--rm", "busybox", "sh", "-c", "exit 7")
    docker("start", container)
    wait_until(lambda: docker("ps", "-aq").text == "", "its removal")

    done = stack.request(alice, "POST", f"/v{api}/containers/{container}/wait")
    assert (done.status, done.json()) == (200, {"StatusCode": 7})


@pytest.mark.parametrize("api", ["1.44", "1.41", "1.30", "1.24", "1.20"])
def test_the_head_comes_at_once(stack: Stack, alice: str, api: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "busybox", "sleep", "600")

    with Wire(stack, alice) as wire:
        wire.send("POST", f"/v{api}/containers/{container}/wait")
        # While it runs, which it does for ten minutes.
        status, headers = wire.head()
        assert (status, headers["Content-Type"]) == ("200 OK", "application/json")
        assert wire.silent(0.5)
        docker("kill", container)
        assert answer(wire)["StatusCode"] == 137


def test_conditions(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "busybox", "sh", "-c", "sleep 0.5; exit 4")
    path = f"/v1.44/containers/{container}/wait"

    # It is not running: that is so, whatever comes.
    assert docker.call("POST", f"{path}?condition=not-running").json() == {"StatusCode": 0}
    assert docker.call("POST", path).json() == {"StatusCode": 0}

    with Wire(stack, alice) as exits, Wire(stack, alice) as goes:
        exits.send("POST", f"{path}?condition=next-exit")
        goes.send("POST", f"{path}?condition=removed")
        exits.head()
        goes.head()
        assert exits.silent(0.5)
        docker("start", container)
        assert answer(exits) == {"StatusCode": 4}
        assert docker.state(container) == "exited"
        assert goes.silent(0.5)
        docker("rm", container)
        assert answer(goes) == {"StatusCode": 4}
        assert docker.call("GET", f"/containers/{container}/json").status == 404


def test_next_exit_of_what_has_ended_waits_for_the_next(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container(
        "create", "busybox", "sh", "-c", "if [ -e /again ]; then exit 6; fi; touch /again; exit 5"
    )
    docker("start", container)
    assert docker("wait", container).text == "5\n"

    with Wire(stack, alice) as wire:
        wire.send("POST", f"/v1.44/containers/{container}/wait?condition=next-exit")
        wire.head()
        assert wire.silent(0.5)
        docker("start", container)
        wire_answer = answer(wire)

    assert wire_answer == {"StatusCode": 6}


def test_removed_of_an_rm_container(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    script = "while [ ! -e /go ]; do sleep 0.1; done; exit 8"
    container = docker.container("run", "-d", "--rm", "busybox", "sh", "-c", script)

    with Wire(stack, alice) as wire:
        wire.send("POST", f"/v1.44/containers/{container}/wait?condition=removed")
        wire.head()
        docker("exec", container, "touch", "/go")
        assert answer(wire) == {"StatusCode": 8}
        assert docker.call("GET", "/containers/json?all=1").json() == []
        assert docker.call("GET", f"/containers/{container}/json").status == 404


def test_an_unknown_condition(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "busybox")

    refused = docker.call("POST", f"/v1.44/containers/{container}/wait?condition=sometime")
    assert (refused.status, refused.json()) == (400, {"message": 'invalid condition: "sometime"'})
    # Below 1.30 there is no condition, and nobody reads it.
    assert docker.call("POST", f"/v1.29/containers/{container}/wait?condition=sometime").status == 200


def test_a_client_that_goes_away_leaves_no_trace(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "busybox", "sleep", "600")
    for _ in range(5):
        with Wire(stack, alice) as wire:
            wire.send("POST", f"/v1.44/containers/{container}/wait")
            wire.head()

    docker("kill", container)

    assert docker("wait", container).text == "137\n"
    assert docker.state(container) == "exited"


@every_client
def test_another_accounts_container_is_not_there(stack: Stack, alice: str, bob: str, client: Client) -> None:
    container = Docker(stack, alice).container("run", "-d", "--name", "secret", "busybox", "sh", "-c", "exit 3")

    for name in (container, "secret", "nobody"):
        said = Docker(stack, bob, client)("wait", name, check=False)
        assert (said.code, said.stdout) == (1, b"")
        assert said.said == f"Error response from daemon: No such container: {name}\n"
    assert Docker(stack, alice, client)("wait", "secret").text == "3\n"
