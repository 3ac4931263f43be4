"""The gunicorn worker of the front door: a threaded worker in which only complete requests get a thread.

A connection comes from nginx and begins with the preamble (`preamble.py`), exactly once; without a valid one it is
closed. The main loop reads the preamble, each request's head and its small body without blocking and under deadlines,
so a client that says nothing or little costs a descriptor and never a thread. The request then runs in the thread pool,
through gunicorn's own parser and response, and the connection comes back to the loop.

What the application finds in the WSGI environment beside the usual:

* `sdc.preamble`: the connection's `Preamble`. No header is ever evidence of identity.
* `sdc.connection`: a `Connection`; `take()` hands over the socket for good.
* `sdc.relay`: the worker's `Relay`.

If the application object has a method `worker_started(relay)`, it is called once in each worker, after the fork.

This is a subclass of gunicorn's `ThreadWorker` and leans on its internals, so one version is accepted and no other.
HTTP/2 never starts: the two places of the parent that could are not called.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from enum import Enum, auto
from typing import Any

import gunicorn
import orjson
from gunicorn.errors import ConfigError
from gunicorn.http import errors as http_errors
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import ThreadWorker

from app.errors import InvalidParameter
from app.server.head import HEAD_LIMIT, Head
from app.server.preamble import Preamble, PreambleError, parse
from app.server.relay import Relay

GUNICORN_VERSION = "27.0.1"
if gunicorn.__version__ != GUNICORN_VERSION:
    raise RuntimeError(f"this worker is made for gunicorn {GUNICORN_VERSION}, not {gunicorn.__version__}")

#: Seconds from the first byte (or the accept) to a complete preamble and head.
HEAD_SECONDS = 10.0
#: Seconds for a small body behind its head.
BODY_SECONDS = 30.0
#: Seconds and bytes of remaining input that are drained before a connection is closed: closing with unread input
#: resets it, which can destroy the response on its way.
LINGER_SECONDS = 3.0
LINGER_BYTES = 16 * 1024 * 1024
#: A thread waits at most this long for the client to send or take anything ...
IO_SECONDS = 60.0
#: ... and not for a client that moves fewer bytes per second, averaged over that time.
MINIMUM_RATE = 1000
#: Seconds that kept-alive connections stay open when the worker stops, for requests already on their way.
STOP_IDLE_SECONDS = 2.0
#: The master kills a worker at graceful_timeout; the worker itself closes what is left this much earlier.
STOP_MARGIN_SECONDS = 3.0
READ_SIZE = 64 * 1024


class Phase(Enum):
    """Where a connection is. All but BUSY are in the main loop; each of those has a deadline of constant length."""

    HEAD = auto()
    BODY = auto()
    IDLE = auto()
    LINGER = auto()
    BUSY = auto()


class Outcome(Enum):
    """What becomes of a connection after a request."""

    KEEP = auto()
    CLOSE = auto()
    #: The application took the socket; nothing of the connection is left here.
    TAKEN = auto()


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


class Connection:
    """One connection from nginx. The application sees it as `environ["sdc.connection"]` and may `take()` it."""

    def __init__(self, sock: ClientSocket, server: Any, cfg: Any) -> None:
        self.sock = sock
        self.server = server
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
        self.on_readable: Callable[[Any], None]

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


class FrontDoorWorker(ThreadWorker):
    """See the module's docstring."""

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phases: dict[Phase, dict[Connection, None]] = {phase: {} for phase in Phase}
        self._accept_after = 0.0
        self._stop_at = 0.0
        self.relay = Relay()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse settings that would let a header, or a connection without preamble, speak for a client."""
        for name, wanted in (
            ("forwarder_headers", []),
            ("header_map", "refuse"),
            ("proxy_protocol", "off"),
            ("secure_scheme_headers", {}),
        ):
            if getattr(cfg, name) != wanted:
                raise ConfigError(f"{name} must be {wanted!r}, not {getattr(cfg, name)!r}")
        if cfg.is_ssl or cfg.protocol != "http":
            raise ConfigError("this worker speaks plain HTTP/1.1 behind nginx")

    # ---- the main loop ------------------------------------------------------------------------------------------

    def init_process(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        started = getattr(self.wsgi, "worker_started", None)
        if started is not None:
            started(self.relay)

    def run(self) -> None:
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        while self.alive and self.is_parent_alive():
            self._turn(accepting=self._has_room())
        self._stop_gracefully()

    def _turn(self, *, accepting: bool) -> None:
        """One turn of the loop: a sign of life, events, deadlines."""
        self.notify()
        self.set_accept_enabled(accepting)
        self.wait_for_and_dispatch_events(timeout=0.5)
        self._close_overdue()

    def _has_room(self) -> bool:
        """Whether to accept; when not, the other workers do, or the connection waits in the kernel."""
        if len(self._phases[Phase.BUSY]) >= self.cfg.threads:
            return False
        if self.nr_conns >= self.worker_connections:
            # Somebody new goes before somebody who has nothing to ask at the moment.
            for connection in self._phases[Phase.IDLE]:
                self._drop(connection)
                return True
            return False
        return time.monotonic() >= self._accept_after

    def _stop_gracefully(self) -> None:
        """Let requests and streams end within graceful_timeout, then close what is left."""
        now = time.monotonic()
        self._stop_at = now + max(self.cfg.graceful_timeout - STOP_MARGIN_SECONDS, 0.0)
        for connection in self._phases[Phase.IDLE]:
            connection.deadline = min(connection.deadline, now + STOP_IDLE_SECONDS)
        while (self.nr_conns > 0 or len(self.relay) > 0) and time.monotonic() < self._stop_at:
            self._turn(accepting=False)
        self.set_accept_enabled(False)
        self.tpool.shutdown(wait=False, cancel_futures=True)
        for phase in self._phases.values():
            for connection in list(phase):
                # Ends whatever a thread is waiting for; the thread closes the socket by forgetting it.
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        self.relay.stop()
        for listener in self.sockets:
            listener.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        for key, _ in self.poller.select(timeout):
            key.data(key.fileobj)

    def accept(self, listener: Any) -> None:
        try:
            accepted, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self.log.error("no new connections for a second: %s", error)
                self._accept_after = time.monotonic() + 1.0
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR):
                raise
            return
        sock = ClientSocket(fileno=accepted.detach())
        sock.setblocking(False)
        self.nr_conns += 1
        connection = Connection(sock, listener.getsockname(), self.cfg)
        connection.on_readable = lambda _: self._guarded(self._readable, connection)
        self._enter(connection, Phase.HEAD)

    def _guarded(self, step: Callable[[Connection], None], connection: Connection) -> None:
        """An error in one connection ends that connection and not the worker."""
        try:
            step(connection)
        except OSError:
            self._drop(connection)
        except Exception:
            self.log.exception("a connection was closed by an error")
            self._drop(connection)

    def _enter(self, connection: Connection, phase: Phase) -> None:
        """Move a connection to `phase`, with the deadline and the registration that belong to it."""
        self._phases[connection.phase].pop(connection, None)
        connection.phase = phase
        self._phases[phase][connection] = None
        seconds = {
            Phase.HEAD: HEAD_SECONDS,
            Phase.BODY: BODY_SECONDS,
            Phase.IDLE: float(self.cfg.keepalive) if self.alive else STOP_IDLE_SECONDS,
            Phase.LINGER: LINGER_SECONDS,
            Phase.BUSY: 0.0,
        }[phase]
        connection.deadline = time.monotonic() + seconds
        if (phase is not Phase.BUSY) != connection.registered:
            connection.registered = not connection.registered
            if connection.registered:
                self.poller.register(connection.sock, selectors.EVENT_READ, connection.on_readable)
            else:
                self.poller.unregister(connection.sock)

    def _forget(self, connection: Connection) -> None:
        """Take a connection out of all lists and out of the count, exactly once."""
        if self._phases[connection.phase].pop(connection, connection) is None:
            self.nr_conns -= 1

    def _drop(self, connection: Connection) -> None:
        """Close a connection at once."""
        if connection.registered:
            connection.registered = False
            self.poller.unregister(connection.sock)
        self._forget(connection)
        connection.sock.close()

    def _linger(self, connection: Connection) -> None:
        """Close a connection after its response: end our side, throw away what still comes, not for long."""
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        self._enter(connection, Phase.LINGER)

    def _close_overdue(self) -> None:
        now = time.monotonic()
        for phase in (Phase.HEAD, Phase.BODY, Phase.IDLE, Phase.LINGER):
            overdue = []
            for connection in self._phases[phase]:
                if connection.deadline > now:
                    break  # the order is the order of entry, and so of the deadlines
                overdue.append(connection)
            for connection in overdue:
                self._drop(connection)

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        if not data:
            self._drop(connection)
        elif connection.phase is Phase.LINGER:
            connection.drained += len(data)
            if connection.drained > LINGER_BYTES:
                self._drop(connection)
        else:
            if connection.phase is Phase.IDLE:
                self._enter(connection, Phase.HEAD)
            connection.head.buffer += data
            self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """See what the bytes so far amount to: more is needed, a refusal, or a request for a thread."""
        head = connection.head
        if connection.preamble is None:
            try:
                parsed = parse(head.buffer)
            except PreambleError as error:
                self.log.warning("a connection without a valid preamble was closed: %s", error)
                self._drop(connection)
                return
            if parsed is None:
                return
            connection.preamble, used = parsed
            connection.parser.source_addr = (connection.preamble.source_address, connection.preamble.source_port)
            del head.buffer[:used]
        if not head.complete():
            if len(head.buffer) > HEAD_LIMIT:
                self._refuse(connection, "431 Request Header Fields Too Large", "the request's head is too large")
            return
        if head.size > HEAD_LIMIT:
            self._refuse(connection, "431 Request Header Fields Too Large", "the request's head is too large")
        elif len(head.buffer) >= head.size + head.small_body:
            self._dispatch(connection)
        elif connection.phase is not Phase.BODY:
            if head.expects_continue:
                connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                connection.continued = True
            self._enter(connection, Phase.BODY)

    def _refuse(self, connection: Connection, status: str, message: str) -> None:
        with contextlib.suppress(BlockingIOError):
            connection.sock.send(error_response(status, message))
        self._linger(connection)

    def _dispatch(self, connection: Connection) -> None:
        self._enter(connection, Phase.BUSY)
        connection.unreader.unread(bytes(connection.head.buffer))
        connection.head = Head()
        self.enqueue_req(connection)

    def finish_request(self, conn: Connection, fs: Future[Outcome]) -> None:
        """Take a connection back from a thread (in the main loop)."""
        self._guarded(lambda connection: self._finish(connection, fs), conn)

    def _finish(self, connection: Connection, future: Future[Outcome]) -> None:
        outcome = Outcome.CLOSE if future.cancelled() else future.result()
        if outcome is Outcome.TAKEN:
            self._forget(connection)
        elif outcome is Outcome.CLOSE:
            self._linger(connection)
        else:
            connection.sock.setblocking(False)
            connection.continued = False
            connection.head.buffer += connection.unreader.take_buffered()
            if connection.head.buffer:
                self._enter(connection, Phase.HEAD)
                self._advance(connection)
            else:
                self._enter(connection, Phase.IDLE)

    # ---- in a thread --------------------------------------------------------------------------------------------

    def handle(self, conn: Connection) -> Outcome:
        """Answer one request."""
        conn.sock.settimeout(IO_SECONDS)
        try:
            request = next(conn.parser)
        except http_errors.ParseException as error:
            status = error_status(error)
            self.log.info("a request was refused: %s: %s", status, error)
            self._say(conn, error_response(status, str(error)))
            return Outcome.CLOSE
        except (StopIteration, OSError):
            return Outcome.CLOSE
        if conn.continued:
            request._expected_100_continue = False
        response, environ = wsgi.create(
            request,
            conn.sock,
            conn.parser.source_addr,
            conn.server,
            self.cfg,
            response_class=Response,
            response_args=(conn,),
        )
        del environ["gunicorn.socket"]  # there is one way to get at the socket, and that is take()
        environ["wsgi.input"] = Input(request.body)
        environ["wsgi.multithread"] = True
        environ["wsgi.url_scheme"] = "https"
        environ["sdc.preamble"] = conn.preamble
        environ["sdc.connection"] = conn
        environ["sdc.relay"] = self.relay
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        if not self.alive:
            response.force_close()
        return self._answer(conn, response, environ)

    def _answer(self, conn: Connection, response: Response, environ: dict[str, Any]) -> Outcome:
        try:
            body = self.wsgi(environ, response.start_response)
            try:
                for piece in body:
                    response.write(piece)
                if not conn.taken:
                    response.close()
            finally:
                if hasattr(body, "close"):
                    body.close()
        except Exception as error:
            return self._failed(conn, response, environ, error)
        if conn.taken:
            return Outcome.TAKEN
        if response.should_close() or not conn.body_is_read():
            return Outcome.CLOSE
        return Outcome.KEEP

    def _failed(self, conn: Connection, response: Response, environ: dict[str, Any], error: Exception) -> Outcome:
        """What to do when the application, or sending its answer, raised."""
        if isinstance(error, ConnectionError | TimeoutError):
            self.log.debug("the client of %s went away: %s", environ["PATH_INFO"], error)
        elif isinstance(error, InvalidParameter):
            self.log.info("the body of %s was refused: %s", environ["PATH_INFO"], error)
        else:
            self.log.error("error handling %s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"], exc_info=error)
        if conn.taken:
            return Outcome.TAKEN
        if not response.headers_sent:
            if isinstance(error, SlowClient):
                self._say(conn, error_response("408 Request Timeout", error.message))
            elif isinstance(error, InvalidParameter):
                self._say(conn, error_response("400 Bad Request", error.message))
            else:
                self._say(conn, error_response("500 Internal Server Error", "internal error"))
        # A chunked response without its last chunk tells the client that something is missing.
        return Outcome.CLOSE

    @staticmethod
    def _say(conn: Connection, data: bytes) -> None:
        with contextlib.suppress(OSError):
            conn.sock.sendall(data)


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


def error_response(status: str, message: str) -> bytes:
    """A whole response in Docker's error form, for requests that never reach the application."""
    body = orjson.dumps({"message": message.encode("utf-8", "replace").decode()}) + b"\n"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    return head.encode() + b"\r\n\r\n" + body
