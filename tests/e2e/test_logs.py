"""docker logs."""

from __future__ import annotations

import re
import time

import pytest

from tests.e2e.clients import NEWEST, Client, Docker, every_client, read_until, two_clients
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire, frames, unchunked
from tests.machine import wait_until

NANOSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def ended(docker: Docker, *words: str) -> str:
    """The id of a container that has run to its end."""
    container = docker.container("run", "-d", *words)
    docker("wait", container)
    return container


def everything(docker: Docker, container: str) -> bytes:
    """All of its output so far."""
    said = docker("logs", container)
    return said.stdout + said.stderr


@every_client
def test_logs_of_a_stopped_container(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    # The engine reads the two outputs apart: only what it has read already is before what comes next.
    script = "next() { while [ ! -e /$1 ]; do sleep 0.1; done; }; echo out 1; echo err 1 >&2; echo out 2; "
    script += "echo err 2 >&2; next a; echo out 3; next b; echo err 3 >&2"
    container = docker.container("run", "-d", "busybox", "sh", "-c", script)
    for go, there in (("a", b"err 2\n"), ("b", b"out 3\n")):
        wait_until(lambda there=there: there in everything(docker, container), f"{there!r}")  # type: ignore[misc]
        docker("exec", container, "touch", f"/{go}")
    docker("wait", container)

    said = docker("logs", container)
    assert said.text == "out 1\nout 2\nout 3\n"
    assert said.said == "err 1\nerr 2\nerr 3\n"

    assert docker("logs", "--tail", "0", container).text == ""
    last = docker("logs", "--tail", "2", container)
    assert (last.text, last.said) == ("out 3\n", "err 3\n")
    assert docker("logs", "--tail", "all", container).text == said.text

    stamped = docker("logs", "-t", container).text.splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == said.text.splitlines()
    assert all(NANOSECONDS.fullmatch(line.split(" ")[0]) for line in stamped)

    # Following what has ended ends.
    assert docker("logs", "-f", container).text == said.text


@every_client
def test_since_and_until(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = ended(docker, "busybox", "sh", "-c", "echo early; sleep 1.2; echo late")
    stamps = [line.split()[0] for line in docker("logs", "-t", container).text.splitlines()]

    assert docker("logs", "--since", stamps[1], container).text == "late\n"
    assert docker("logs", "--since", stamps[0], container).text == "early\nlate\n"
    assert docker("logs", "--since", "1h", container).text == "early\nlate\n"
    assert docker("logs", "--since", str(int(time.time()) + 60), container).text == ""
    if client.api is None:  # `until` is of API 1.35
        assert docker("logs", "--until", stamps[0], container).text == "early\n"
        assert docker("logs", "--since", stamps[0], "--until", stamps[0], container).text == "early\n"
        assert docker("logs", "--until", "1h", container).text == ""


@every_client
def test_following_is_live_and_ends_with_the_container(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    script = "echo first; while [ ! -e /go ]; do sleep 0.1; done; echo second; echo other >&2"
    container = docker.container("run", "-d", "busybox", "sh", "-c", script)

    with docker.background("logs", "-f", container, bufsize=0) as process:
        read_until(process, b"first\n")
        docker("exec", container, "touch", "/go")
        read_until(process, b"second\n")
        assert process.wait(30) == 0
        assert process.stderr.read() == b"other\n"


@two_clients
def test_following_from_the_last_lines(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    script = "echo 1; echo 2; echo 3; while [ ! -e /go ]; do sleep 0.1; done; echo 4"
    container = docker.container("run", "-d", "busybox", "sh", "-c", script)
    wait_until(lambda: docker("logs", container).text == "1\n2\n3\n", "the first lines")

    with docker.background("logs", "-f", "--tail", "1", container, bufsize=0) as process:
        assert read_until(process, b"3\n") == b"3\n"
        docker("exec", container, "touch", "/go")
        assert read_until(process, b"4\n") == b"4\n"
        assert process.wait(30) == 0


def test_following_goes_on_over_a_restart(stack: Stack, alice: str) -> None:
    """Docker's `logs -f` ends with the container's end, and a new one shows both runs."""
    docker = Docker(stack, alice)
    container = ended(docker, "busybox", "echo", "run")
    docker("start", container)
    docker("wait", container)

    assert docker("logs", "-f", container).text == "run\nrun\n"


@two_clients
def test_logs_of_a_terminal(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = ended(docker, "-t", "busybox", "sh", "-c", "echo out; echo err >&2")

    said = docker("logs", container)

    assert (said.stdout, said.stderr) == (b"out\r\nerr\r\n", b"")


def test_a_long_log_is_whole(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = ended(docker, "busybox", "seq", "200000")

    assert docker("logs", container).text == "".join(f"{n}\n" for n in range(1, 200001))


@pytest.mark.parametrize("driver", ["none", "local", "json-file"])
def test_log_drivers(stack: Stack, alice: str, driver: str) -> None:
    docker = Docker(stack, alice)
    container = ended(docker, "--log-driver", driver, "busybox", "echo", "line")

    said = docker("logs", container, check=False)

    if driver == "none":
        assert said.code == 1
        assert said.said == "Error response from daemon: configured logging driver does not support reading\n"
    else:
        assert (said.code, said.text) == (0, "line\n")


def test_details_are_the_tenants_own(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    words = ["--log-opt", "labels=tier", "--log-opt", "env=STAGE", "--label", "tier=web", "-e", "STAGE=test"]
    container = ended(docker, *words, "busybox", "echo", "line")

    assert docker("logs", "--details", container).text == "STAGE=test,tier=web line\n"
    assert docker("logs", container).text == "line\n"


@pytest.mark.parametrize(
    "option", ["labels=sdc.account,sdc.container,sdc.op,sdc.name,sdc.fleet", "labels-regex=^sdc", "labels-regex=."]
)
def test_details_show_nothing_of_ours(stack: Stack, alice: str, option: str) -> None:
    docker = Docker(stack, alice)

    said = docker("create", "--log-opt", option, "busybox", "echo", "line", check=False)

    assert said.code == 1 and "logging reserved labels" in said.said, said
    assert docker("ps", "-aq").text == ""


def test_details_by_pattern(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    words = ["--log-opt", "labels-regex=^(tier|stage)$", "--label", "tier=web", "--label", "other=1"]
    container = ended(docker, *words, "busybox", "echo", "line")

    assert docker("logs", "--details", container).text == "tier=web line\n"


@pytest.mark.parametrize(
    ("api", "tty", "media_type"),
    [
        ("1.44", False, "application/vnd.docker.multiplexed-stream"),
        ("1.42", False, "application/vnd.docker.multiplexed-stream"),
        ("1.41", False, "application/vnd.docker.raw-stream"),
        ("1.20", False, "application/vnd.docker.raw-stream"),
        ("1.44", True, "application/vnd.docker.raw-stream"),
        ("1.41", True, "application/vnd.docker.raw-stream"),
    ],
)
def test_media_type_and_framing(stack: Stack, alice: str, api: str, tty: bool, media_type: str) -> None:
    container = ended(Docker(stack, alice), *(["-t"] if tty else []), "busybox", "echo", "line")

    with Wire(stack, alice) as wire:
        wire.send("GET", f"/v{api}/containers/{container}/logs?stdout=1&stderr=1")
        status, headers = wire.head()
        body = unchunked(wire.rest())

    assert (status, headers["Content-Type"]) == ("200 OK", media_type)
    assert body == b"line\r\n" if tty else frames(body) == {1: b"line\n"}


def test_bad_requests(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = ended(docker, "busybox", "echo", "line")

    def refused(query: str, status: int, words: str) -> None:
        answer = docker.call("GET", f"/containers/{container}/logs{query}")
        assert (answer.status, answer.json()["message"]) == (status, words), answer

    refused("", 400, "Bad parameters: you must choose at least one stream")
    refused("?stdout=0&stderr=false", 400, "Bad parameters: you must choose at least one stream")
    for query in ("since=yesterday", "until=1e400"):
        answer = docker.call("GET", f"/containers/{container}/logs?stdout=1&{query}")
        assert answer.status == 400 and answer.json()["message"], answer
    # Docker takes a tail that is not a number for all of them.
    with_tail = docker.call("GET", f"/containers/{container}/logs?stdout=1&tail=x")
    assert frames(with_tail.body) == {1: b"line\n"}


@two_clients
def test_another_accounts_logs_are_not_there(stack: Stack, alice: str, bob: str, client: Client) -> None:
    mine = Docker(stack, alice, client)
    container = ended(mine, "--name", "secret", "busybox", "echo", "secret")

    for name in (container, container[:12], "secret"):
        said = Docker(stack, bob, client)("logs", name, check=False)
        assert (said.code, said.stdout) == (1, b"")
        assert said.said.endswith(f": No such container: {name}\n")
        unknown = Docker(stack, bob, NEWEST).call("GET", f"/containers/{name}/logs?stdout=1")
        assert (unknown.status, unknown.json()) == (404, {"message": f"No such container: {name}"})
    assert mine("logs", "secret").text == "secret\n"
