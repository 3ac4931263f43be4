"""The client's side of a connection while a thread has it: nobody is waited for longer than IO_SECONDS, and nobody who
moves fewer bytes than MINIMUM_RATE."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from gunicorn.http import errors as http_errors
from gunicorn.http.unreader import SocketUnreader

from app.errors import InvalidParameter

#: A thread waits at most this long for the client to send or take anything ...
IO_SECONDS = 60.0
#: ... and not for a client that moves fewer bytes per second, averaged over that time.
MINIMUM_RATE = 1000
READ_SIZE = 64 * 1024


class SlowClient(InvalidParameter, TimeoutError):
    """The client sends its body, or takes its response, too slowly."""


class ClientGone(InvalidParameter, ConnectionResetError):
    """The client closed in the middle of its request's body."""


class Pace:
    """Enforces the minimum rate over the time that was spent waiting for the client; our own time does not count."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._bytes = 0

    def account(self, seconds: float, count: int) -> None:
        """Note that `count` bytes took `seconds`. Raises `SlowClient`."""
        self._waited += seconds
        self._bytes += count
        if self._waited >= IO_SECONDS:
            if self._bytes < MINIMUM_RATE * self._waited:
                raise SlowClient("the connection is too slow")
            self._waited, self._bytes = 0.0, 0


class ClientSocket(socket.socket):
    """A client's socket in a thread: every call waits for IO_SECONDS at most, and a long send keeps the pace."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        view = memoryview(data)
        pace = Pace()
        while view:
            began = time.monotonic()
            sent = self.send(view, flags)
            pace.account(time.monotonic() - began, sent)
            view = view[sent:]


class BodyUnreader(SocketUnreader):
    """gunicorn's reader of a connection: fed with what the loop has read, then reading the socket at a minimum rate."""

    def __init__(self, sock: ClientSocket) -> None:
        super().__init__(sock, READ_SIZE)
        self._pace = Pace()
        #: When True, only what is already here may be read.
        self.offline = False

    def chunk(self, size_hint: int | None = None) -> bytes:
        if self.offline:
            raise SlowClient("the rest of the body is not here yet")
        began = time.monotonic()
        try:
            data: bytes = super().chunk(size_hint)
        except TimeoutError:
            raise SlowClient("the request's body did not arrive in time") from None
        if not data:
            # A head is complete before gunicorn sees it, so this is the middle of a body. An empty read would be taken
            # for the body's end and a truncated upload for a whole one.
            raise ClientGone("the request's body is incomplete")
        self._pace.account(time.monotonic() - began, len(data))
        return data


class Input:
    """`wsgi.input`: gunicorn's body reader, with bad chunk framing as an error kind that the application knows."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int | None = None) -> bytes:
        return self._do(self._body.read, size)  # type: ignore[no-any-return]

    def readline(self, size: int | None = None) -> bytes:
        return self._do(self._body.readline, size)  # type: ignore[no-any-return]

    def readlines(self, size: int | None = None) -> list[bytes]:
        return self._do(self._body.readlines, size)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    @staticmethod
    def _do(read: Callable[[int | None], Any], size: int | None) -> Any:
        try:
            return read(size)
        except (http_errors.ParseException, http_errors.NoMoreData) as error:
            raise InvalidParameter(f"malformed request body: {error}") from error
