"""The relay: one epoll loop per worker that carries every long stream between a client and an engine.

`stream.py` says what a stream is, `carrier.py` moves its bytes; here are the thread, what other threads may ask of it,
and the small pool. Nothing in the loop may block or raise out of it: whatever uses the database or an engine runs in
the pool.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from app.errors import TooMany, Unavailable
from app.server.carrier import Carrier, Flow
from app.server.stream import Stream

log = logging.getLogger(__name__)

#: Threads for `finish`, `on_close` and periodic work.
POOL_THREADS = 4
#: For `earlier`: who reads a long history holds up other histories, and nobody's end.
FETCH_THREADS = 2


@dataclass
class _Periodic:
    seconds: float
    work: Callable[[], Any]
    due: float
    running: bool = False


class Relay:
    """Carries streams. Every public method may be called from any thread; the loop's thread starts with the first use.

    `capacity` is the most streams at a time, `share` the most of them that one account has: whoever opens them without
    end leaves room for others.
    """

    def __init__(self, *, capacity: int = 2000, share: int = 500) -> None:
        self._capacity = capacity
        self._share = share
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._flows: dict[Stream, Flow] = {}
        #: Account -> its open streams.
        self._held: Counter[str] = Counter()
        self._commands: deque[Callable[[], None]] = deque()
        self._periodic: list[_Periodic] = []
        #: Bytes of streams that have ended.
        self._moved_up = 0
        self._moved_down = 0

    # ---- for other threads --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of open streams."""
        return len(self._flows)

    def require_room(self, account: str) -> None:
        """Raise `TooMany` or `Unavailable` when a new stream would be refused. To be asked before a head is sent.

        "" is nobody's: it has no share.
        """
        if self._stopping:
            raise Unavailable("the service is restarting", retry_after=2)
        if len(self._flows) >= self._capacity:
            raise TooMany("too many open streams", retry_after=5)
        if account and self._held[account] >= self._share:
            raise TooMany(f"too many open streams: {self._share} of {self._share}", retry_after=5)

    def add(self, stream: Stream) -> None:
        """Carry `stream` until it ends. On `TooMany` and `Unavailable` the sockets stay the caller's."""
        with self._lock:
            self.require_room(stream.account)
            flow = Flow(stream)
            self._flows[stream] = flow
            self._held[stream.account] += 1
        self._call(lambda: self._carrier.begin(flow))

    def totals(self) -> tuple[Counter[str], int, int]:
        """Open streams by kind, and the bytes that all streams since the start have moved, up and down."""
        with self._lock:
            kinds = Counter(stream.kind for stream in self._flows)
            up = self._moved_up + sum(stream.bytes_up for stream in self._flows)
            return kinds, up, self._moved_down + sum(stream.bytes_down for stream in self._flows)

    def identities(self) -> set[Hashable]:
        """The identities of all open streams."""
        with self._lock:
            return {stream.identity for stream in self._flows}

    def cut(self, which: Collection[Hashable] | Callable[[Hashable], bool]) -> int:
        """Close at once every stream whose identity is in `which` (or for which `which` is true); returns how many."""
        matches = which if callable(which) else which.__contains__
        with self._lock:
            chosen = [flow for stream, flow in self._flows.items() if matches(stream.identity)]
        for flow in chosen:
            self._call(lambda flow=flow: self._carrier.close(flow))  # type: ignore[misc]
        return len(chosen)

    def every(self, seconds: float, work: Callable[[], Any]) -> None:
        """Run `work` in the pool every `seconds`, the first time after `seconds`, never twice at a time."""
        periodic = _Periodic(seconds, work, time.monotonic() + seconds)
        self._call(lambda: self._periodic.append(periodic))

    def stop(self, timeout: float = 2.0) -> None:
        """Close all streams, refuse new ones, end the thread; waits at most `timeout` seconds for `on_close` calls."""
        with self._lock:
            self._stopping = True
            thread = self._thread
        if thread is None:
            return
        deadline = time.monotonic() + timeout
        self._call(self._end_loop)
        thread.join(timeout)
        self._fetching.shutdown(wait=False, cancel_futures=True)
        closing = threading.Thread(target=self._pool.shutdown, daemon=True)
        closing.start()
        closing.join(max(0.0, deadline - time.monotonic()))

    # ---- the loop -----------------------------------------------------------------------------------------------

    def _call(self, command: Callable[[], None]) -> None:
        """Run `command` in the loop's thread."""
        with self._lock:
            if self._thread is None:
                self._start()
            if self._running:
                self._commands.append(command)
                os.eventfd_write(self._wake, 1)

    def _start(self) -> None:
        # Not in __init__: nothing of this survives a fork.
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="relay-pool")
        self._fetching = ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="relay-fetch")
        self._carrier = Carrier(self._epoll, self._in_pool, self._fetch, self._closed)
        self._running = True
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def _end_loop(self) -> None:
        for flow in list(self._flows.values()):
            self._carrier.close(flow)
        self._running = False

    def _run(self) -> None:
        while self._running:
            for fd, events in self._epoll.poll(self._timeout()):
                if fd == self._wake:
                    os.eventfd_read(fd)
                    continue
                self._carrier.serve(fd, events)
            self._carrier.serve_again()
            while self._commands:
                try:
                    self._commands.popleft()()
                except Exception:
                    log.exception("a relay command failed")
            self._carrier.end_lingering()
            self._keep_time()
        with self._lock:  # a late command must not write to a descriptor that is something else by then
            self._epoll.close()
            os.close(self._wake)

    def _timeout(self) -> float | None:
        """Seconds until something is due; None without limit."""
        if self._commands:
            return 0
        due = [periodic.due for periodic in self._periodic if not periodic.running]
        if (lingering := self._carrier.due()) is not None:
            due.append(lingering)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _keep_time(self) -> None:
        now = time.monotonic()
        for periodic in self._periodic:
            if periodic.due <= now and not periodic.running:
                periodic.running = True
                self._in_pool(periodic.work, lambda _, periodic=periodic: self._rearm(periodic))  # type: ignore[misc]

    @staticmethod
    def _rearm(periodic: _Periodic) -> None:
        periodic.due = time.monotonic() + periodic.seconds
        periodic.running = False

    def _in_pool(self, work: Callable[[], Any], then: Callable[[Any], None] | None = None) -> None:
        self._submit(self._pool, work, then)

    def _fetch(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self._submit(self._fetching, work, then)

    def _submit(
        self, pool: ThreadPoolExecutor, work: Callable[[], Any], then: Callable[[Any], None] | None = None
    ) -> None:
        """Run `work` in a pool, then `then(result)` in the loop; the result is None when `work` raised."""

        def done(future: Future[Any]) -> None:
            error = future.exception()
            if error is not None:
                log.error("work of a stream failed", exc_info=error)
            if then is not None:
                self._call(lambda: then(None if error is not None else future.result()))

        with contextlib.suppress(RuntimeError):  # the pool is closed: the process is ending
            pool.submit(work).add_done_callback(done)

    def _closed(self, flow: Flow) -> None:
        stream = flow.stream
        with self._lock:
            if self._flows.pop(stream, None) is not None:
                self._moved_up += stream.bytes_up
                self._moved_down += stream.bytes_down
                self._held[stream.account] -= 1
                if not self._held[stream.account]:
                    del self._held[stream.account]
        if stream.on_close is not None:
            self._in_pool(stream.on_close)
