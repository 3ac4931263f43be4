"""GET attach/ws, as docker-py and web consoles use it."""

from __future__ import annotations

import base64
import hashlib

from tests.e2e.behind import ask, message
from tests.e2e.clients import Docker
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire

KEY = base64.b64encode(bytes(range(16))).decode()
ACCEPT = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}


def frame(data: bytes) -> bytes:
    """A client's text frame, masked with zeros."""
    assert len(data) < 126
    return bytes([0x81, 0x80 | len(data)]) + bytes(4) + data


def opened(stack: Stack, account: str, path: str) -> Wire:
    wire = Wire(stack, account)
    wire.send("GET", path, headers=HANDSHAKE)
    status, headers = wire.head()
    assert status.startswith("101") and headers["Upgrade"] == "websocket", (status, headers)
    assert headers["Sec-WebSocket-Accept"] == ACCEPT
    return wire


def test_both_ways(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("run", "-di", "busybox", "cat")
    with opened(stack, alice, f"/v1.44/containers/{container}/attach/ws?stream=1&stdin=1&stdout=1") as wire:
        wire.write(frame(b"hello\n"))
        assert wire.read(b"hello\n")[:2] == b"\x82\x06", "a binary frame since 1.28"
    # Below 1.28 the frames are text, and all streams are there without asking.
    with opened(stack, alice, f"/v1.27/containers/{container}/attach/ws?stream=1") as wire:
        wire.write(frame(b"again\n"))
        assert wire.read(b"again\n")[:2] == b"\x81\x06"


def test_refusals(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("run", "-di", "--name", "socketed", "busybox", "cat")
    path = f"/containers/{container}/attach/ws?stream=1"
    for headers in ({}, {**HANDSHAKE, "Sec-WebSocket-Key": "x"}, {**HANDSHAKE, "Sec-WebSocket-Version": "8"}):
        answer = ask(stack, alice, "GET", path, headers=headers)
        assert answer.status == 400 and "bad handshake" in message(answer), answer
    theirs = ask(stack, bob, "GET", "/containers/socketed/attach/ws?stream=1", headers=HANDSHAKE)
    assert (theirs.status, message(theirs)) == (404, "No such container: socketed")
    docker("pause", container)
    paused = ask(stack, alice, "GET", path, headers=HANDSHAKE)
    assert paused.status == 409 and "is paused" in message(paused)
