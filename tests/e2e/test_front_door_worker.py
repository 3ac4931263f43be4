"""The front door: the worker's life, its limits and its end."""

from __future__ import annotations

import contextlib
import os
import socket
import time

import pytest

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
            time.sleep(1.0 if sock is idle[0] else 0.05)
        assert timed_ping(door) < 10.0
        assert read_all(idle[0]) == b""  # the one that was idle for the longest time
        idle[9].sendall(get("/_ping"))
        assert read_response(idle[9])[0] == 200


def test_a_worker_whose_threads_are_all_busy_leaves_new_connections_to_another() -> None:
    with front_door("--workers", "2", "--threads", "1") as door, contextlib.ExitStack() as stack:
        wait_until(lambda: len(list(door.folder.glob("started-*"))) == 2, "two workers")
        busy = stack.enter_context(door.tls(door.alice))
        busy.sendall(get("/held"))
        wait_until((door.folder / "held").exists, "a busy thread")
        for _ in range(10):
            timed_ping(door)
        (door.folder / "let-go").touch()
        assert read_response(busy)[2] == b"let go"


def test_a_client_whose_calls_all_hang_waits_alone() -> None:
    with front_door("--env", "TURNS=1") as door, contextlib.ExitStack() as stack:
        mine = [stack.enter_context(door.tls(door.alice)) for _ in range(6)]
        for sock in mine:
            sock.sendall(get("/held"))
        wait_until((door.folder / "held").exists, "a busy thread")
        for _ in range(5):
            assert door.ask(get("/_ping", "Connection: close")).endswith(b"OK")
        # Others are answered; one more of these would have been answered with them.
        late = stack.enter_context(door.tls(door.alice))
        late.sendall(get("/_ping"))
        late.settimeout(1.0)
        with pytest.raises(TimeoutError):
            late.recv(1)
        late.settimeout(WAIT)
        (door.folder / "let-go").touch()
        assert [read_response(sock)[2] for sock in mine] == [b"let go"] * 6
        assert read_response(late)[2] == b"OK"


def test_sigterm_lets_requests_and_streams_end_and_closes_what_does_not() -> None:
    with (
        front_door("--graceful-timeout", "16") as door,
        door.tls(door.alice) as short,
        door.tls(door.alice) as ending,
    ):
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

            def is_sent_away() -> bool:
                late.sendall(get("/_ping"))
                status, headers, _ = read_response(late)
                assert status == 200
                return headers.get("connection") == "close"

            wait_until(is_sent_away, "the worker's notice of its end")
            ending.sendall(b"still here")
            socket.socket.shutdown(ending, socket.SHUT_WR)
            status, _, body = read_response(short)
            assert (status, body) == (200, b"slept")
            assert read_all(ending) == b"still here" + end_line(b"still here")
            assert read_all(idle) == b""
            assert read_all(endless) == b""
            # Three seconds before the master would end it.
            assert 12.0 < time.monotonic() - began < 16.0
            assert door.processes["gunicorn"].wait(WAIT) == 0
        assert not os.path.exists(door.socket_path)
