"""One Docker Engine over HTTP: requests, streams and hijacked connections.

Only transport lives here; `engine.py` has the calls. Connections are kept and reused. A connection that the engine has
closed meanwhile is noticed before a request is written to it (it is readable), so nothing is ever sent twice.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from app.engine.errors import from_status
from app.errors import Error, Internal, Unavailable

CONNECT_TIMEOUT = 5.0
MAX_IDLE = 32


@dataclass(frozen=True)
class Tls:
    """Files for mutual TLS with an engine; the engine's certificate must name `server_name`."""

    ca_file: str
    cert_file: str
    key_file: str
    server_name: str


@dataclass
class RawStream:
    """An engine connection after its response head: the relay's raw material. `leftover` was read behind the head."""

    sock: socket.socket
    status: int
    headers: Message
    leftover: bytes = b""

    def close(self) -> None:
        self.sock.close()


@dataclass
class Body:
    """A response body that is read as it comes. Close it, or the connection is lost to the pool."""

    response: http.client.HTTPResponse
    _client: EngineClient
    _connection: http.client.HTTPConnection
    _closed: bool = field(default=False)

    def chunks(self, size: int = 262144) -> Iterator[bytes]:
        try:
            while block := self.response.read1(size):
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("the connection to the node was lost") from error

    def messages(self) -> Iterator[dict[str, Any]]:
        """The JSON messages of a progress or event stream: one object after another, however they are cut."""
        decoder = json.JSONDecoder()
        text = b""
        for block in self.chunks(65536):
            text += block
            while True:
                stripped = text.lstrip()
                if not stripped:
                    text = b""
                    break
                end = stripped.find(b"\n")
                line = stripped if end < 0 else stripped[:end]
                try:
                    decoded = line.decode()
                    message, used = decoder.raw_decode(decoded)
                except (UnicodeDecodeError, json.JSONDecodeError):
                    if end >= 0:
                        raise Internal("the node sent a malformed message") from None
                    text = stripped
                    break
                yield message
                text = stripped[len(decoded[:used].encode()) :]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self.response.isclosed():
                self._client.give_back(self._connection)
            else:
                # Closing is how an engine learns that nobody wants the rest: it ends a pull, for one.
                self._connection.close()
            self.response.close()

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, target: tuple[str, int] | str, tls: ssl.SSLContext | None, server_name: str) -> None:
        super().__init__("engine")
        self._target = target
        self._tls = tls
        self._server_name = server_name

    def connect(self) -> None:
        if isinstance(self._target, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(CONNECT_TIMEOUT)
            sock.connect(self._target)
        else:
            sock = socket.create_connection(self._target, CONNECT_TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_hostname=self._server_name)
        self.sock = sock


class EngineClient:
    """`url` is unix:///path or tcp://host:port; `version` is the API version that requests are made in ("1.41")."""

    def __init__(self, url: str, *, version: str = "", tls: Tls | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            self._target: tuple[str, int] | str = parts.path
        elif parts.scheme == "tcp" and parts.hostname:
            self._target = (parts.hostname, parts.port or 2376)
        else:
            raise ValueError(f"an engine's url is unix:///path or tcp://host:port, not {url!r}")
        self._context: ssl.SSLContext | None = None
        self._server_name = tls.server_name if tls else ""
        if tls:
            self._context = ssl.create_default_context(cafile=tls.ca_file)
            self._context.load_cert_chain(tls.cert_file, tls.key_file)
        self._prefix = f"/v{version}" if version else ""
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    # -- requests ------------------------------------------------------------------------------------------------

    def json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Any:
        """The decoded JSON answer (None where there is no body).

        Raises the kind that fits the engine's status, with the engine's words; Unavailable where it does not answer.
        """
        response = self.open(method, path, query=query, body=body, headers=headers, timeout=timeout)
        try:
            data = response.response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("the node did not answer in time") from error
        finally:
            response.close()
        return json.loads(data) if data else None

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        chunks: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = 60.0,
    ) -> Body:
        """Like `json`, but hands over the body to be read as it comes. `chunks` is sent as a chunked request body."""
        connection = self._take()
        try:
            self._send(connection, method, path, query, body, chunks, headers, timeout)
            response = connection.getresponse()
            if response.status >= 300:
                raise _refusal(response.status, response.read(65536))
        except Error:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unavailable("the node that runs this cannot be reached", retry_after=5) from error
        except BaseException:
            connection.close()
            raise
        return Body(response, self, connection)

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        upgrade: bool = False,
        unframed: bool = False,
        timeout: float = 60.0,
    ) -> RawStream:
        """Send a request and hand over the connection behind the response head.

        `upgrade` asks for a hijack (101). `unframed` speaks HTTP/1.0, so that the body comes without chunk framing
        and ends with the connection. Raises as `json` does when the status is not 101 or 2xx.
        """
        connection = _Connection(self._target, self._context, self._server_name)
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"} if upgrade else {"Connection": "close"}
        if unframed:
            connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
        try:
            self._send(connection, method, path, query, body, None, headers, timeout)
            sock = connection.sock
            # http.client would close the socket under us at "Connection: close", so the head is read by hand.
            status, fields, leftover = _read_head(sock)
            if status >= 300:
                length = int(fields.get("Content-Length") or 0)
                while len(leftover) < length and (block := sock.recv(65536)):
                    leftover += block
                raise _refusal(status, leftover)
        except Error:
            connection.close()
            raise
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            raise Unavailable("the node that runs this cannot be reached", retry_after=5) from error
        sock.setblocking(False)
        return RawStream(sock, status, fields, leftover)

    # -- connections ---------------------------------------------------------------------------------------------

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose response was read to its end."""
        with self._lock:
            if connection.sock is not None and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            if not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        return _Connection(self._target, self._context, self._server_name)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        chunks: Iterable[bytes] | None,
        headers: Mapping[str, str] | None,
        timeout: float | None,
    ) -> None:
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(timeout)
        url = self._prefix + quote(path, safe="/:@")
        if query:
            url += "?" + urlencode({k: v for k, v in query.items() if v is not None}, doseq=True)
        sent = dict(headers or {})
        data: Any = None
        if chunks is not None:
            data = iter(chunks)
            sent.setdefault("Content-Type", "application/x-tar")
        elif body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection.request(method, url, body=data, headers=sent, encode_chunked=chunks is not None)


def _refusal(status: int, data: bytes) -> Error:
    text = data.decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = json.loads(text)["message"]
    return from_status(status, text)


def _read_head(sock: socket.socket) -> tuple[int, Message, bytes]:
    """(status, headers, bytes read behind the head). Raises OSError or ValueError."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        block = sock.recv(65536)
        if not block or len(data) > 65536:
            raise ValueError("the engine sent no response head")
        data += block
    line, _, fields = data[: end + 4].partition(b"\r\n")
    return int(line.split()[1]), http.client.parse_headers(io.BytesIO(fields)), data[end + 4 :]
