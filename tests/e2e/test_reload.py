"""SIGHUP to the front door: all of the code changes, no request fails, and no stream is cut."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.front_door import WAIT, FrontDoor, end_line, front_door, get, read_all, read_response
from tests.e2e.load import Load
from tests.machine import wait_until

UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")


@pytest.fixture
def door() -> Iterator[FrontDoor]:
    with front_door() as running:
        yield running


def master(door: FrontDoor) -> int:
    return door.processes["gunicorn"].pid


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def release(door: FrontDoor, word: str) -> None:
    """New code, which answers with `word`."""
    source = door.folder / "frontdoorstub.py"
    source.write_text(re.sub(r'b"(OK|second)"', f'b"{word}"', source.read_text()))


def stream(door: FrontDoor, late: float = 0) -> ssl.SSLSocket:
    sock = door.tls(door.alice)
    sock.sendall(get(f"/hijack/101?late={late}", *UPGRADE, method="POST"))
    assert sock.recv(200).startswith(b"HTTP/1.1 101")
    return sock


def answer(door: FrontDoor) -> bytes:
    return door.ask(get("/_ping", "Connection: close"), door.alice).partition(b"\r\n\r\n")[2]


def small_requests(door: FrontDoor) -> Load:
    """On connections of their own and on kept ones."""

    def fresh(load: Load) -> None:
        load.count(door.ask(get("/_ping", "Connection: close"), door.alice)[:12], b"HTTP/1.1 200")

    def kept(load: Load) -> None:
        with door.tls(door.alice) as sock:
            closing = False
            while not closing and load.goes_on:
                sock.sendall(get("/_ping"))
                status, headers, _ = read_response(sock)
                closing = headers["connection"] == "close"
                load.count(status, 200)

    return Load(fresh, kept)


def test_streams_live_on_in_the_old_code_and_no_request_fails(door: FrontDoor) -> None:
    old = children(master(door))
    with small_requests(door) as load, stream(door) as open_one, door.tls(door.alice) as slow:
        slow.sendall(get("/sleep?seconds=3"))
        open_one.sendall(b"before")
        assert open_one.recv(100) == b"before"
        release(door, "second")

        os.kill(master(door), signal.SIGHUP)

        wait_until(lambda: answer(door) == b"second", "the new code")
        assert door.processes["gunicorn"].poll() is None
        open_one.sendall(b" and after")
        assert open_one.recv(100) == b" and after"
        assert read_response(slow)[2] == b"slept"
        # Another one on top of it: now three generations of workers are there.
        release(door, "third")
        os.kill(master(door), signal.SIGHUP)
        wait_until(lambda: answer(door) == b"third", "the newest code")
        assert old <= children(master(door))
        socket.socket.shutdown(open_one, socket.SHUT_WR)
        assert read_all(open_one) == end_line(b"before and after")
        wait_until(lambda: load.answered > 100 or load.failed, "a load")
    assert not load.failed, load.failed[:5]
    wait_until(lambda: len(children(master(door))) == 1, "the old workers' end")


def test_code_that_does_not_load_changes_nothing(door: FrontDoor) -> None:
    before = children(master(door))
    (door.folder / "frontdoorstub.py").write_text("def broken(:\n")

    os.kill(master(door), signal.SIGHUP)

    wait_until(lambda: "the reload was refused" in door.log(), "a word in the log")
    assert answer(door) == b"OK"
    assert children(master(door)) == before


def test_a_stop_ends_retired_workers_too(door: FrontDoor) -> None:
    with stream(door) as endless:
        old = children(master(door))
        release(door, "second")
        os.kill(master(door), signal.SIGHUP)
        wait_until(lambda: answer(door) == b"second", "the new code")
        began = time.monotonic()

        os.kill(master(door), signal.SIGTERM)

        assert door.processes["gunicorn"].wait(WAIT) == 0
        assert read_all(endless) == b""
        assert 4.0 < time.monotonic() - began < 20.0  # graceful_timeout is 8, less the worker's margin
    assert not any(Path(f"/proc/{pid}").exists() for pid in old)


def test_a_retired_worker_ends_at_its_time() -> None:
    os.environ["SDC_RETIRE_SECONDS"] = "1"
    try:
        with front_door() as door, stream(door) as endless:
            old = children(master(door))
            release(door, "second")
            os.kill(master(door), signal.SIGHUP)
            wait_until(lambda: answer(door) == b"second", "the new code")
            assert read_all(endless) == b""
            wait_until(lambda: not old & children(master(door)), "the old worker's end")
    finally:
        del os.environ["SDC_RETIRE_SECONDS"]
