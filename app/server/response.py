"""The bytes of an answer: gunicorn's response as we send it, and answers to what never reaches the application."""

from __future__ import annotations

from typing import Any

import orjson
from gunicorn.http import errors as http_errors
from gunicorn.http import wsgi

from app.server.client import ClientSocket
from app.server.connection import Connection


class Response(wsgi.Response):
    """gunicorn's response without gunicorn's name in it, its head in one send with the first bytes of the body."""

    headers_sent: bool

    def __init__(self, request: Any, sock: ClientSocket, cfg: Any, connection: Connection) -> None:
        super().__init__(request, sock, cfg)
        self._connection = connection
        self._head = b""

    def default_headers(self) -> list[str]:
        if self.status_code >= 400 and not self._connection.body_is_read():
            self.force_close()
        return [line for line in super().default_headers() if not line.startswith("Server:")]

    def process_headers(self, headers: Any) -> None:
        super().process_headers(headers)
        # gunicorn keeps this one for itself; clients read the engine's system from it.
        self.headers += [(name, value) for name, value in headers if name.lower() == "server"]

    def send_headers(self) -> None:
        if not self.headers_sent:
            lines = self.default_headers() + [f"{name}: {value}\r\n" for name, value in self.headers]
            self._head = "".join([*lines, "\r\n"]).encode("latin-1")
            self.headers_sent = True

    def write(self, arg: bytes) -> None:
        super().write(arg)
        self._send_head()

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:
            data = b"%X\r\n%b\r\n" % (len(data), data)
        self._send_head(data)

    def _send_head(self, data: bytes = b"") -> None:
        head, self._head = self._head, b""
        if head or data:
            self.sock.sendall(head + data if head else data)

    def close(self) -> None:
        self.send_headers()
        self._send_head(b"0\r\n\r\n" if self.chunked else b"")


def error_status(error: http_errors.ParseException) -> str:
    """The status line's text for what gunicorn's parser found."""
    if isinstance(error, http_errors.LimitRequestLine):
        return "414 URI Too Long"
    if isinstance(error, http_errors.LimitRequestHeaders):
        return "431 Request Header Fields Too Large"
    if isinstance(error, http_errors.UnsupportedTransferCoding):
        return "501 Not Implemented"
    if isinstance(error, http_errors.ExpectationFailed):
        return "417 Expectation Failed"
    return "400 Bad Request"


def error_response(status: str, message: str, request_id: str, *, retry_after: int | None = None) -> bytes:
    """A whole response in Docker's error form, for requests that never reach the application."""
    body = orjson.dumps({"message": message.encode("utf-8", "replace").decode()}) + b"\n"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    if retry_after is not None:
        head += f"Retry-After: {retry_after}\r\n"
    return f"{head}X-Request-Id: {request_id}\r\nConnection: close\r\n\r\n".encode() + body
