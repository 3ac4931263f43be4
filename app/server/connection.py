"""One connection from nginx, and where it is."""

from __future__ import annotations

import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from gunicorn.http.parser import RequestParser

from app.errors import InvalidParameter
from app.server.client import IO_SECONDS, BodyUnreader, ClientSocket
from app.server.head import Head
from app.server.preamble import Preamble
from app.server.turns import Turn


class Phase(Enum):
    """Where a connection is. All but BUSY and WAITING are read by the main loop, with a deadline of constant length."""

    HEAD = auto()
    BODY = auto()
    IDLE = auto()
    LINGER = auto()
    #: Its request waits for a thread until others of its client have ended.
    WAITING = auto()
    BUSY = auto()


class Outcome(Enum):
    """What becomes of a connection after a request."""

    KEEP = auto()
    CLOSE = auto()
    #: The application took the socket; nothing of the connection is left here.
    TAKEN = auto()


class Connection:
    """One connection from nginx. The application sees it as `environ["sdc.connection"]` and may `take()` it."""

    def __init__(self, sock: ClientSocket, server: Any, cfg: Any) -> None:
        self.sock = sock
        self.server = server  # the listener's address
        self.preamble: Preamble | None = None
        self.unreader = BodyUnreader(sock)
        self.parser = RequestParser(cfg, sock, ("", 0))
        self.parser.unreader = self.unreader
        self.head = Head()
        self.phase = Phase.BUSY
        self.deadline = 0.0
        self.registered = False
        self.drained = 0
        #: The loop has already sent "100 Continue" for this request.
        self.continued = False
        self.taken = False
        #: What its request counts as while it runs or waits; None between requests.
        self.turn: Turn | None = None
        self.on_readable: Callable[[Any], None]

    def give_to_parser(self) -> None:
        """What was collected of a request is for the parser from now on."""
        self.unreader.unread(bytes(self.head.buffer))
        self.head = Head()

    def body_is_read(self) -> bool:
        """Whether the request's body has been read, or can be thrown away without waiting for the client."""
        self.unreader.offline = True
        try:
            return bool(self.parser.finish_body())
        except Exception:  # a malformed rest: where the next request would start is unknown
            return False
        finally:
            self.unreader.offline = False

    def take(self) -> tuple[socket.socket, bytes]:
        """Hand over the client's socket for good, and the bytes that came behind the request (early stdin).

        The request's body has to be read first. Afterwards the application answers with an empty iterable and without
        `start_response`, and nothing here touches the connection again. Raises `InvalidParameter` when the rest of the
        body is not here, and `RuntimeError` when called twice.
        """
        if self.taken:
            raise RuntimeError("the connection is already taken")
        if not self.body_is_read():
            raise InvalidParameter("the request's body is incomplete")
        early: bytes = self.unreader.take_buffered()
        # detach() and a fresh object: gunicorn's response and parser keep the old one, which is dead from here on. A
        # duplicate would not do, because a shutdown through one reaches the other.
        sock = socket.socket(fileno=self.sock.detach())
        sock.settimeout(IO_SECONDS)
        self.taken = True
        return sock, early
