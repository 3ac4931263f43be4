"""docker run."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from tests.e2e.clients import CLIENTS, Client, Docker, every_client, read_until, two_clients
from tests.e2e.stack import Stack
from tests.e2e.terminal import CTRL_C, DETACH
from tests.machine import wait_until

PARALLEL = 4


@cache
def fifty_megabytes() -> bytes:
    return os.urandom(50_000_000)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def things(stack: Stack) -> set[str]:
    """The names of all containers and volumes, on the engine and in the database."""
    on_engine = [container["Id"] for container in stack.engine.containers()]
    on_engine += [volume["Name"] for volume in stack.engine.call("GET", "/volumes")[1]["Volumes"] or []]
    rows = stack.psql("SELECT id FROM containers UNION SELECT id::text FROM volumes")
    return {*on_engine, *(row[0] for row in rows)}


# --- output, input, exit codes ---------------------------------------------------------------------------------------


@every_client
def test_stdin_is_echoed_and_nothing_of_rm_is_left(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    before = things(stack)

    said = docker("run", "-i", "--rm", "-v", "/data", "busybox", "cat", input=b"hi\n")

    assert (said.stdout, said.stderr) == (b"hi\n", b"")
    # Below API 1.25 it is the client that removes, and it may do so on its way out.
    wait_until(lambda: things(stack) <= before, "removal of the container and its volume")
    assert docker("ps", "-aq").stdout == b""


@every_client
def test_output_that_comes_after_stdin_has_ended_arrives(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)

    said = docker("run", "-i", "busybox", "sh", "-c", "cat; sleep 2; echo late; echo later >&2", input=b"in\n")
    assert (said.stdout, said.stderr) == (b"in\nlate\n", b"later\n")

    # Without -i the client ends its input at once.
    said = docker("run", "busybox", "sh", "-c", "sleep 0.5; echo late", input=b"not for it\n")
    assert (said.stdout, said.stderr) == (b"late\n", b"")


@every_client
def test_fifty_megabytes_arrive_unchanged_both_ways(stack: Stack, alice: str, client: Client) -> None:
    data = fifty_megabytes()

    command = "tee /proc/self/fd/2 | sha256sum -b >/sum; cat /sum"
    said = Docker(stack, alice, client)(
        "run", "-i", "--rm", "busybox", "sh", "-c", f"({command})", input=data, timeout=120
    )

    # Both directions are full at once: what goes in comes back on stderr.
    assert said.text.split()[0] == sha256(data)
    assert sha256(said.stderr) == sha256(data)


def test_a_reader_that_stops_stops_the_writer_and_loses_nothing(stack: Stack, alice: str) -> None:
    data = fifty_megabytes()
    written = 0

    with Docker(stack, alice).background("run", "-i", "--rm", "busybox", "cat") as process:

        def write() -> None:
            nonlocal written
            for start in range(0, len(data), 65536):
                process.stdin.write(data[start : start + 65536])
                written = start + 65536
            process.stdin.close()

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        seen = -1
        until = time.monotonic() + 120
        while written == 0 or written != seen:
            assert time.monotonic() < until, "the writer was never stopped"
            seen = written
            time.sleep(1.5)
        assert written < 40_000_000, "somebody keeps what nobody reads"
        received = process.stdout.read()
        writer.join(60)
        assert process.wait(60) == 0, process.stderr.read()

    assert sha256(received) == sha256(data)


@every_client
def test_stdout_and_stderr_stay_apart(stack: Stack, alice: str, client: Client) -> None:
    script = "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; printf '\\001\\000\\000\\000'"

    said = Docker(stack, alice, client)("run", "--rm", "busybox", "sh", "-c", script)

    assert said.text == "".join(f"out {n}\n" for n in range(1, 6)) + "\x01\0\0\0"
    assert said.said == "".join(f"err {n}\n" for n in range(1, 6))


@every_client
def test_exit_codes_come_back(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)

    for code, rm in ((0, []), (7, []), (7, ["--rm"]), (255, ["--rm"])):
        assert docker("run", *rm, "busybox", "sh", "-c", f"exit {code}", check=False).code == code
    wait_until(lambda: len(docker("ps", "-aq").text.split()) == 2, "removal of the --rm ones")


@every_client
def test_the_exit_code_after_a_signal(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    script = 'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done'

    with docker.background("run", "--name", "killed", "busybox", "sh", "-c", script, bufsize=0) as process:
        read_until(process, b"ready\n")
        docker("kill", "killed")
        assert process.wait(60) == 137

    # The client passes its own signals on.
    with docker.background("run", "--rm", "busybox", "sh", "-c", script, bufsize=0) as process:
        read_until(process, b"ready\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 9


@every_client
def test_a_detached_container_goes_on(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)

    container = docker.container("run", "-d", "busybox", "sh", "-c", "echo here; sleep 600")

    assert len(container) == 64 and int(container, 16)
    assert docker.state(container) == "running"
    wait_until(lambda: docker("logs", container).text == "here\n", "its output")


@every_client
def test_what_cannot_be_run_is_said_and_ends(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)

    def refused(code: int, words: str, *run: str) -> None:
        said = docker("run", *run, check=False)
        assert said.code == code and words in said.said, said
        assert said.stdout == b""

    refused(127, 'exec: "no-such-command": executable file not found in $PATH', "busybox", "no-such-command")
    refused(126, 'exec: "/": permission denied', "busybox", "/")
    refused(127, 'exec: "no-such-command": executable file not found', "--rm", "busybox", "no-such-command")
    refused(125, "unknown flag: --no-such-flag", "--no-such-flag", "busybox")
    refused(125, "Unable to find image 'no-such-image:1' locally", "no-such-image:1")
    refused(125, "Error response from daemon: ", "no-such-image:1")
    docker("create", "--name", "taken", "busybox")
    refused(125, 'The container name "/taken" is already in use by container', "--name", "taken", "busybox", "true")

    # As with Docker: what was made and not started stays; with --rm too below API 1.25, where the client gives up.
    left = 4 if client.api else 3
    wait_until(lambda: len(docker("ps", "-aq").text.split()) == left, "removal of the --rm one")


def test_a_name_is_taken_in_its_own_account_only(stack: Stack, alice: str, bob: str) -> None:
    mine, theirs = Docker(stack, alice), Docker(stack, bob)
    container = mine.container("run", "-d", "--name", "same", "busybox", "sleep", "600")

    assert theirs("run", "--rm", "--name", "same", "busybox", "echo", "ok").text == "ok\n"

    again = mine("run", "--name", "same", "busybox", "true", check=False)
    assert again.code == 125 and container in again.said
    assert theirs("ps", "-aq").text == ""
    assert mine.state(container) == "running"


def test_many_at_a_time_all_end(stack: Stack, alice: str, bob: str) -> None:
    """Whatever happens first, start or wait or the end: nobody hangs, no code and no output is lost."""

    def one(number: int) -> tuple[int, bytes]:
        docker = Docker(stack, (alice, bob)[number % 2], CLIENTS[number % len(CLIENTS)])
        rm = ["--rm"] if number % 3 else []
        script = f"cat; echo {number}; exit {number}"
        said = docker("run", "-i", *rm, "busybox", "sh", "-c", script, input=b"x\n", timeout=240, check=False)
        return said.code, said.stdout

    with ThreadPoolExecutor(PARALLEL) as pool:
        assert list(pool.map(one, range(16))) == [(n, b"x\n%d\n" % n) for n in range(16)]


@two_clients
def test_a_client_that_goes_away_leaves_the_container_running(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    script = "echo ready; while :; do echo more; sleep 0.1; done"

    with docker.background("run", "--name", "left", "busybox", "sh", "-c", script, bufsize=0) as process:
        read_until(process, b"ready\n")
        process.kill()

    assert docker.state(docker("inspect", "-f", "{{.Id}}", "left").text.strip()) == "running"
    first = docker("logs", "left").stdout.count(b"more")
    wait_until(lambda: docker("logs", "left").stdout.count(b"more") > first + 5, "more output")


# --- terminals -------------------------------------------------------------------------------------------------------


@every_client
def test_a_terminal_has_the_size_of_the_window(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)

    with docker.terminal("run", "-it", "--rm", "busybox", "sh", rows=31, columns=101) as terminal:
        terminal.expect(rb"# ")
        terminal.type(b"tty\r")
        terminal.expect(rb"/dev/pts/0")
        terminal.ask(b"stty size", rb"31 101\r\n")
        terminal.change_window(45, 123)
        # Both outputs are the screen, with a terminal's line ends.
        terminal.type(b"echo on-$((40+2))-stderr >&2\r")
        terminal.expect(rb"on-42-stderr\r\n")
        terminal.type(b"exit 5\r")
        assert terminal.wait() == 5
    wait_until(lambda: docker("ps", "-aq").text == "", "removal")


@two_clients
def test_ctrl_c_reaches_the_process(stack: Stack, alice: str, client: Client) -> None:
    script = 'trap "echo caught; exit 3" INT; echo ready; while :; do sleep 0.1; done'

    with Docker(stack, alice, client).terminal("run", "-it", "--rm", "busybox", "sh", "-c", script) as terminal:
        terminal.expect(rb"ready\r\n")
        terminal.type(CTRL_C)
        terminal.expect(rb"caught\r\n")
        assert terminal.wait() == 3


@every_client
def test_detach_keys_leave_the_container_running(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)

    with docker.terminal("run", "-it", "--name", "shell", "busybox", "sh") as terminal:
        terminal.expect(rb"# ")
        terminal.type(b"mark=4$((1+1))\r")
        terminal.expect(rb"# ")
        terminal.type(DETACH)
        assert terminal.wait() == 0

    container = docker("inspect", "-f", "{{.Id}}", "shell").text.strip()
    assert docker.state(container) == "running"
    with docker.terminal("attach", "shell") as terminal:
        terminal.ask(b"echo is-$mark", rb"is-42\r\n")
        terminal.type(b"exit 6\r")
        assert terminal.wait() == 6
    assert docker.state(container) == "exited"


@two_clients
def test_chosen_detach_keys(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)

    with docker.terminal("run", "-it", "--name", "keys", "--detach-keys", "ctrl-a,x", "busybox", "cat") as terminal:
        # Half of the keys, and the default ones, are input like any other.
        terminal.type(b"y")
        terminal.expect(rb"y")
        terminal.type(b"\x01z\r")
        terminal.expect(rb"z\r\n")
        terminal.type(b"\x01x")
        assert terminal.wait() == 0

    assert docker.state(docker("inspect", "-f", "{{.Id}}", "keys").text.strip()) == "running"


def test_bad_detach_keys_are_refused(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "-it", "busybox")

    answer = docker.call("POST", f"/containers/{container}/attach?stream=1&stdin=1&detachKeys=ctrl-%C3%A9")

    assert answer.status == 400, answer
    assert b"detach" in answer.body.lower()


def test_no_terminal_where_the_client_has_none(stack: Stack, alice: str) -> None:
    """-t with a pipe as input is refused by the client itself; -t alone works, its output is a terminal's."""
    docker = Docker(stack, alice)

    said = docker("run", "-t", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; test -t 1", check=False)
    assert (said.code, said.stdout, said.stderr) == (0, b"out\r\nerr\r\n", b"")
    assert docker("run", "-it", "busybox", "true", input=b"x", check=False).code == 1
