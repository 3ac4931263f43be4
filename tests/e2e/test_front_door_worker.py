"""The front door: the worker's life, its limits and its end."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from tests.e2e.front_door import WAIT, FrontDoor, end_line, front_door, get, read_all, read_response, timed_ping
from tests.machine import ROOT, wait_until


def test_the_application_is_told_of_its_worker(door: FrontDoor) -> None:
    assert [path.read_text() for path in door.folder.glob("started-*")] == ["0"]


def test_idle_connections_are_kept_for_longer_than_75_seconds() -> None:
    """The number itself, without waiting for it: the settings that the worker was started with."""
    settings: dict[str, object] = {}
    exec((ROOT / "deploy/gunicorn.conf.py").read_text(), settings)
    assert isinstance(settings["keepalive"], int)
    assert settings["keepalive"] >= 75


def test_at_the_connection_limit_an_idle_connection_makes_room() -> None:
    """Also after many streams: each leaves the count of connections once, or this limit would move."""
    with front_door("--worker-connections", "10") as door, contextlib.ExitStack() as stack:
        for _ in range(25):
            with door.tls(door.alice) as sock:
                sock.sendall(get("/hijack/101", "Connection: Upgrade", "Upgrade: tcp", method="POST") + b"x")
                socket.socket.shutdown(sock, socket.SHUT_WR)
                assert read_all(sock).endswith(b"x" + end_line(b"x"))
        idle = [stack.enter_context(door.tls(door.alice)) for _ in range(10)]
        for sock in idle:
            sock.sendall(get("/_ping"))
            assert read_response(sock)[0] == 200
            # A thread may stay with it for a moment; it is idle from then on.
            time.sleep(0.05)
        assert timed_ping(door) < 2.0
        assert read_all(idle[0]) == b""  # the one that was idle for the longest time
        idle[9].sendall(get("/_ping"))
        assert read_response(idle[9])[0] == 200


def test_a_worker_whose_threads_are_all_busy_leaves_new_connections_to_another() -> None:
    with front_door("--workers", "2", "--threads", "1") as door, contextlib.ExitStack() as stack:
        wait_until(lambda: len(list(door.folder.glob("started-*"))) == 2, "two workers")
        busy = stack.enter_context(door.tls(door.alice))
        busy.sendall(get("/sleep?seconds=3"))
        time.sleep(0.2)
        assert max(timed_ping(door) for _ in range(10)) < 1.0
        assert read_response(busy)[2] == b"slept"


def test_sigterm_lets_requests_and_streams_end_and_closes_what_does_not() -> None:
    with front_door() as door, door.tls(door.alice) as short, door.tls(door.alice) as ending:
        with door.tls(door.alice) as endless, door.tls(door.alice) as idle, door.tls(door.alice) as late:
            for sock in (idle, late):
                sock.sendall(get("/_ping"))
                assert read_response(sock)[0] == 200
            for stream in (ending, endless):
                stream.sendall(get("/hijack/101?late=1.5", "Connection: Upgrade", "Upgrade: tcp", method="POST"))
                assert stream.recv(200).startswith(b"HTTP/1.1 101")
            short.sendall(get("/sleep?seconds=1.5"))
            time.sleep(0.3)
            began = time.monotonic()
            door.processes["gunicorn"].terminate()
            time.sleep(0.5)
            late.sendall(get("/_ping"))
            status, headers, _ = read_response(late)
            assert (status, headers["connection"]) == (200, "close")
            ending.sendall(b"still here")
            socket.socket.shutdown(ending, socket.SHUT_WR)
            status, _, body = read_response(short)
            assert (status, body) == (200, b"slept")
            assert read_all(ending) == b"still here" + end_line(b"still here")
            assert read_all(idle) == b""
            assert read_all(endless) == b""
            assert door.processes["gunicorn"].wait(WAIT) == 0
            assert 4.0 < time.monotonic() - began < 8.0
        assert not os.path.exists(door.socket_path)
