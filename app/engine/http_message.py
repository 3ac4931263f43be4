"""HTTP messages to and from an engine: a request as bytes, an answer by a parser in C, and heads read by hand where the
connection behind them is somebody else's."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

import httptools

from app.engine.errors import from_status
from app.errors import Error, Internal

#: The most that is read of an error's body.
MAX_REFUSAL = 65536
#: The most that is read of an answer that is kept whole.
MAX_ANSWER = 64 * 1024 * 1024


def request(method: str, url: str, body: Any, headers: Mapping[str, str] | None) -> bytes:
    """A whole request with a JSON body, or none."""
    fields = {"Host": "engine", **(headers or {})}
    data = b""
    if body is not None:
        data = json.dumps(body).encode()
        fields["Content-Type"] = "application/json"
    if data or method in ("POST", "PUT"):
        fields["Content-Length"] = str(len(data))
    if any("\r" in value or "\n" in value for value in fields.values()):
        raise ValueError("a header is one line")
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {url} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + data


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    #: Whether the connection can be used again.
    keeps: bool


class Answers:
    """Whole answers, as they were asked for, by a parser that needs a tenth of `http.client`'s time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._whole: deque[Answer] = deque()
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)

    def next(self) -> Answer:
        """Raises OSError, EOFError, HttpParserError; Internal where it is too large to be kept."""
        while not self._whole:
            data = self._sock.recv(65536)
            if not data:
                raise EOFError
            self._parser.feed_data(data)
            if len(self._body) > MAX_ANSWER:
                raise Internal("the node's answer is too large")
        return self._whole.popleft()

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._whole.append(Answer(status, bytes(self._body), self._parser.should_keep_alive()))
        self._body.clear()


def refused(status: int, data: bytes) -> Error:
    text = data.decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = json.loads(text)["message"]
    return from_status(status, text)


def read_head(sock: socket.socket) -> tuple[int, Message, bytes]:
    """(status, headers, bytes read behind the head). Raises OSError or ValueError."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        block = sock.recv(65536)
        if not block or len(data) > 65536:
            raise ValueError("the engine sent no response head")
        data += block
    line, _, fields = data[: end + 4].partition(b"\r\n")
    _, status, *_ = line.split()
    return int(status), http.client.parse_headers(io.BytesIO(fields)), data[end + 4 :]


def read_body(sock: socket.socket, fields: Message, data: bytes) -> bytes:
    """The short body behind a head, of which `data` has been read.

    Go cuts bodies over 2 KiB into chunks. An attach that fails after it took the connection just ends it.
    """
    if fields.get("Transfer-Encoding") != "chunked":
        length = int(fields.get("Content-Length") or MAX_REFUSAL)
        while len(data) < length and (block := sock.recv(65536)):
            data += block
        return data[:length]
    while not data.endswith(b"\r\n0\r\n\r\n") and len(data) < MAX_REFUSAL and (block := sock.recv(65536)):
        data += block
    body = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + rest[:length], rest[length + 2 :]
    return body
