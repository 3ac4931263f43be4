"""The gunicorn worker of the front door: a threaded worker in which only complete requests get a thread.

A connection comes from nginx and begins with the preamble (`preamble.py`), exactly once; without a valid one it is
closed. The main loop reads the preamble, each request's head and its small body without blocking and under deadlines
(`connections.py`), so a client that says nothing or little costs a descriptor and never a thread. The request then runs
in the thread pool (`answer.py`), at once or when it is its client's turn (`turns.py`), and the connection comes back to
the loop.

What the application finds in the WSGI environment beside the usual:

* `sdc.preamble`: the connection's `Preamble`. No header is ever evidence of identity.
* `sdc.request_id`: the id of this request, made here and believed from nobody.
* `sdc.connection`: a `Connection`; `take()` hands over the socket for good.
* `sdc.relay`: the worker's `Relay`.

The application object may have methods that the worker calls: `worker_started(relay)`, once, after the fork;
`worker_retires()`, when new workers have taken over; `client_of(preamble)`, the word by which a client's requests take
turns, and whether it is known to be so (without it each connection is a client); `takes_long(head)`, whether a request
that begins with these bytes holds a thread for long.

Two signals end a worker. SIGTERM: what runs has `graceful_timeout`. SIGWINCH retires it: others serve what is new, and
what is open here, requests, streams and kept connections, goes on for `retire_seconds` at most (`arbiter.py`).

This is a subclass of gunicorn's `ThreadWorker` and leans on its internals, so one version is accepted and no other.
HTTP/2 never starts: the two places of the parent that could are not called.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import select
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import gunicorn
from gunicorn.errors import ConfigError
from gunicorn.workers.gthread import ThreadWorker

from app import metrics
from app.server.answer import Answerer, note_refusal
from app.server.client import READ_SIZE, ClientSocket
from app.server.connection import Connection, Outcome, Phase
from app.server.connections import Connections
from app.server.head import HEAD_LIMIT
from app.server.preamble import PreambleError, parse
from app.server.relay import Relay
from app.server.response import error_response
from app.server.turns import TooManyWaiting, Turn, Turns

GUNICORN_VERSION = "27.0.1"
if gunicorn.__version__ != GUNICORN_VERSION:
    raise RuntimeError(f"this worker is made for gunicorn {GUNICORN_VERSION}, not {gunicorn.__version__}")

#: The most input that is thrown away while a connection is being closed.
LINGER_BYTES = 16 * 1024 * 1024
#: Seconds that kept-alive connections stay open when the worker stops, for requests already on their way.
STOP_IDLE_SECONDS = 2.0
#: The master kills a worker at graceful_timeout; the worker itself closes what is left this much earlier.
STOP_MARGIN_SECONDS = 3.0
#: How often the gauges are set.
GAUGE_SECONDS = 1.0
#: How long a thread waits for the next request of a connection, and how often the worker shows that it lives.
FOLLOW_SECONDS = 0.002
NOTIFY_SECONDS = 1.0


class FrontDoorWorker(ThreadWorker):
    """See the module's docstring."""

    alive: bool
    #: The longest that streams go on after SIGWINCH; gunicorn.conf.py sets it.
    retire_seconds = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: Connections
        self._answerer: Answerer
        self._accept_after = 0.0
        self._gauges_due = 0.0
        self._notify_due = 0.0
        self._retired = False
        self._stopping = False
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

    # ---- the worker's life --------------------------------------------------------------------------------------

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
        self._connections = Connections(self.poller, float(self.cfg.keepalive))
        self._turns: Turns[Connection] = Turns(self.cfg.threads)
        self._client_of = getattr(self.wsgi, "client_of", lambda preamble: (str(preamble.source_port), True))
        self._takes_long = getattr(self.wsgi, "takes_long", lambda head: False)
        self._answerer = Answerer(self.wsgi, self.cfg, self.relay)
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        while self.alive and self.is_parent_alive():
            self._turn(accepting=self._has_room())
        if self._retired and not self._stopping:
            retires = getattr(self.wsgi, "worker_retires", None)
            if retires is not None:
                retires()
            until = time.monotonic() + self.retire_seconds
            self._turn_until(until, lambda: not self._stopping and self.is_parent_alive())
        self._stop_gracefully()

    def handle_winch(self, sig: Any, fname: Any) -> None:
        """SIGWINCH: leave what is new to others, and carry what is open to its end."""
        self._retired = True
        super().handle_exit(sig, fname)

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """SIGTERM: stop within graceful_timeout, retired or not."""
        self._stopping = True
        super().handle_exit(sig, frame)

    def _turn_until(self, deadline: float, as_long_as: Callable[[], bool] = lambda: True) -> None:
        """Go on without new connections until all is done, or the deadline."""
        while (len(self._connections) or len(self.relay)) and time.monotonic() < deadline and as_long_as():
            self._turn(accepting=False)

    def _stop_gracefully(self) -> None:
        """Let requests and streams end within graceful_timeout, then close what is left."""
        self._connections.shorten_idle(STOP_IDLE_SECONDS)
        self._turn_until(time.monotonic() + max(self.cfg.graceful_timeout - STOP_MARGIN_SECONDS, 0.0))
        self.set_accept_enabled(False)
        self.tpool.shutdown(wait=False, cancel_futures=True)
        self._connections.end_all()
        self.relay.stop()
        self._set_gauges()
        for listener in self.sockets:
            listener.close()

    # ---- the main loop ------------------------------------------------------------------------------------------

    def _turn(self, *, accepting: bool) -> None:
        """One turn of the loop: a sign of life, events, deadlines."""
        now = time.monotonic()
        if now >= self._notify_due:
            self._notify_due = now + NOTIFY_SECONDS
            self.notify()
        self.set_accept_enabled(accepting)
        self.wait_for_and_dispatch_events(timeout=0.5)
        self._connections.drop_overdue()
        now = time.monotonic()
        if now >= self._gauges_due:
            self._gauges_due = now + GAUGE_SECONDS
            self._set_gauges()

    def _set_gauges(self) -> None:
        metrics.set_worker(
            connections=len(self._connections),
            busy=self._connections.count(Phase.BUSY),
            threads=self.cfg.threads,
            waiting=self.tpool._work_queue.qsize() + self._connections.count(Phase.WAITING),
        )
        metrics.set_streams(*self.relay.totals())

    def _has_room(self) -> bool:
        """Whether to accept; when not, the other workers do, or the connection waits in the kernel."""
        if self._connections.count(Phase.BUSY) >= self.cfg.threads:
            return False
        if len(self._connections) >= self.worker_connections:
            # Somebody new goes before somebody who has nothing to ask at the moment.
            return self._connections.drop_idle()
        return time.monotonic() >= self._accept_after

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
        connection = Connection(sock, listener.getsockname(), self.cfg)
        connection.on_readable = lambda _: self._guarded(self._readable, connection)
        self._connections.enter(connection, Phase.HEAD)

    def _guarded(self, step: Callable[[Connection], None], connection: Connection) -> None:
        """An error in one connection ends that connection and not the worker."""
        try:
            step(connection)
        except OSError:
            self._connections.drop(connection)
        except Exception:
            self.log.exception("a connection was closed by an error")
            self._connections.drop(connection)

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        if not data:
            self._connections.drop(connection)
        elif connection.phase is Phase.LINGER:
            connection.drained += len(data)
            if connection.drained > LINGER_BYTES:
                self._connections.drop(connection)
        else:
            if connection.phase is Phase.IDLE:
                self._connections.enter(connection, Phase.HEAD)
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
                self._connections.drop(connection)
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
        elif head.is_whole():
            self._dispatch(connection)
        elif connection.phase is not Phase.BODY:
            if head.expects_continue:
                connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                connection.continued = True
            self._connections.enter(connection, Phase.BODY)

    def _refuse(self, connection: Connection, status: str, message: str, *, retry_after: int | None = None) -> None:
        request_id = str(uuid4())
        note_refusal(connection, request_id, status, message)
        with contextlib.suppress(BlockingIOError):
            connection.sock.send(error_response(status, message, request_id, retry_after=retry_after))
        self._connections.linger(connection)

    def _dispatch(self, connection: Connection) -> None:
        """A request is whole: it gets a thread, or waits for its client's turn."""
        client, known = self._client_of(connection.preamble)
        turn = Turn(client, known, self._takes_long(connection.head.buffer))
        connection.turn = turn
        try:
            if self._turns.ask(connection, turn):
                self._run(connection)
            else:
                self._connections.enter(connection, Phase.WAITING)
        except TooManyWaiting:
            connection.turn = None
            self._refuse(connection, "429 Too Many Requests", "too many requests at a time", retry_after=5)

    def _run(self, connection: Connection) -> None:
        try:
            self._connections.enter(connection, Phase.BUSY)
            connection.give_to_parser()
            self.enqueue_req(connection)
        except BaseException:
            # There is no thread to be had, say. Others may have the turn, once this is dropped.
            self.method_queue.defer(self._give_back, connection)
            raise

    def handle(self, conn: Connection) -> Outcome:
        """Answer one request (in a thread), and those that follow on its heels."""
        while True:
            self.nr += 1
            if self.nr >= self.max_requests and self.alive:
                self.log.info("Autorestarting worker after current request.")
                self.alive = False
            outcome = self._answerer.answer(conn, closing=not self.alive)
            if outcome is not Outcome.KEEP or not self._follows(conn):
                return outcome

    def _follows(self, connection: Connection) -> bool:
        """Whether the next request is here, whole, within a moment (in a thread).

        A client that asks one thing after another is answered without the way through the main loop, which costs two
        changes of threads. Nobody waits for it: only while half of the threads are idle does one stay for so long.
        """
        if not self.alive or self._connections.count(Phase.BUSY) > self.cfg.threads // 2:
            return False
        if self._connections.count(Phase.WAITING):
            return False
        head, sock = connection.head, connection.sock
        head.buffer += connection.unreader.take_buffered()
        if not head.buffer:
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            if poll.poll(FOLLOW_SECONDS * 1000):
                head.buffer += sock.recv(READ_SIZE, socket.MSG_DONTWAIT)
        # What is not a whole request, the end of the connection too, is the main loop's, and so are long calls' turns.
        if not head.is_whole() or self._takes_long(head.buffer):
            return False
        connection.continued = False
        connection.give_to_parser()
        return True

    def finish_request(self, conn: Connection, fs: Future[Outcome]) -> None:
        """Take a connection back from a thread (in the main loop)."""
        self._give_back(conn)
        self._guarded(lambda connection: self._finish(connection, fs), conn)

    def _give_back(self, connection: Connection) -> None:
        turn, connection.turn = connection.turn, None
        for due in self._turns.give_back(turn) if turn else ():
            self._guarded(self._run, due)

    def _finish(self, connection: Connection, future: Future[Outcome]) -> None:
        outcome = Outcome.CLOSE if future.cancelled() else future.result()
        if outcome is Outcome.TAKEN:
            self._connections.forget(connection)
        elif outcome is Outcome.CLOSE:
            self._connections.linger(connection)
        else:
            connection.sock.setblocking(False)
            connection.continued = False
            connection.head.buffer += connection.unreader.take_buffered()
            if connection.head.buffer:
                self._connections.enter(connection, Phase.HEAD)
                self._advance(connection)
            else:
                self._connections.enter(connection, Phase.IDLE)
