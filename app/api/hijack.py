"""Long streams: the request's thread opens the engine's side, then both connections move to the worker's relay.

A resource calls `hand_over` and returns. The WSGI wrapper, outermost, sees that when Falcon is done, takes the client's
socket from the server and gives both sockets to the relay with the response head in front, so that nothing of the
framework is between a client and its stream. What the client sent behind its request is stdin and goes along.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import falcon
import structlog

from app.api import versions
from app.api.middleware import common_headers
from app.errors import Error

log = structlog.get_logger()

_KEY = "sdc.handover"
#: RFC 6455, 1.3.
_WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Operation -> what its stream is called where that is not the operation's verb.
_KINDS = {"exec.start": "exec"}


@dataclass(frozen=True)
class Handover:
    upstream: Any
    head: bytes
    two_way: bool
    transform: Any
    leftover: bytes
    identity: Any
    #: What the figures and the log call it.
    kind: str
    #: Of the log's line at its end.
    request_id: str
    account: str
    ended: Callable[[], None] | None = None
    earlier: Callable[[], bytes] | None = None


def require_room(req: falcon.Request) -> None:
    """Raises TooMany or Unavailable before anything is opened for a stream that the relay would refuse."""
    req.env["sdc.relay"].require_room(req.context.account.login)


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


def hand_over_websocket(req: falcon.Request, upstream: Any, key: str) -> None:
    """Accept a websocket whose frames are the engine's own, and join the streams both ways."""
    accept = base64.b64encode(hashlib.sha1(f"{key}{_WEBSOCKET}".encode(), usedforsecurity=False).digest()).decode()
    first = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
    _set(req, upstream, _head(req, "101 Switching Protocols", first), two_way=True)


def hand_over_body(
    req: falcon.Request,
    upstream: Any,
    media_type: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    earlier: Callable[[], bytes] | None = None,
) -> None:
    """Pass an engine's body on as it is framed: chunked, or with its length.

    Between `leftover` and the rest of it goes what `earlier` gives, piece by piece and framed alike; b"" ends that.
    """
    framing = [(k, upstream.headers[k]) for k in ("Transfer-Encoding", "Content-Length") if upstream.headers.get(k)]
    head = _head(req, "200 OK", [("Content-Type", media_type), *headers, *framing, ("Connection", "close")])
    _set(req, upstream, head, two_way=False, earlier=earlier)


def hand_over_collected(
    req: falcon.Request, upstream: Any, transform: Any, *, ended: Callable[[], None] | None = None
) -> None:
    """Send a head at once, and the body as `transform` makes and frames it of what the engine sends.

    `ended` is called once when the stream is over, also where the client has gone.
    """
    framing = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"), ("Connection", "close")]
    _set(req, upstream, _head(req, "200 OK", framing), two_way=False, transform=transform, ended=ended)


def _head(req: falcon.Request, status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in [*headers, *common_headers(req)])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _set(
    req: falcon.Request,
    upstream: Any,
    head: bytes,
    *,
    two_way: bool,
    transform: Any = None,
    ended: Callable[[], None] | None = None,
    earlier: Callable[[], bytes] | None = None,
) -> None:
    try:
        # Much may have happened since it was asked first: a build's context has been read, say.
        require_room(req)
    except Error:
        upstream.sock.close()
        if ended is not None:
            ended()
        raise
    operation = req.context.operation
    req.env["sdc.stream_status"] = int(head[9:12])
    req.env[_KEY] = Handover(
        upstream.sock,
        head,
        two_way,
        transform,
        upstream.leftover,
        req.context.credential,
        kind=_KINDS.get(operation) or operation.partition(".")[2],
        request_id=req.context.id,
        account=req.context.account.login,
        ended=ended,
        earlier=earlier,
    )


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
        began = time.monotonic()
        try:
            client, early = environ["sdc.connection"].take()
            client.setblocking(False)
            stream: Any = self._stream(
                client=client,
                upstream=handover.upstream,
                two_way=handover.two_way,
                head=handover.head,
                from_client=early if handover.two_way else b"",
                from_upstream=handover.leftover,
                transform=handover.transform,
                earlier=handover.earlier,
                identity=handover.identity,
                account=handover.account,
                kind=handover.kind,
                on_close=lambda: _ended(stream, handover, began),
            )
            environ["sdc.relay"].add(stream)
        except BaseException:
            handover.upstream.close()
            if client is not None:
                client.close()
            if handover.ended is not None:
                handover.ended()
            raise


def _ended(stream: Any, handover: Handover, began: float) -> None:
    if handover.ended is not None:
        handover.ended()
    log.info(
        "stream ended",
        request=handover.request_id,
        account=handover.account,
        kind=handover.kind,
        seconds=round(time.monotonic() - began, 1),
        bytes_up=stream.bytes_up,
        bytes_down=stream.bytes_down,
    )
