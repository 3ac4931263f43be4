"""One Docker Engine over HTTP: requests, streams and hijacked connections.

Only transport lives here; `engine.py` has the calls. Connections are kept and reused. A connection that the engine has
closed meanwhile is noticed before a request is written to it (it is readable), so nothing is ever sent twice.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

import httptools
import orjson

from app import metrics
from app.engine.http_message import MAX_REFUSAL, Answer, Answers, read_body, read_head, refused, request
from app.errors import Internal, Unavailable
from app.stream import json_stream

CONNECT_TIMEOUT = 5.0
#: For an answer that only tells of what is there.
THEN_SECONDS = 20.0
MAX_IDLE = 32


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
        """The JSON messages of a progress or event stream, each as soon as it is whole."""
        try:
            yield from json_stream.split(self.chunks(65536))
        except ValueError as error:
            raise Internal("the node sent a malformed message") from error

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            whole = self.response.isclosed() or self.response.length == 0
            self.response.close()
            if whole:
                self._client.give_back(self._connection)
            else:
                # Closing is how an engine learns that nobody wants the rest: it ends a pull, for one.
                self._connection.close()

    def abort(self) -> None:
        """End a read that another thread waits in; closing would wait for that read."""
        sock = self._connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, target: tuple[str, int] | str) -> None:
        super().__init__("engine", blocksize=262144)
        self._target = target

    def connect(self) -> None:
        if isinstance(self._target, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(CONNECT_TIMEOUT)
            try:
                sock.connect(self._target)
            except OSError:
                sock.close()
                raise
        else:
            sock = socket.create_connection(self._target, CONNECT_TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.sock = sock


class EngineClient:
    """`url` is unix:///path or tcp://host:port; `version` is the API version that requests are made in ("1.41")."""

    def __init__(self, url: str, *, version: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            self._target: tuple[str, int] | str = parts.path
        elif parts.scheme == "tcp" and parts.hostname:
            self._target = (parts.hostname, parts.port or 2376)
        else:
            raise ValueError(f"an engine's url is unix:///path or tcp://host:port, not {url!r}")
        self.version = version
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
        return _decoded(self._exchange(method, path, query, body, headers, timeout)[0])

    def json_then(
        self,
        method: str,
        path: str,
        then: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout: float = 60.0,
        meanwhile: Callable[[], object] | None = None,
    ) -> tuple[Any, Any]:
        """`json`, and what a GET of `then` says right after it: None where the engine refuses that.

        The second request is on its way before the first is answered, which saves a way there and back. `meanwhile` is
        done between the two: what it reads is older than what the engine looks at for the second.
        """
        first, *second = self._exchange(method, path, query, body, None, timeout, meanwhile, then)
        return _decoded(first), _decoded(second[0]) if second and second[0].status < 300 else None

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str] | None,
        timeout: float,
        meanwhile: Callable[[], object] | None = None,
        then: str = "",
    ) -> list[Answer]:
        """The answer, and where it is not a refusal the one to `then`."""
        connection = self._take()
        try:
            with _counted(method, path) as answered:
                if connection.sock is None:
                    connection.connect()
                connection.sock.settimeout(timeout)
                connection.sock.sendall(request(method, self._url(path, query), body, headers))
                if meanwhile is not None:
                    meanwhile()
                if then:
                    connection.sock.sendall(request("GET", self._url(then, None), None, None))
                coming = Answers(connection.sock)
                answers = [coming.next()]
                answered(answers[0].status)
            if then and answers[0].status < 300:
                with _counted("GET", then) as answered:
                    connection.sock.settimeout(THEN_SECONDS)
                    answers.append(coming.next())
                    answered(answers[1].status)
        except (OSError, EOFError, httptools.HttpParserError) as error:
            connection.close()
            raise Unavailable("the node that runs this cannot be reached", retry_after=5) from error
        except BaseException:
            connection.close()
            raise
        # One that still has an answer to give cannot be used again.
        if answers[-1].keeps and len(answers) == (2 if then else 1):
            self.give_back(connection)
        else:
            connection.close()
        return answers

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
        with _counted(method, path) as answered:
            try:
                try:
                    self._send(connection, method, path, query, body, chunks, headers, timeout)
                except (BrokenPipeError, ConnectionResetError):
                    # An engine that wants no more of a body answers and closes; the answer says why.
                    if chunks is None or connection.sock is None:
                        raise
                response = connection.getresponse()
                refusal = response.read(MAX_REFUSAL) if response.status >= 300 else None
                answered(response.status)
                if refusal is None and response.length is None and not response.chunked:
                    # Engines frame all that is read here; what ends with the connection is a head that was cut.
                    raise http.client.IncompleteRead(b"")
            except _SourceFailed as error:
                answered(400)  # by us, or by whoever sends the body
                connection.close()
                raise error.reason from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise Unavailable("the node that runs this cannot be reached", retry_after=5) from error
            except BaseException:
                connection.close()
                raise
        answer = Body(response, self, connection)
        if refusal is not None:
            answer.close()
            raise refused(response.status, refusal)
        return answer

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: tuple[IO[bytes], int] | None = None,
        upgrade: bool = False,
        websocket: str = "",
        version: str = "",
        unframed: bool = False,
        timeout: float = 60.0,
    ) -> RawStream:
        """Send a request and hand over the connection behind the response head.

        `content` is an archive to send: a file and its length. `upgrade` asks for a hijack (101). `unframed` speaks
        HTTP/1.0, so that the body comes without chunk framing and ends with the connection. Raises as `json` does when
        the status is not 101 or 2xx.
        """
        connection = _Connection(self._target)
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"} if upgrade else {"Connection": "close"}
        if websocket:
            # The other end's key, so that the engine's frames fit the other end.
            headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "http://engine"}
            headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": websocket}
        if unframed:
            connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
        with _counted(method, path) as answered:
            try:
                prefix = f"/v{version}" if version else self._prefix
                self._send(connection, method, path, query, body, None, headers, timeout, content, prefix)
                sock = connection.sock
                # http.client would close the socket under us at "Connection: close", so the head is read by hand.
                status, fields, leftover = read_head(sock)
                refusal = read_body(sock, fields, leftover) if status >= 300 else None
                answered(status)
            except (OSError, ValueError, http.client.HTTPException) as error:
                connection.close()
                raise Unavailable("the node that runs this cannot be reached", retry_after=5) from error
            except BaseException:
                connection.close()
                raise
        if refusal is not None:
            connection.close()
            raise refused(status, refusal)
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
            if not _readable(connection.sock):
                return connection
            connection.close()
        return _Connection(self._target)

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
        content: tuple[IO[bytes], int] | None = None,
        prefix: str | None = None,
    ) -> None:
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(timeout)
        url = self._url(path, query, prefix)
        sent = dict(headers or {})
        data: Any = None
        if chunks is not None:
            data = _guarded(chunks)
            sent.setdefault("Content-Type", "application/x-tar")
        elif content is not None:
            data = content[0]
            sent |= {"Content-Type": "application/x-tar", "Content-Length": str(content[1])}
        elif body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection.request(method, url, body=data, headers=sent, encode_chunked=chunks is not None)

    def _url(self, path: str, query: Mapping[str, Any] | None, prefix: str | None = None) -> str:
        url = (self._prefix if prefix is None else prefix) + quote(path, safe="/:@")
        if query:
            url += "?" + urlencode({k: v for k, v in query.items() if v is not None}, doseq=True)
        return url


class _SourceFailed(Exception):
    """Making the request's body failed; the connection to the engine is fine."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


def _guarded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """`chunks`, whose errors may be those of another socket and must not pass for the engine's."""
    try:
        yield from chunks
    except Exception as error:
        raise _SourceFailed(error) from error


@contextlib.contextmanager
def _counted(method: str, path: str) -> Iterator[Callable[[int], None]]:
    """Counts a call and its time; what is yielded takes the status of its answer."""
    began, outcome = time.monotonic(), "unreachable"

    def answered(status: int) -> None:
        nonlocal outcome
        outcome = "ok" if status < 400 else "refused" if status < 500 else "failed"

    try:
        yield answered
    finally:
        metrics.count_engine_call(method, path, outcome, time.monotonic() - began)


def _decoded(answer: Answer) -> Any:
    """Raises the kind that fits a refusal."""
    if answer.status >= 300:
        raise refused(answer.status, answer.body[:MAX_REFUSAL])
    try:
        return orjson.loads(answer.body) if answer.body else None
    except ValueError as error:
        raise Internal("the node sent a malformed answer") from error


def _readable(sock: socket.socket) -> bool:
    """Whether there is something to read, or the end. (`select` knows no descriptor above 1023.)"""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
