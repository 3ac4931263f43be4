"""The front door: requests of clients that are slow, silent or wrong, and bodies of all kinds."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import time

import pytest

from tests.e2e.front_door import FrontDoor, get, preamble, read_all, read_response, timed_ping


def test_silent_connections_delay_nobody_and_are_closed(door: FrontDoor) -> None:
    began = time.monotonic()
    silent: list[socket.socket] = [door.tcp() for _ in range(50)]
    silent += [door.tls() for _ in range(200)]
    # These reach the worker, with half a head or without their small body.
    half: list[socket.socket] = [door.tls(door.alice) for _ in range(100)]
    for number, talker in enumerate(half):
        no_body = get("/body", "Content-Length: 500", method="POST")
        talker.sendall(b"GET /_ping HTTP/1.1\r\nHost" if number < 50 else no_body)
    ready = time.monotonic()
    times = sorted(timed_ping(door) for _ in range(20))
    assert times[-1] < 5.0, times
    for sock in silent + half[:50]:
        sock.settimeout(max(0.1, ready + 25 - time.monotonic()))
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            assert sock.recv(100) == b""
    assert began + 8.0 < time.monotonic() < ready + 25.0
    for sock in silent + half:
        sock.close()


def test_a_head_that_trickles_is_closed_at_the_deadline(door: FrontDoor) -> None:
    began = time.monotonic()
    with door.tls(door.alice) as sock:
        sock.sendall(b"GET /_ping HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 25:
                sock.sendall(b"X-A: b\r\n")
                sock.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    assert sock.recv(100) == b""
                    break
    assert 9.0 < time.monotonic() - began < 20.0


def test_a_preamble_without_more_is_closed_at_the_deadline(door: FrontDoor) -> None:
    began = time.monotonic()
    with door.unix() as whole, door.unix() as part:
        whole.sendall(preamble())
        part.sendall(preamble()[:20])
        assert read_all(whole) == read_all(part) == b""
    assert 9.0 < time.monotonic() - began < 20.0


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/_ping", *(f"X-{n}: {'y' * 8000}" for n in range(9))),
        b"GET /_ping HTTP/1.1\r\n" + b"X" * 70_000,
        get("/_ping", "X-Big: " + "y" * 17_000),
        get("/_ping", *(f"X-{n}: y" for n in range(70))),
    ],
)
def test_a_head_over_a_limit_is_431_and_closed(door: FrontDoor, request_bytes: bytes) -> None:
    answer = door.ask(request_bytes, door.alice)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'{"message":' in answer


def test_a_request_line_over_the_limit_is_414(door: FrontDoor) -> None:
    assert door.ask(get("/" + "x" * 9000), door.alice).startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/body", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n",
        get("/body", "Transfer-Encoding: chunked", "Content-Length: 0", method="POST") + b"5\r\nhello\r\n0\r\n\r\n",
        get("/body", "Content-Length: 5", "Content-Length: 5", method="POST") + b"hello",
        get("/body", "Content-Length: +5", method="POST") + b"hello",
        get("/body", "Content-Length: 5, 5", method="POST") + b"hello",
        get("/body", "Content-Length : 5", method="POST") + b"hello",
        get("/body", "Transfer-Encoding: gzip", method="POST") + b"hello",
        get("/body", "Transfer-Encoding: chunked, chunked", method="POST") + b"0\r\n\r\n",
        get("/body", "Transfer-Encoding: chunked", method="POST", version="1.0") + b"0\r\n\r\n",
        get("/_ping", "X: a", " folded: b"),
        get("/_ping", "X: a\nY: b"),
        get("/_ping", "X: a\rY: b"),
        get("/_ping", "X: a\0b"),
        get("/_ping\x00"),
        get("/a b"),
        b"\r\n\r\n" + get("/_ping"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"nonsense\r\n\r\n",
        get("/_ping", "Host: a"),
    ],
)
def test_what_could_be_read_in_two_ways_is_400_and_closed(door: FrontDoor, request_bytes: bytes) -> None:
    answer = door.ask(request_bytes + get("/identity"), door.alice)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_an_unknown_transfer_coding_is_501_and_closed(door: FrontDoor) -> None:
    answer = door.ask(get("/body", "Transfer-Encoding: cow", method="POST") + get("/identity"), door.alice)
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_bad_chunk_is_400_and_closed(door: FrontDoor) -> None:
    request = get("/body", "Transfer-Encoding: chunked", method="POST") + b"zz\r\nhello\r\n0\r\n\r\n"
    answer = door.ask(request + get("/identity"), door.alice)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_http2_over_cleartext_is_not_offered(door: FrontDoor) -> None:
    request = get(
        "/_ping",
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    )
    with door.tls(door.alice) as sock:
        sock.sendall(request)
        assert read_response(sock)[0] == 200


def test_an_error_in_the_application_shows_no_detail(door: FrontDoor) -> None:
    answer = door.ask(get("/raise"), door.alice)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"detail" not in answer
    assert "a detail that no client may see" in door.log()


# ---- bodies ------------------------------------------------------------------------------------------------------


def test_bodies_of_all_kinds_arrive_whole(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        for size in (0, 1, 65_536, 65_537, 3_000_000):
            body = os.urandom(size)
            expected = b"%d %s" % (size, hashlib.sha256(body).hexdigest().encode())
            sock.sendall(get("/body", f"Content-Length: {size}", method="POST") + body)
            assert read_response(sock)[2] == expected
            chunks = b"".join(
                b"%x\r\n%s\r\n" % (len(piece), piece)
                for piece in (body[at : at + 50_000] for at in range(0, size, 50_000))
            )
            sock.sendall(get("/body", "Transfer-Encoding: chunked", method="POST") + chunks + b"0\r\n\r\n")
            assert read_response(sock)[2] == expected


@pytest.mark.parametrize("sizes", [(1000, 300_000, 1000), (300_000, 1000, 300_000)])
def test_expect_100_continue(door: FrontDoor, sizes: tuple[int, ...]) -> None:
    """Each request is told to go on, once."""
    with door.tls(door.alice) as sock:
        for size in sizes:
            body = os.urandom(size)
            sock.sendall(get("/body", f"Content-Length: {size}", "Expect: 100-continue", method="POST"))
            assert read_response(sock)[0] == 100
            sock.sendall(body)
            status, _, answer = read_response(sock)
            assert status == 200
            assert answer == b"%d %s" % (size, hashlib.sha256(body).hexdigest().encode())


def test_an_error_before_the_body_was_read_closes_and_is_seen(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/refuse", "Content-Length: 5000000", method="POST") + os.urandom(1_000_000))
        status, headers, body = read_response(sock)
        assert (status, headers["connection"], body) == (400, "close", b"refused")
        assert read_all(sock) == b""


def test_a_close_after_a_response_is_no_reset(door: FrontDoor) -> None:
    """Closing with unread input would be one, and nginx would be free to drop the response."""
    with door.unix() as sock:
        sock.sendall(preamble() + get("/refuse", "Content-Length: 5000000", method="POST") + bytes(1_000_000))
        assert read_response(sock)[0] == 400
        assert sock.recv(100) == b""
        sock.sendall(bytes(1_000_000))


def test_a_body_that_nobody_read_is_not_waited_for(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/_ping", "Content-Length: 70000", method="POST") + get("/identity"))
        assert read_response(sock)[2] == b"OK"
        sock.settimeout(15)
        assert read_all(sock) == b""


def test_an_error_with_the_body_at_hand_keeps_the_connection(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        for _ in range(2):
            sock.sendall(get("/refuse", "Content-Length: 10", method="POST") + b"0123456789")
            assert read_response(sock)[0] == 400


def test_a_truncated_body_is_not_taken_for_a_whole_one(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/body", "Content-Length: 100000", method="POST") + b"x" * 90_000)
        socket.socket.shutdown(sock, socket.SHUT_WR)
        assert not read_all(sock).startswith(b"HTTP/1.1 200")


def test_bodies_that_stall_hold_threads_and_nothing_else(door: FrontDoor) -> None:
    """Three of the four threads wait for large bodies; the loop and the fourth go on."""
    stalled = []
    for _ in range(3):
        sock = door.tls(door.alice)
        sock.sendall(get("/body", "Content-Length: 1000000", method="POST") + b"x" * 1000)
        stalled.append(sock)
    assert max(timed_ping(door) for _ in range(10)) < 5.0
    for sock in stalled:
        sock.close()


def test_requests_on_each_others_heels(door: FrontDoor) -> None:
    """A thread waits a moment for what follows, which may come at once, in pieces, late, or not at all."""
    body = get("/body", "Content-Length: 5", method="POST")
    with door.tls(door.alice) as sock:
        for pause in (0.0, 0.0, 0.001, 0.05):
            time.sleep(pause)
            sock.sendall(get("/_ping"))
            assert read_response(sock)[::2] == (200, b"OK")
        for cut in (1, len(body) - 1, len(body), len(body) + 2):
            sock.sendall((body + b"hello")[:cut])
            time.sleep(0.02)
            sock.sendall((body + b"hello")[cut:])
            assert read_response(sock)[2] == b"5 " + hashlib.sha256(b"hello").hexdigest().encode()
        # Two and a half at once.
        sock.sendall(get("/_ping") + get("/refuse") + body + b"he")
        assert [read_response(sock)[0] for _ in range(2)] == [200, 400]
        sock.sendall(b"llo" + get("/_ping", "Connection: close"))
        assert read_response(sock)[2].startswith(b"5 ")
        assert read_all(sock).endswith(b"OK")


def test_who_has_asked_and_says_nothing_more_holds_no_thread(door: FrontDoor) -> None:
    kept = [door.tls(door.alice) for _ in range(40)]
    for sock in kept:
        sock.sendall(get("/_ping"))
    for sock in kept:
        assert read_response(sock)[0] == 200
    assert timed_ping(door) < 5.0
    for sock in kept[::2]:
        sock.sendall(b"GET /_pi")
    assert timed_ping(door) < 5.0
    for sock in kept:
        sock.close()
