"""HTTP by hand on one TLS connection: for what comes before, behind and beside a request."""

from __future__ import annotations

import json
import socket
import time
from email.message import Message
from email.parser import BytesParser
from typing import Any

from tests.e2e.stack import Stack

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


class Wire:
    """A connection of an account. Every read has a limit."""

    def __init__(self, stack: Stack, account: str) -> None:
        self._sock = stack.connect(account)
        self._unread = b""
        self._ended = False

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, behind: bytes = b""
    ) -> None:
        """A request and what is `behind` it, in one segment."""
        data = b"" if body is None else json.dumps(body).encode()
        fields = {"Host": "docker", **(headers or {}), "Content-Length": str(len(data))}
        if body is not None:
            fields["Content-Type"] = "application/json"
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data + behind)

    def write(self, data: bytes) -> None:
        self._sock.settimeout(60)
        self._sock.sendall(data)

    def end_input(self) -> None:
        """Say no more, as the oldest clients do it: by TCP alone."""
        socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def head(self, timeout: float = 60) -> tuple[str, Message]:
        """The response's status line without the protocol, and its headers."""
        self._read_until(lambda: b"\r\n\r\n" in self._unread, timeout)
        assert b"\r\n\r\n" in self._unread, self._unread
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        line, _, fields = head.partition(b"\r\n")
        return line.decode().removeprefix("HTTP/1.1 "), BytesParser().parsebytes(fields + b"\r\n\r\n")

    def read(self, wanted: bytes, timeout: float = 60) -> bytes:
        """What comes, up to and with `wanted`."""
        self._read_until(lambda: wanted in self._unread, timeout)
        assert wanted in self._unread, f"not in {timeout} s: {wanted!r} in {self._unread!r}"
        end = self._unread.index(wanted) + len(wanted)
        found, self._unread = self._unread[:end], self._unread[end:]
        return found

    def rest(self, timeout: float = 60) -> bytes:
        """What comes until the server ends the connection."""
        self._read_until(lambda: False, timeout)
        assert self._ended, f"the connection was not ended in {timeout} s: {self._unread!r}"
        found, self._unread = self._unread, b""
        return found

    def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        self._read_until(lambda: bool(self._unread), seconds)
        return not self._unread and not self._ended

    def _read_until(self, enough: Any, timeout: float) -> None:
        until = time.monotonic() + timeout
        while not enough() and not self._ended and (left := until - time.monotonic()) > 0:
            self._sock.settimeout(left)
            try:
                data = self._sock.recv(65536)
            except TimeoutError:
                return
            self._unread += data
            self._ended = not data


def frames(data: bytes) -> dict[int, bytes]:
    """The output of a stream of frames by its number: 1 stdout, 2 stderr."""
    found: dict[int, bytes] = {}
    while data:
        assert data[0] in (0, 1, 2) and data[1:4] == b"\0\0\0" and len(data) >= 8, data[:16]
        length = int.from_bytes(data[4:8], "big")
        assert len(data) >= 8 + length, (length, data[:64])
        found[data[0]] = found.get(data[0], b"") + data[8 : 8 + length]
        data = data[8 + length :]
    return found


def unchunked(data: bytes) -> bytes:
    """The body of a chunked response, which must be complete."""
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            assert data == b"\r\n", data
            return body
        body, data = body + data[:length], data[length + 2 :]
