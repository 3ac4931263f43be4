"""The front door: connections that become streams."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import ssl
import time
from collections.abc import Callable

import pytest

from tests.e2e.front_door import WAIT, FrontDoor, end_line, get, read_all, read_response, timed_ping
from tests.machine import wait_until

HIJACK_101 = get("/hijack/101?late=1.0", "Connection: Upgrade", "Upgrade: tcp", method="POST")


class CloseNotifyClient:
    """A TLS client that can end its direction with a close_notify and go on reading, as Go's can and SSLSocket cannot:
    `SSLSocket.unwrap` reads for the peer's close_notify and throws away the data that comes instead."""

    def __init__(self, door: FrontDoor, version: ssl.TLSVersion) -> None:
        context = ssl.create_default_context(cafile=str(door.ca.certificate))
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(door.alice.certificate, door.alice.key)
        self.sock = door.tcp()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._waiting = b""
        self._until_done(self._tls.do_handshake)

    def _until_done(self, step: Callable[[], object]) -> object:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._out.read())
                data = self.sock.recv(65536)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            finally:
                self.sock.sendall(self._out.read())

    def send(self, data: bytes) -> None:
        self._until_done(lambda: self._tls.write(data))

    def receive(self) -> bytes:
        data = self._until_done(lambda: self._tls.read(65536))
        assert isinstance(data, bytes)
        return data

    def end(self) -> None:
        # `unwrap` fails where data has come already that nobody has read.
        with contextlib.suppress(ssl.SSLWantReadError):
            while piece := self._tls.read(65536):
                self._waiting += piece
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self.sock.sendall(self._out.read())

    def receive_all(self) -> bytes:
        data = self._waiting
        with contextlib.suppress(ssl.SSLEOFError):
            while piece := self.receive():
                data += piece
        return data


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_output_after_a_close_notify_arrives(door: FrontDoor, version: ssl.TLSVersion) -> None:
    """How clients of today end their input."""
    client = CloseNotifyClient(door, version)
    with client.sock:
        # Early stdin: behind the head, in the same segment.
        client.send(HIJACK_101 + b"early")
        head, _, output = client.receive().partition(b"\r\n\r\n")
        assert head == b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp"
        client.send(b" and late")
        client.end()
        output += client.receive_all()
    assert output == b"early and late" + end_line(b"early and late")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_output_after_a_raw_shutdown_arrives(door: FrontDoor, version: ssl.TLSVersion) -> None:
    """How clients up to 1.12 end their input."""
    with door.tls(door.alice, version) as sock:
        sock.sendall(HIJACK_101 + b"early")
        sock.sendall(b" and late")
        socket.socket.shutdown(sock, socket.SHUT_WR)
        output = read_all(sock).partition(b"\r\n\r\n")[2]
    assert output == b"early and late" + end_line(b"early and late")


def test_a_200_hijack_is_raw_until_the_end(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/hijack/200", "Content-Length: 2", method="POST") + b"{}stdin")
        socket.socket.shutdown(sock, socket.SHUT_WR)
        head, _, output = read_all(sock).partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream"
    assert output == b"stdin" + end_line(b"stdin")


def test_a_hijack_after_other_requests_and_with_a_chunked_body(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/_ping"))
        assert read_response(sock)[0] == 200
        request = get("/hijack/200", "Transfer-Encoding: chunked", method="POST")
        sock.sendall(request + b"2\r\n{}\r\n0\r\n\r\nstdin")
        socket.socket.shutdown(sock, socket.SHUT_WR)
        output = read_all(sock).partition(b"\r\n\r\n")[2]
    assert output == b"stdin" + end_line(b"stdin")


def exchange(sock: ssl.SSLSocket, data: bytes) -> bytearray:
    """Send `data`, then the end of input, and meanwhile read everything. One thread: OpenSSL's objects need that."""
    sock.setblocking(False)
    output, unsent = bytearray(), memoryview(data)
    buffer = bytearray(1 << 18)
    deadline = time.monotonic() + 2 * WAIT
    while time.monotonic() < deadline:
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while count := sock.recv_into(buffer):
                output += buffer[:count]
            return output
        if unsent:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                unsent = unsent[sock.send(unsent[:65536]) :]
            if not unsent:
                socket.socket.shutdown(sock, socket.SHUT_WR)
        select.select([sock], [sock] if unsent else [], [], 1.0)
    raise AssertionError(f"no end after {len(output)} bytes")


def test_both_directions_full_at_once(door: FrontDoor) -> None:
    data = os.urandom(1 << 20) * 50
    with door.tls(door.alice) as sock:
        sock.sendall(get("/hijack/101", "Connection: Upgrade", "Upgrade: tcp", method="POST"))
        assert sock.recv(200).startswith(b"HTTP/1.1 101")

        output = exchange(sock, data)
    assert len(output) == len(data) + len(end_line(data))
    assert output.endswith(end_line(data))
    assert hashlib.sha256(output[: len(data)]).digest() == hashlib.sha256(data).digest()


def test_streams_hold_no_thread_and_the_count_comes_back(door: FrontDoor) -> None:
    def streams() -> int:
        return int(door.ask(get("/streams", "Connection: close"), door.alice).partition(b"\r\n\r\n")[2])

    wait_until(lambda: streams() == 0, "the end of other tests' streams")
    open_streams = []
    for _ in range(40):  # ten times the threads
        sock = door.tls(door.alice)
        sock.sendall(get("/hijack/101", "Connection: Upgrade", "Upgrade: tcp", method="POST"))
        assert sock.recv(200).startswith(b"HTTP/1.1 101")
        open_streams.append(sock)
    assert streams() == 40
    assert timed_ping(door) < 5.0
    for sock in open_streams:
        sock.close()
    wait_until(lambda: streams() == 0, "the streams' end")
