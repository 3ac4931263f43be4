"""docker attach and docker start -a, and POST /containers/{id}/attach."""

from __future__ import annotations

import pytest

from tests.e2e.clients import Client, Docker, every_client, read_until, two_clients
from tests.e2e.stack import Stack
from tests.e2e.terminal import DETACH
from tests.e2e.wire import UPGRADE, Wire, frames
from tests.machine import wait_until

ECHO = 'while read -r line; do echo "got $line"; echo "err $line" >&2; done; echo end'
TICK = "while :; do echo tick; sleep 0.1; done"


# --- output ----------------------------------------------------------------------------------------------------------


@every_client
def test_output_is_live_and_the_exit_code_comes_back(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    script = "while [ ! -e /go ]; do echo wait; sleep 0.1; done; echo out; echo err >&2; exit 7"
    container = docker.container("run", "-d", "busybox", "sh", "-c", script)

    with docker.background("attach", container, bufsize=0) as process:
        read_until(process, b"wait\n")
        docker("exec", container, "touch", "/go")
        read_until(process, b"out\n")
        assert process.wait(60) == 7
        assert process.stderr.read() == b"err\n"


@two_clients
def test_two_attached_at_once_see_the_same(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("run", "-d", "-i", "busybox", "sh", "-c", f"{TICK} & {ECHO}")

    with (
        docker.background("attach", container, bufsize=0) as one,
        docker.background("attach", "--no-stdin", container, bufsize=0) as other,
    ):
        for process in (one, other):
            read_until(process, b"tick")
        one.stdin.write(b"hello\n")
        for process in (one, other):
            read_until(process, b"got hello\n")


@every_client
def test_a_stopped_container_is_refused_in_the_clients_words(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    created = docker.container("create", "busybox", "true")
    ended = docker.container("run", "-d", "busybox", "true")
    docker("wait", ended)

    for container in (created, ended):
        said = docker("attach", container, check=False)
        assert said.code == 1 and "cannot attach to a stopped container, start it first" in said.said, said


# --- input -----------------------------------------------------------------------------------------------------------


@every_client
def test_the_end_of_input_leaves_a_detached_container_its_stdin(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("run", "-d", "-i", "busybox", "sh", "-c", ECHO)

    with docker.background("attach", container, bufsize=0) as one:
        one.stdin.write(b"one\n")
        read_until(one, b"got one\n")
        one.stdin.close()
        with docker.background("attach", container, bufsize=0) as other:
            other.stdin.write(b"two\n")
            read_until(other, b"got two\n")
            docker("kill", container)
            # The client waits for the container whether it is still shown its output or not.
            assert (one.wait(60), other.wait(60)) == (137, 137)


def test_the_end_of_input_ends_an_attach_to_a_detached_container(stack: Stack, alice: str) -> None:
    """As with a stock engine: where the container keeps its stdin, the end of an attach's input is the attach's end."""
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "-i", "busybox", "sh", "-c", f"{TICK} & {ECHO}")

    for line in (b"one", b"two"):
        with Wire(stack, alice) as wire:
            path = f"/v1.41/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
            wire.send("POST", path, headers=UPGRADE, behind=line + b"\n")
            wire.head()
            wire.read(b"got %s\n" % line)
            wire.end_input()
            wire.rest()
    assert docker.state(container) == "running"


@two_clients
def test_without_stdin_input_is_not_read(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("run", "-d", "-i", "busybox", "sh", "-c", f"{TICK} & {ECHO}")

    with docker.background("attach", "--no-stdin", container, bufsize=0) as process:
        process.stdin.write(b"lost\n")
        process.stdin.close()
        read_until(process, b"tick")
        seen = read_until(process, b"tick") + read_until(process, b"\ntick") + read_until(process, b"\ntick")
        assert b"lost" not in seen
        assert process.poll() is None


# --- start -a --------------------------------------------------------------------------------------------------------


@every_client
def test_start_attached(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container(
        "create", "busybox", "sh", "-c", "echo out; echo err >&2; sleep 0.5; echo late; exit 5"
    )

    for _ in range(2):
        said = docker("start", "-a", container, check=False)
        assert (said.code, said.stdout, said.stderr) == (5, b"out\nlate\n", b"err\n")
        assert docker.state(container) == "exited"


@two_clients
def test_start_attached_with_input(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("create", "-i", "busybox", "sh", "-c", "cat; sleep 1.5; echo late; exit 3")

    for text in (b"first\n", b"second\n"):
        said = docker("start", "-ai", container, input=text, check=False)
        assert (said.code, said.stdout, said.stderr) == (3, text + b"late\n", b"")


@two_clients
def test_start_attached_of_what_cannot_start(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("create", "busybox", "no-such-command")

    said = docker("start", "-a", container, check=False)

    assert said.code != 0 and "executable file not found in $PATH" in said.said, said


# --- terminals -------------------------------------------------------------------------------------------------------


@every_client
def test_detach_keys_and_the_window(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("run", "-d", "-it", "busybox", "sh")

    with docker.terminal("attach", container, rows=33, columns=99) as terminal:
        terminal.ask(b"stty size", rb"33 99\r\n")
        terminal.change_window(22, 66)
        terminal.type(DETACH)
        terminal.wait()
    assert docker.state(container) == "running"

    with docker.terminal("attach", "--detach-keys", "ctrl-x,q", container) as terminal:
        terminal.type(DETACH)
        terminal.ask(b"echo $((40+2))", rb"\n42\r\n")
        terminal.type(b"\x18q")
        terminal.wait()
    assert docker.state(container) == "running"

    with docker.terminal("attach", container) as terminal:
        terminal.ask(b"echo $((40+3))", rb"\n43\r\n")
        terminal.type(b"exit 4\r")
        assert terminal.wait() == 4
    assert docker.state(container) == "exited"


@two_clients
def test_the_keys_chosen_at_run_count_for_its_own_attach_only(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("create", "-it", "busybox", "sh")

    with docker.terminal("start", "-ai", "--detach-keys", "ctrl-t", container) as terminal:
        terminal.ask(b"echo $((40+2))", rb"\n42\r\n")
        terminal.type(b"\x14")
        terminal.wait()

    assert docker.state(container) == "running"


# --- on the wire -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [UPGRADE, {}], ids=["upgrade", "plain"])
@pytest.mark.parametrize(
    ("api", "tty"),
    [("1.44", False), ("1.42", False), ("1.41", False), ("1.20", False), ("1.44", True), ("1.20", True)],
)
def test_both_forms_of_hijack(stack: Stack, alice: str, headers: dict[str, str], api: str, tty: bool) -> None:
    """Input that comes with the request in one segment is the process's, and output goes on behind its end."""
    docker = Docker(stack, alice)
    stty = "stty raw -echo; " if tty else ""
    script = f"{stty}read -r a; echo first $a; read -r b; echo second $b; sleep 0.5; echo err >&2; echo late"
    container = docker.container("create", "-i", *(["-t"] if tty else []), "busybox", "sh", "-c", script)
    raw, multiplexed = "application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream"

    with Wire(stack, alice) as wire:
        path = f"/v{api}/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        wire.send("POST", path, headers=headers, behind=b"early\n")
        status, fields = wire.head()
        docker("start", container)
        seen = wire.read(b"first early")
        wire.write(b"more\n")
        if not tty:
            wire.end_input()
        seen += wire.rest()

    if headers:
        assert status == "101 UPGRADED"
        assert (fields["Connection"], fields["Upgrade"]) == ("Upgrade", "tcp")
    else:
        assert status == "200 OK"
        assert fields["Upgrade"] is None
    assert "Content-Length" not in fields and "Transfer-Encoding" not in fields
    framed = headers and not tty and api in ("1.44", "1.42")
    assert fields["Content-Type"] == (multiplexed if framed else raw)
    if tty:
        assert b"first early" in seen and b"second more" in seen and b"err" in seen and b"late" in seen
    else:
        assert frames(seen) == {1: b"first early\nsecond more\nlate\n", 2: b"err\n"}


def test_a_line_that_is_longer_than_any_buffer_arrives_early(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "-i", "busybox", "wc", "-c")

    with Wire(stack, alice) as wire:
        path = f"/v1.41/containers/{container}/attach?stream=1&stdin=1&stdout=1"
        wire.send("POST", path, headers=UPGRADE, behind=b"x" * 300_000)
        wire.head()
        docker("start", container)
        wire.write(b"y" * 300_000)
        wire.end_input()
        assert frames(wire.rest()) == {1: b"600000\n"}


def test_logs_without_a_stream(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "busybox", "sh", "-c", "echo out; sleep 600")
    wait_until(lambda: docker("logs", container).text == "out\n", "its output")

    with Wire(stack, alice) as wire:
        wire.send("POST", f"/v1.41/containers/{container}/attach?logs=1&stdout=1&stderr=1", headers=UPGRADE)
        wire.head()
        assert frames(wire.rest()) == {1: b"out\n"}
    with Wire(stack, alice) as wire:
        wire.send("POST", f"/v1.41/containers/{container}/attach?logs=1&stream=1&stdout=1&stderr=1", headers=UPGRADE)
        wire.head()
        assert frames(wire.read(b"out\n")) == {1: b"out\n"}
        docker("kill", container)
        assert wire.rest() == b""


def test_another_accounts_container_is_not_there(stack: Stack, alice: str, bob: str) -> None:
    mine, theirs = Docker(stack, alice), Docker(stack, bob)
    container = mine.container("run", "-d", "-i", "--name", "secret", "busybox", "sh", "-c", f"echo secret; {ECHO}")
    wait_until(lambda: mine("logs", container).text == "secret\n", "its output")

    for name in (container, container[:12], "secret", "nobody"):
        said = theirs("attach", name, check=False)
        assert (said.code, said.stdout) == (1, b"") and f"No such container: {name}" in said.said
        for headers in (UPGRADE, {}):
            with Wire(stack, bob) as wire:
                path = f"/v1.41/containers/{name}/attach?logs=1&stream=1&stdin=1&stdout=1"
                wire.send("POST", path, headers=headers, behind=b"intruder\n")
                status, fields = wire.head()
                assert (status, fields["Content-Type"]) == ("404 Not Found", "application/vnd.docker.raw-stream")
                assert b"secret\n" not in wire.read(b"No such container: %s" % name.encode())
    assert mine("logs", container).text == "secret\n"


@two_clients
def test_start_of_another_accounts_container(stack: Stack, alice: str, bob: str, client: Client) -> None:
    container = Docker(stack, alice).container("create", "busybox", "echo", "secret")

    said = Docker(stack, bob, client)("start", "-a", container, check=False)

    assert said.code == 1 and "No such container" in said.said
    assert Docker(stack, alice).state(container) == "created"
