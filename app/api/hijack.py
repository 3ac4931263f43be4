"""Long streams: the request's thread opens the engine's side, then both connections move to the worker's relay.

A resource calls `hand_over` and returns. The WSGI wrapper, outermost, sees that when Falcon is done, takes the client's
socket from the server and gives both sockets to the relay with the response head in front, so that nothing of the
framework is between a client and its stream. What the client sent behind its request is stdin and goes along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import falcon

from app.api import versions
from app.api.middleware import common_headers

_KEY = "sdc.handover"


@dataclass(frozen=True)
class Handover:
    upstream: Any
    head: bytes
    two_way: bool
    transform: Any
    leftover: bytes
    identity: Any


def require_room(req: falcon.Request) -> None:
    """Raises TooMany or Unavailable before anything is opened for a stream that the relay would refuse."""
    req.env["sdc.relay"].require_room()


def hand_over_hijack(req: falcon.Request, upstream: Any, *, tty: bool) -> None:
    """Answer 101 to a client that asks for an upgrade, 200 to one that does not, and join the streams both ways."""
    wants = "upgrade" in (req.get_header("Connection") or "").lower() and bool(req.get_header("Upgrade"))
    media_type = versions.stream_media_type(req.context.api_version, req.context.operation, tty, wants)
    if wants:
        first = [("Content-Type", media_type), ("Connection", "Upgrade"), ("Upgrade", "tcp")]
        head = _head(req, "101 UPGRADED", first)
    else:
        head = _head(req, "200 OK", [("Content-Type", media_type)])
    _set(req, upstream, head, two_way=True)


def hand_over_body(req: falcon.Request, upstream: Any, media_type: str) -> None:
    """Pass an engine's body on as it is framed: chunked, or with its length."""
    framing = [(k, upstream.headers[k]) for k in ("Transfer-Encoding", "Content-Length") if upstream.headers.get(k)]
    head = _head(req, "200 OK", [("Content-Type", media_type), *framing, ("Connection", "close")])
    _set(req, upstream, head, two_way=False)


def hand_over_collected(req: falcon.Request, upstream: Any, transform: Any) -> None:
    """Send a head at once and the body, which `transform` makes and frames as one chunked body, at the engine's end."""
    framing = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"), ("Connection", "close")]
    _set(req, upstream, _head(req, "200 OK", framing), two_way=False, transform=transform)


def _head(req: falcon.Request, status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in [*headers, *common_headers(req)])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _set(req: falcon.Request, upstream: Any, head: bytes, *, two_way: bool, transform: Any = None) -> None:
    identity = req.context.credential
    req.env[_KEY] = Handover(upstream.sock, head, two_way, transform, upstream.leftover, identity)


class Hijack:
    """The outermost WSGI application. `stream` makes the relay's Stream of keyword arguments."""

    def __init__(self, app: Callable[..., Iterable[bytes]], stream: Callable[..., Any]) -> None:
        self._app = app
        self._stream = stream

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        told: list[Any] = []

        def remember(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            told[:] = [status, headers]

        body = self._app(environ, remember)
        handover = environ.pop(_KEY, None)
        if handover is None:
            start_response(*told)
            return body
        if hasattr(body, "close"):
            body.close()
        self._begin(environ, handover)
        return ()

    def _begin(self, environ: dict[str, Any], handover: Handover) -> None:
        client = None
        try:
            client, early = environ["sdc.connection"].take()
            client.setblocking(False)
            environ["sdc.relay"].add(
                self._stream(
                    client=client,
                    upstream=handover.upstream,
                    two_way=handover.two_way,
                    head=handover.head,
                    from_client=early if handover.two_way else b"",
                    from_upstream=handover.leftover,
                    transform=handover.transform,
                    identity=handover.identity,
                )
            )
        except BaseException:
            handover.upstream.close()
            if client is not None:
                client.close()
            raise
