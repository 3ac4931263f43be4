"""docker exec, and the exec calls of the API."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from tests.e2e.clients import Client, Docker, every_client, read_until, two_clients
from tests.e2e.stack import Stack
from tests.e2e.terminal import CTRL_C, DETACH
from tests.e2e.wire import UPGRADE, Wire, frames
from tests.machine import wait_until


def running(docker: Docker, *words: str) -> str:
    return docker.container("run", "-d", *words, "busybox", "sleep", "600")


def make_exec(docker: Docker, container: str, *command: str, **fields: Any) -> str:
    body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command), **fields}
    made = docker.call("POST", f"/containers/{container}/exec", body)
    assert made.status == 201, made
    return made.json()["Id"]


# --- output, input, exit codes ---------------------------------------------------------------------------------------


@every_client
def test_output_exit_codes_and_options(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = running(docker, "-e", "OLD=1")

    said = docker("exec", container, "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (said.code, said.stdout, said.stderr) == (7, b"out\n", b"err\n")
    assert docker("exec", container, "true").code == 0
    assert docker("exec", container, "sh", "-c", "kill -9 $$", check=False).code == 137

    words = ["-u", "1000:1001"]
    if client.api is None:  # -e is of API 1.25, -w of 1.35
        words += ["-w", "/tmp", "-e", "NEW=2"]
        assert docker("exec", *words, container, "sh", "-c", "pwd; echo $OLD $NEW").text == "/tmp\n1 2\n"
    assert docker("exec", *words, container, "sh", "-c", "id -u; id -g").text == "1000\n1001\n"


@every_client
def test_what_cannot_be_executed(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = running(docker)

    said = docker("exec", container, "no-such-command", check=False)
    assert said.code in (126, 127), said
    assert 'exec: "no-such-command": executable file not found in $PATH' in said.text + said.said

    said = docker("exec", "nobody", "true", check=False)
    assert said.code == 1 and said.said.endswith("No such container: nobody\n"), said

    docker("kill", container)
    said = docker("exec", container, "true", check=False)
    assert said.code == 1
    assert said.said == f"Error response from daemon: Container {container} is not running\n"


@two_clients
def test_output_that_comes_after_stdin_has_ended_arrives(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = running(docker)

    said = docker("exec", "-i", container, "sh", "-c", "cat; sleep 2; echo late; echo err >&2", input=b"in\n")
    assert (said.stdout, said.stderr) == (b"in\nlate\n", b"err\n")
    said = docker("exec", container, "sh", "-c", "sleep 0.5; cat; echo late", input=b"not for it\n")
    assert said.stdout == b"late\n"


@every_client
def test_fifty_megabytes_arrive_unchanged_both_ways(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = running(docker)
    data = os.urandom(50_000_000)
    digest = hashlib.sha256(data).hexdigest()

    # Both directions are full at once: what goes in comes back on stderr.
    command = "tee /proc/self/fd/2 | sha256sum -b >/sum; cat /sum"
    said = docker("exec", "-i", container, "sh", "-c", command, input=data, timeout=120)

    assert said.text.split()[0] == digest
    assert hashlib.sha256(said.stderr).hexdigest() == digest


@two_clients
def test_input_and_output_take_turns(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = running(docker)

    with docker.background("exec", "-i", container, "cat", bufsize=0) as process:
        for number in range(20):
            line = b"line %d\n" % number
            process.stdin.write(line)
            assert read_until(process, b"\n") == line
        process.stdin.close()
        assert process.wait(60) == 0


@every_client
def test_a_detached_one_goes_on(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = running(docker)

    assert docker("exec", "-d", container, "sh", "-c", "sleep 0.3; echo done >/done").stdout == b""

    wait_until(lambda: docker("exec", container, "cat", "/done", check=False).text == "done\n", "its work")


# --- terminals -------------------------------------------------------------------------------------------------------


@every_client
def test_a_terminal(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = running(docker)

    with docker.terminal("exec", "-it", container, "sh", rows=31, columns=101) as terminal:
        terminal.ask(b"stty size", rb"31 101\r\n")
        terminal.change_window(45, 123)
        # The echo of the line shows before the shell has run it; only its output says that the trap is set. A signal
        # that comes ahead of what the shell runs next is caught when that has ended.
        script = b"trap 'echo caught-$((40+2)); exit 5' INT; echo ready-$((20+1)); while :; do sleep 1; done\r"
        terminal.type(script)
        terminal.expect(rb"ready-21\r\n")
        terminal.type(CTRL_C)
        terminal.expect(rb"caught-42\r\n")
        assert terminal.wait() == 5
    assert docker.state(container) == "running"


@every_client
def test_detach_keys_leave_the_process_running(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = running(docker)

    def processes() -> str:
        return docker("exec", container, "ps").text

    for number, (words, keys) in enumerate([([], DETACH), (["--detach-keys", "ctrl-a,x"], b"\x01x")]):
        with docker.terminal("exec", "-it", *words, container, "cat", f"/dev/tty{number}", "-") as terminal:
            # That it cannot have the one file says that it reads the other.
            terminal.expect(rb"can't open '/dev/tty%d'[^\r]*\r\n" % number)
            terminal.type(b"hello\r")
            terminal.expect(rb"hello\r\nhello\r\n")
            terminal.type(keys)
            terminal.wait()
        assert f"cat /dev/tty{number} -" in processes()
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
    started = make_exec(docker, running(docker), "sh", "-c", script, AttachStdin=True, Tty=tty)
    raw, multiplexed = "application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream"

    with Wire(stack, alice) as wire:
        body = {"Detach": False, "Tty": tty}
        wire.send("POST", f"/v{api}/exec/{started}/start", body, headers=headers, behind=b"early\n")
        status, fields = wire.head()
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
        assert all(words in seen for words in (b"first early", b"second more", b"err", b"late"))
    else:
        assert frames(seen) == {1: b"first early\nsecond more\nlate\n", 2: b"err\n"}


def test_the_oldest_clients_say_their_json_is_text(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    started = make_exec(docker, running(docker), "echo", "hi")

    def start(api: str) -> str:
        with Wire(stack, alice) as wire:
            data = b'{"Detach":false,"Tty":false}'
            head = f"POST /v{api}/exec/{started}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: text/plain\r\n"
            wire.write(
                f"{head}Content-Length: {len(data)}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode() + data
            )
            status, _ = wire.head()
            if status == "101 UPGRADED":
                assert frames(wire.rest()) == {1: b"hi\n"}
            return status

    assert start("1.41") == "400 Bad Request"
    assert start("1.20") == "101 UPGRADED"


def test_inspect_follows_the_process(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = running(docker)
    started = make_exec(docker, container, "sh", "-c", "read -r a; exit 6", AttachStdin=True, User="1000")

    seen = docker.call("GET", f"/exec/{started}/json").json()
    assert (seen["ID"], seen["ContainerID"]) == (started, container)
    assert (seen["Running"], seen["ExitCode"], seen["OpenStdin"]) == (False, None, True)
    assert seen["ProcessConfig"]["entrypoint"] == "sh"
    assert seen["ProcessConfig"]["arguments"] == ["-c", "read -r a; exit 6"]
    assert seen["ProcessConfig"]["user"] == "1000"
    assert started in docker.call("GET", f"/containers/{container}/json").json()["ExecIDs"]

    with Wire(stack, alice) as wire:
        wire.send("POST", f"/v1.41/exec/{started}/start", {"Detach": False, "Tty": False}, headers=UPGRADE)
        wire.head()
        wait_until(lambda: docker.call("GET", f"/exec/{started}/json").json()["Running"], "its start")
        again = docker.call("POST", f"/exec/{started}/start", {"Detach": False, "Tty": False})
        assert (again.status, again.json()["message"]) == (409, f"Error: Exec command {started} is already running")
        wire.write(b"go\n")
        wire.rest()
    # Whoever has seen the end of the stream may ask for the code at once.
    seen = docker.call("GET", f"/exec/{started}/json").json()
    assert (seen["Running"], seen["ExitCode"]) == (False, 6)
    for detach in (True, False):
        again = docker.call("POST", f"/exec/{started}/start", {"Detach": detach, "Tty": False})
        assert (again.status, again.json()["message"]) == (409, f"Error: Exec command {started} has already run")
    old = docker.call("GET", f"/v1.20/exec/{started}/json").json()
    assert old["Container"]["Id"] == container and old["ExitCode"] == 6
    # Asked for by a container's id, it is another thing.
    assert docker.call("GET", f"/exec/{container}/json").status == 404


def test_resize(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    started = make_exec(docker, running(docker), "sh", AttachStdin=True, Tty=True)

    with Wire(stack, alice) as wire:
        wire.send("POST", f"/v1.41/exec/{started}/start", {"Detach": False, "Tty": True}, headers=UPGRADE)
        wire.head()
        wire.read(b"# ")
        assert docker.call("POST", f"/exec/{started}/resize?h=37&w=111").status in (200, 201)
        wire.write(b"stty size\n")
        wire.read(b"37 111")
        for query in ("", "?h=x&w=1", "?h=1"):
            assert docker.call("POST", f"/exec/{started}/resize{query}").status == 400


def test_bad_requests_change_nothing(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = running(docker)

    def refused(status: int, body: Any) -> None:
        answer = docker.call("POST", f"/containers/{container}/exec", body)
        assert answer.status == status and answer.json()["message"], (body, answer)

    for body in ({}, {"Cmd": []}, {"Cmd": 5}, {"Cmd": ["a", 5]}, {"Cmd": ["true"], "Tty": "yes"}, [], b"{", b'{"Cmd":'):
        refused(400, body)
    refused(403, {"Cmd": ["true"], "Privileged": True})
    assert docker.call("GET", f"/containers/{container}/json").json()["ExecIDs"] is None

    started = make_exec(docker, container, "touch", "/touched")
    for body in (b"{", {"Detach": "no"}, []):
        answer = docker.call("POST", f"/exec/{started}/start", body)
        assert answer.status == 400 and answer.json()["message"], (body, answer)
    assert docker("exec", container, "test", "-e", "/touched", check=False).code == 1


def test_an_exec_of_a_stopped_container(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = running(docker)
    started = make_exec(docker, container, "true")
    docker("kill", container)

    made = docker.call("POST", f"/containers/{container}/exec", {"Cmd": ["true"]})
    assert (made.status, made.json()["message"]) == (409, f"Container {container} is not running")
    for detach in (True, False):
        answer = docker.call("POST", f"/exec/{started}/start", {"Detach": detach, "Tty": False})
        assert answer.status in (404, 409) and answer.json()["message"], answer


def test_another_accounts_exec_is_not_there(stack: Stack, alice: str, bob: str) -> None:
    mine, theirs = Docker(stack, alice), Docker(stack, bob)
    container = running(mine, "--name", "secret")
    started = make_exec(mine, container, "touch", "/touched")

    for name in (container, container[:12], "secret"):
        said = theirs("exec", name, "touch", "/touched", check=False)
        assert said.code == 1 and said.said.endswith(f"No such container: {name}\n")
        made = theirs.call("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})
        assert (made.status, made.json()) == (404, {"message": f"No such container: {name}"})

    unknown = "f" * 64
    engine_id = stack.engine_container(container)["ExecIDs"][0]
    for asked in (started, unknown, engine_id):
        for method, path, body in (
            ("GET", "json", None),
            ("POST", "start", {"Detach": False, "Tty": False}),
            ("POST", "start", {"Detach": True, "Tty": False}),
            ("POST", "resize?h=1&w=1", None),
        ):
            answer = theirs.call(method, f"/exec/{asked}/{path}", body)
            assert (answer.status, answer.json()) == (404, {"message": f"No such exec instance: {asked}"})
    # What the engine calls it is nobody's word, the owner's neither.
    assert mine.call("GET", f"/exec/{engine_id}/json").status == 404
    assert mine("exec", container, "test", "-e", "/touched", check=False).code == 1
    assert mine.call("GET", f"/exec/{started}/json").json()["ExitCode"] is None
