"""What a long stream is: two sockets, and what is to be done with the bytes between them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from app.errors import Internal


class Transform(Protocol):
    """Rewrites what the engine sends on its way to the client."""

    #: True once the engine's message is complete although its connection may stay open (a last chunk, for example).
    ended: bool

    def feed(self, data: bytes) -> bytes:
        """The bytes to send for `data`. Runs in the loop: it must not block. An exception ends the stream."""

    def finish(self) -> bytes:
        """The last bytes, at the engine's end. Runs in the pool: it may use the database or an engine."""


class Collect:
    """Keeps what the engine sends and turns it into the client's last bytes at the end.

    `make` gets all bytes and returns what the client is sent; it runs in the pool.
    """

    def __init__(self, make: Callable[[bytes], bytes], *, limit: int = 1024 * 1024) -> None:
        self.ended = False
        self._make = make
        self._limit = limit
        self._data = bytearray()

    def feed(self, data: bytes) -> bytes:
        self._data += data
        if len(self._data) > self._limit:
            raise Internal("the engine's answer is too large")
        return b""

    def finish(self) -> bytes:
        return self._make(bytes(self._data))


@dataclass(eq=False)
class Stream:
    """One long stream. Both sockets belong to the relay once `Relay.add` has returned."""

    client: socket.socket
    upstream: socket.socket
    #: True when the client's bytes go to the engine too (attach, exec); half-close then passes both ways.
    two_way: bool = False
    #: Bytes for the client ahead of everything else, never transformed (a response head).
    head: bytes = b""
    #: Bytes that were already read from the client (early stdin); they go to the engine.
    from_client: bytes = b""
    #: Bytes that were already read from the engine; they go through `transform` to the client.
    from_upstream: bytes = b""
    transform: Transform | None = None
    #: Gives what goes to the client ahead of what the engine sends, piece by piece as the client takes it; b"" at the
    #: end. Runs in a pool of its own. An exception ends the stream.
    earlier: Callable[[], bytes] | None = None
    #: Whose stream this is, for `Relay.cut`.
    identity: Hashable = None
    #: Whose share of the relay it takes; "" is nobody's.
    account: str = ""
    #: Called once in the pool after both sockets are closed.
    on_close: Callable[[], None] | None = None
    #: What it is, for the figures: attach, exec, logs, events, wait ...
    kind: str = ""
    #: Bytes from the client to the engine, and from the engine.
    bytes_up: int = 0
    bytes_down: int = 0
