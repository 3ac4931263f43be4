"""`docker start` and `docker stop`."""

from __future__ import annotations

import concurrent.futures
import json
import time

import pytest

from tests.e2e.behind import Unchanged, ask, assert_tells_nothing, message
from tests.e2e.stack import Stack
from tests.machine import wait_until

#: A process that ends at once when it is asked to, from when it `is_ready`; PID 1 has no default actions.
POLITE = ("busybox", "sh", "-c", "trap 'exit 7' TERM; trap 'exit 8' INT; trap 'echo hup' HUP; echo ready; "
          "while :; do sleep 0.1; done")  # fmt: skip

#: How long a stop waits where nobody says how long.
GRACE = 10


def state(stack: Stack, name: str) -> dict:
    return json.loads(stack.docker("alice", "inspect", "-f", "{{json .State}}", name).text)


def is_ready(stack: Stack, name: str, starts: int = 1) -> None:
    """Wait until a POLITE one that was started so many times has set its traps."""
    wait_until(lambda: stack.docker("alice", "logs", name).text.count("ready\n") == starts, "the traps")


def listed(stack: Stack, name: str) -> str:
    return stack.docker("alice", "ps", "-a", "-f", f"name=^{name}$", "--format", "{{.Status}}").text.strip()


def test_start_and_stop(stack: Stack, alice: str, cli: str) -> None:
    stack.docker(alice, "create", "--name", "box", *POLITE, cli=cli)
    assert listed(stack, "box") == "Created"
    assert stack.docker(alice, "start", "box", cli=cli).text == "box\n"
    assert state(stack, "box")["Status"] == "running" and listed(stack, "box").startswith("Up ")
    is_ready(stack, "box")
    began = time.monotonic()
    assert stack.docker(alice, "stop", "box", cli=cli).text == "box\n"
    assert time.monotonic() - began < GRACE
    assert state(stack, "box") | {"ExitCode": 7, "Status": "exited", "Running": False} == state(stack, "box")
    assert listed(stack, "box").startswith("Exited (7)")
    stack.docker(alice, "stop", "box", cli=cli)
    stack.docker(alice, "start", "box", "box", cli=cli)
    assert state(stack, "box")["Running"]


def test_several_and_unknown_ones(stack: Stack, alice: str, cli: str) -> None:
    for name in ("one", "two"):
        stack.docker(alice, "create", "--name", name, *POLITE)
    done = stack.docker(alice, "start", "one", "nosuch", "two", cli=cli, check=False)
    assert done.code == 1 and done.text.split() == ["one", "two"]
    assert "No such container: nosuch" in done.said
    assert stack.docker(alice, "stop", "-t", "2", "one", "two", cli=cli).text.split() == ["one", "two"]


def test_as_many_at_once_as_a_client_asks_for(stack: Stack, alice: str) -> None:
    """The CLI stops up to fifty at the same time, more than one account has threads; each has its turn."""
    names = sorted(f"many-{number}" for number in range(40))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stack.docker(alice, "run", "-d", "-m", "16m", "--name", n, "busybox", "top"), names))
        stopping = pool.submit(stack.docker, alice, "stop", "-t", "2", *names)
        assert sorted(stopping.result(120).text.split()) == names
    assert {listed(stack, name)[:6] for name in names} == {"Exited"}
    stack.docker(alice, "rm", *names)


def test_stop_waits_then_kills(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "deaf", "busybox", "sleep", "600")
    began = time.monotonic()
    stack.docker(alice, "stop", "-t", "1", "deaf")
    assert 0.9 < time.monotonic() - began < GRACE
    assert state(stack, "deaf")["ExitCode"] == 137
    stack.docker(alice, "start", "deaf")
    began = time.monotonic()
    assert ask(stack, alice, "POST", "/containers/deaf/stop?t=0").status == 204
    assert time.monotonic() - began < GRACE


def test_stop_signal_and_timeout_of_the_container(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "sig", "--stop-signal", "INT", *POLITE)
    is_ready(stack, "sig")
    stack.docker(alice, "stop", "sig")
    assert state(stack, "sig")["ExitCode"] == 8
    stack.docker(alice, "start", "sig")
    is_ready(stack, "sig", 2)
    stack.docker(alice, "stop", "--signal", "TERM", "sig", cli="28")
    assert state(stack, "sig")["ExitCode"] == 7
    stack.docker(alice, "start", "sig")
    is_ready(stack, "sig", 3)
    began = time.monotonic()
    # Its shell needs a moment for the trap.
    stack.docker(alice, "stop", "--signal", "HUP", "-t", "3", "sig", cli="28")
    assert 2.9 < time.monotonic() - began < GRACE and "hup" in stack.docker(alice, "logs", "sig").text
    stack.docker(alice, "run", "-d", "--name", "deaf", "--stop-timeout", "1", "busybox", "sleep", "600")
    began = time.monotonic()
    stack.docker(alice, "stop", "deaf")
    assert time.monotonic() - began < GRACE


def test_not_modified(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "up", *POLITE)
    stack.docker(alice, "create", "--name", "new", *POLITE)
    with Unchanged(stack):
        for path in ("/containers/up/start", "/containers/new/stop"):
            for version in ("", "/v1.20", "/v1.24"):
                response = ask(stack, alice, "POST", version + path)
                assert (response.status, response.body) == (304, b"")


def test_a_container_that_cannot_start(stack: Stack, alice: str, cli: str) -> None:
    done = stack.docker(alice, "run", "--name", "bad", "busybox", "/nosuch", cli=cli, check=False)
    assert done.code == 127 and "no such file or directory" in done.said
    assert_tells_nothing(stack, alice, done.stderr)
    seen = state(stack, "bad")
    assert (seen["Status"], seen["ExitCode"]) == ("created", 127) and "no such file" in seen["Error"]
    again = ask(stack, alice, "POST", "/containers/bad/start")
    assert again.status == 400 and "no such file or directory" in message(again)
    denied = stack.docker(alice, "run", "--rm", "busybox", "/etc", cli=cli, check=False)
    assert denied.code == 126
    nowhere = stack.docker(alice, "run", "--rm", "-w", "/bin/busybox", "busybox", "true", cli=cli, check=False)
    assert nowhere.code in (125, 126, 127) and "not a directory" in nowhere.said


def test_the_list_follows_what_happens_by_itself(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "short", "busybox", "sleep", "1")
    wait_until(lambda: listed(stack, "short").startswith("Exited (0)"), "the end in the list")


def test_starts_and_stops_at_once(stack: Stack, alice: str) -> None:
    stack.docker(alice, "create", "--name", "box", *POLITE)

    def call(verb: str) -> int:
        return stack.request(alice, "POST", f"/containers/box/{verb}", timeout=60).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(call, ["start"] * 8))
    assert statuses.count(204) >= 1 and set(statuses) <= {204, 304}
    assert state(stack, "box")["Running"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        mixed = set(pool.map(call, ["stop?t=2", "start", "restart?t=2", "kill"] * 2))
    assert mixed <= {204, 304, 409}
    seen = state(stack, "box")["Running"]
    assert listed(stack, "box").startswith("Up" if seen else "Exited")
    assert stack.psql("SELECT * FROM operations WHERE state = 'pending'") == []


def test_paused_behind_our_back(stack: Stack, alice: str) -> None:
    """The row may be late; the answers are not."""
    container_id = stack.docker(alice, "run", "-d", "--name", "box", *POLITE).text.strip()
    engine = stack.engine_container(container_id)
    assert engine is not None
    stack.engine.call("POST", f"/containers/{engine['Id']}/pause")
    wait_until(lambda: "(Paused)" in listed(stack, "box"), "the list")
    start = ask(stack, alice, "POST", "/containers/box/start")
    assert (start.status, message(start)) == (409, "cannot start a paused container, try unpause instead")
    run = ask(stack, alice, "POST", "/containers/box/exec", {"Cmd": ["true"]})
    assert (run.status, message(run)) == (409, "Container box is paused, unpause the container before exec")
    remove = ask(stack, alice, "DELETE", "/containers/box")
    assert remove.status == 409 and message(remove).startswith(f"You cannot remove a paused container {container_id}.")
    assert ask(stack, alice, "POST", "/containers/box/kill").status == 204
    assert state(stack, "box")["ExitCode"] == 137


BAD = [
    ("POST", "start", b'{"Binds":["/etc:/h"]}', 400, "starting container with non-empty request body"),
    ("POST", "start?checkpoint=x", None, 400, "checkpoint"),
    ("POST", "stop?t=abc", None, 400, 'strconv.Atoi: parsing "abc": invalid syntax'),
    ("POST", "stop?t=99999999999", None, 400, "stop timeout"),
    ("POST", "stop?signal=BOGUS", None, 400, "Invalid signal: BOGUS"),
]


@pytest.fixture(scope="module")
def box(stack: Stack) -> str:
    stack.remove_all("bob")
    return stack.docker("bob", "create", "--name", "box", *POLITE).text.strip()


@pytest.mark.parametrize(("method", "path", "body", "status", "words"), BAD, ids=[row[1] for row in BAD])
def test_bad_input(stack: Stack, box: str, method: str, path: str, body: bytes | None, status: int, words: str) -> None:
    with Unchanged(stack):
        headers = {"Content-Type": "application/json"} if body else {}
        response = ask(stack, "bob", method, f"/containers/box/{path}", body, headers=headers)
    assert response.status == status and words in message(response)
