"""GET /events: stored history first, then what comes, each account its own.

One thread per process listens at the database and hands new events to the open streams; where there are none it does
not listen, for each notification wakes all who do. A stream's engine side is one end of a socket pair that this thread
writes to, so that the relay carries it like any other.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import structlog

from app.domain import event as domain_event
from app.domain.account import Account
from app.domain.event import Event, Filters
from app.errors import Unavailable
from app.store import events
from app.store.session import Listener, Store
from app.stream.lines import chunk

log = structlog.get_logger()

BATCH = 500
#: Stored events that a stream is given at a time. An event has 17 KiB at the most.
PIECE = 100
#: The longest that a lost notification can go unnoticed.
LOOK_SECONDS = 5.0
#: What a stream may lag behind before it is ended, in bytes.
BUFFER = 4 * 1024 * 1024
FOREVER = 2**63 - 1
#: How long after an event an observer has stored it, unless it is very busy: a stream stays so much longer than its
#: `until`, or what happened right before it would be missing.
LATE = 250_000_000
_LAST_CHUNK = b"0\r\n\r\n"

#: Makes what a client is shown of a message at API 1.44; None hides it. One per version: it is also the key by which
#: an event is encoded once for all who are shown the same.
Shown = Callable[[dict[str, Any]], dict[str, Any] | None]


@dataclass
class OpenEvents:
    """The relay's end of an event stream: a chunked body, its beginning in `leftover`.

    `earlier` gives what goes between that and what comes from `sock`, piece by piece, then b"": an account's history
    may be larger than what one can keep for each of its streams.
    """

    sock: socket.socket
    leftover: bytes
    earlier: Callable[[], bytes] | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"Transfer-Encoding": "chunked"})

    def close(self) -> None:
        self.sock.close()


@dataclass(eq=False)
class _Listener:
    account_id: UUID
    filters: Filters
    #: An observer may store what was before it only now.
    since: int
    until: int
    shown: Shown
    sock: socket.socket
    #: The id of the event behind which it is told; what was before is its history.
    after: int = 0


class Events:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._listeners: set[_Listener] = set()
        self._cursor: int | None = None
        self._stopping = False

    def follow(self) -> None:
        """Start the thread. Once per process, after the fork."""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and with it the open streams."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(LOOK_SECONDS)

    def open(
        self, account: Account, *, since: int | None, until: int | None, filters: Filters, shown: Shown = lambda m: m
    ) -> OpenEvents:
        """`since` and `until` are nanoseconds since 1970. Raises InvalidParameter, Unavailable."""
        domain_event.check_filters(filters)
        last = FOREVER if until is None else until
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        listener = _Listener(account.id, filters, since or 0, last, shown, ours)
        goes_on = last + LATE > time.time_ns()
        # Where nothing more comes, nothing that is stored already may wait for the reader's cursor.
        up_to = FOREVER
        try:
            if goes_on:
                up_to = self._enter(listener)
            past, history = b"", None
            if since is not None or until is not None:
                history = _History(self._store, listener, up_to)
                past = history()
        except BaseException:
            self._drop(listener)
            theirs.close()
            # A cursor that nobody needs any more would be old when the next one comes.
            os.eventfd_write(self._wake, 1)
            raise
        if goes_on:
            os.eventfd_write(self._wake, 1)
        else:
            ours.send(_LAST_CHUNK)
            ours.close()
        return OpenEvents(theirs, past, history if history and history.goes_on else None)

    def _enter(self, listener: _Listener) -> int:
        """From now on it is told what comes behind the event of the id that this returns."""
        with self._lock:
            # The cursor may be behind: the thread has not looked since.
            with self._store.autocommit() as tx:
                listener.after = events.last_id(tx)
            if self._cursor is None or not self._listeners:
                self._cursor = listener.after
            self._listeners.add(listener)
            return listener.after

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        listener: Listener | None = None
        while not self._stopping:
            try:
                if not self._listeners:
                    if listener is not None:
                        listener.close()
                        listener = None
                elif listener is None:
                    # Before the look: what is stored from now on is either seen by it or told.
                    listener = self._store.listen(events.CHANNEL)
                self._catch_up()
                if listener is not None:
                    listener.wait(self._patience(), self._wake)
                else:
                    self._rest()
            except Unavailable:
                # The next connection catches up from the cursor: nothing is lost meanwhile.
                if listener is not None:
                    with contextlib.suppress(Exception):
                        listener.close()
                    listener = None
                time.sleep(1)
            except Exception:
                log.exception("the event reader failed")
                time.sleep(1)
        if listener is not None:
            listener.close()
        with self._lock:
            left = list(self._listeners)
        for stream in left:
            self._drop(stream)
        os.close(self._wake)

    def _rest(self) -> None:
        """Until somebody wants events, or the end."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if poll.poll(LOOK_SECONDS * 1000):
            os.eventfd_read(self._wake)

    def _catch_up(self) -> None:
        new = self._next()
        while new:
            with self._lock:
                listeners = list(self._listeners)
                self._cursor = new[-1].id
            for event in new:
                chunks: dict[Shown, bytes] = {}
                for listener in listeners:
                    if (
                        listener.account_id == event.account_id
                        and event.id > listener.after
                        and listener.since <= event.time_nano <= listener.until
                        and domain_event.passes(event, listener.filters)
                    ):
                        if listener.shown not in chunks:
                            chunks[listener.shown] = _chunk(event, listener.shown)
                        self._send(listener, chunks[listener.shown])
            new = self._next() if len(new) == BATCH else []
        self._end_due()

    def _next(self) -> list[Event]:
        """What is behind the cursor. Without listeners there is none: the next one begins where the events are then."""
        with self._lock:
            if not self._listeners:
                self._cursor = None
            cursor = self._cursor
        if cursor is None:
            return []
        with self._store.autocommit() as tx:
            return events.list_after(tx, cursor, BATCH)

    def _patience(self) -> float:
        with self._lock:
            first = min((listener.until for listener in self._listeners), default=FOREVER)
        return max(0.01, min(LOOK_SECONDS, (first + LATE) / 1e9 - time.time()))

    def _end_due(self) -> None:
        late = time.time_ns() - LATE
        with self._lock:
            due = [listener for listener in self._listeners if listener.until <= late]
            # Before they are told: who asks after the end of one is not to begin where the reader was because of it.
            self._listeners.difference_update(due)
        for listener in due:
            self._send(listener, _LAST_CHUNK)
            self._drop(listener)
        with self._lock:
            open_now = list(self._listeners)
        for listener in open_now:
            # The relay has closed its end: the client is gone.
            with contextlib.suppress(OSError):
                if not listener.sock.recv(1):
                    self._drop(listener)

    def _send(self, listener: _Listener, data: bytes) -> None:
        try:
            if listener.sock.send(data) != len(data):
                self._drop(listener)
        except OSError:
            # The client is gone, or too far behind to be waited for.
            self._drop(listener)

    def _drop(self, listener: _Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)
        listener.sock.close()


class _History:
    """What is stored for a listener already, oldest first. Raises Unavailable."""

    def __init__(self, store: Store, listener: _Listener, up_to_id: int) -> None:
        self._store = store
        self._listener = listener
        with store.autocommit() as tx:
            self._next, self._last = events.span(tx, listener.account_id, listener.since, listener.until, up_to_id)
        self.goes_on = self._last > 0

    def __call__(self) -> bytes:
        """The next piece of the body; b"" at the end."""
        piece = b""
        while self.goes_on and not piece:
            piece = b"".join(map(self._shown, self._read()))
        return piece

    def _read(self) -> list[Event]:
        with self._store.autocommit() as tx:
            its = self._listener
            found = events.list_between(tx, its.account_id, its.since, its.until, self._next, self._last, PIECE)
        self.goes_on = len(found) == PIECE and found[-1].id < self._last
        if found:
            self._next = found[-1].id + 1
        return found

    def _shown(self, event: Event) -> bytes:
        return _chunk(event, self._listener.shown) if domain_event.passes(event, self._listener.filters) else b""


def _chunk(event: Event, shown: Shown) -> bytes:
    """One chunk of the body; none where the event is hidden."""
    message = shown(domain_event.message(event))
    return chunk(orjson.dumps(message) + b"\n") if message else b""
