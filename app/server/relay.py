"""The relay: one epoll loop per worker that carries every long stream between a client and an engine.

A stream is two sockets, and each direction is: read a block from one, send it to the other at once, keep what did not
fit. A direction reads again only when nothing of it is left unsent, so a slow reader is felt by the writer at the other
end and a stream holds at most one block per direction, whatever its sides do.

Rules that are easy to break:

* End of input is not end of the stream. In a two-way stream (attach, exec) a client's end of input is passed on to the
  engine as a shutdown of the write side, and output goes on. In a one-way stream (logs, events, wait) the client has
  nothing more to say, so its end of input means that it has gone.
* Towards a TLS engine the half-close is a shutdown of the raw descriptor: `SSLSocket.shutdown` would drop the TLS state
  that the engine's output still needs, and `unwrap` would wait for the engine.
* The engine's end is the stream's end. The client's write side is shut down when all is sent; its read side is drained
  for a moment before closing, because a close with unread input resets the connection and can destroy the last output.
* epoll reports a hang-up whether asked or not. A descriptor whose input is not wanted at the time is taken out of the
  epoll set when that happens, or the loop would spin.
* Nothing in the loop may block or raise out of it: whatever uses the database or an engine runs in the small pool.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from app.errors import Internal, TooMany, Unavailable

log = logging.getLogger(__name__)

#: The most that one read takes and that one direction holds.
BLOCK = 256 * 1024
#: Blocks that one stream may move before the others have their turn.
BURST = 4
#: Seconds for which a client's remaining input is drained after its output has ended.
LINGER_SECONDS = 2.0
#: Threads for `finish`, `on_close` and periodic work.
POOL_THREADS = 4

_IN, _OUT, _LOST = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


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
    #: Whose stream this is, for `Relay.cut`.
    identity: Hashable = None
    #: Called once in the pool after both sockets are closed.
    on_close: Callable[[], None] | None = None
    bytes_up: int = 0
    bytes_down: int = 0


class _End:
    """One socket of a stream: what is still to be sent to it, and what is known of its state."""

    __slots__ = ("eof", "fd", "flow", "lost", "mask", "out", "peer", "shut", "shut_wanted", "sock", "tls", "tls_wants")

    peer: _End

    def __init__(self, sock: socket.socket, flow: _Flow) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.flow = flow
        self.tls = isinstance(sock, ssl.SSLSocket)
        #: What a TLS call waits for besides the obvious: reading can need a write and the other way round.
        self.tls_wants = 0
        #: Events registered with epoll; None when not registered.
        self.mask: int | None = None
        self.out: deque[bytes | memoryview] = deque()
        #: Nothing more can be read from it.
        self.eof = False
        #: Its write side is to be shut down once `out` is empty; has been.
        self.shut_wanted = False
        self.shut = False
        #: It hung up: it can still be read to its end, not written to.
        self.lost = False


class _Flow:
    """The loop's view of a stream."""

    __slots__ = ("client", "closed", "finishing", "linger_until", "stream", "up_dead", "upstream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.client = _End(stream.client, self)
        self.upstream = _End(stream.upstream, self)
        self.client.peer, self.upstream.peer = self.upstream, self.client
        #: The transform's `finish` is running in the pool.
        self.finishing = False
        #: The engine takes no more input; its output may go on.
        self.up_dead = False
        #: Set once the client's output is complete: input is drained until then.
        self.linger_until: float | None = None
        self.closed = False


@dataclass
class _Periodic:
    seconds: float
    work: Callable[[], Any]
    due: float
    running: bool = False


class Relay:
    """Carries streams. Every public method may be called from any thread; the loop's thread starts with the first use.

    `capacity` is the most streams at a time.
    """

    def __init__(self, *, capacity: int = 2000) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._flows: dict[Stream, _Flow] = {}
        self._ends: dict[int, _End] = {}
        self._commands: deque[Callable[[], None]] = deque()
        self._periodic: list[_Periodic] = []
        self._lingering: dict[_Flow, None] = {}
        #: TLS ends that hold decrypted bytes, of which epoll knows nothing.
        self._again: dict[_End, None] = {}
        self._block = bytearray(BLOCK)
        self._view = memoryview(self._block)

    # ---- for other threads --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of open streams."""
        return len(self._flows)

    def require_room(self) -> None:
        """Raise `TooMany` or `Unavailable` when a new stream would be refused. To be asked before a head is sent."""
        if self._stopping:
            raise Unavailable("the service is restarting", retry_after=2)
        if len(self._flows) >= self._capacity:
            raise TooMany("too many open streams", retry_after=5)

    def add(self, stream: Stream) -> None:
        """Carry `stream` until it ends. On `TooMany` and `Unavailable` the sockets stay the caller's."""
        with self._lock:
            self.require_room()
            flow = _Flow(stream)
            self._flows[stream] = flow
        self._call(lambda: self._begin(flow))

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
            self._call(lambda flow=flow: self._close(flow))  # type: ignore[misc]
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
        self._epoll.register(self._wake, _IN)
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="relay-pool")
        self._running = True
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def _end_loop(self) -> None:
        for flow in list(self._flows.values()):
            self._close(flow)
        self._running = False

    def _run(self) -> None:
        while self._running:
            for fd, events in self._epoll.poll(self._timeout()):
                if fd == self._wake:
                    os.eventfd_read(fd)
                    continue
                end = self._ends.get(fd)
                if end is not None:  # else it was closed by an earlier event of this round
                    self._guard(end.flow, self._serve, end, events)
            again, self._again = self._again, {}
            for end in again:
                self._guard(end.flow, self._serve, end, _IN)
            while self._commands:
                try:
                    self._commands.popleft()()
                except Exception:
                    log.exception("a relay command failed")
            self._keep_time()
        with self._lock:  # a late command must not write to a descriptor that is something else by then
            self._epoll.close()
            os.close(self._wake)

    def _timeout(self) -> float | None:
        """Seconds until something is due; None without limit."""
        if self._again or self._commands:
            return 0
        due = [periodic.due for periodic in self._periodic if not periodic.running]
        for flow in self._lingering:
            due.append(flow.linger_until or 0)
            break  # the first is the oldest
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _keep_time(self) -> None:
        now = time.monotonic()
        for flow in list(self._lingering):
            if (flow.linger_until or 0) > now:
                break
            self._close(flow)
        for periodic in self._periodic:
            if periodic.due <= now and not periodic.running:
                periodic.running = True
                self._in_pool(periodic.work, lambda _, periodic=periodic: self._rearm(periodic))  # type: ignore[misc]

    @staticmethod
    def _rearm(periodic: _Periodic) -> None:
        periodic.due = time.monotonic() + periodic.seconds
        periodic.running = False

    def _in_pool(self, work: Callable[[], Any], then: Callable[[Any], None] | None = None) -> None:
        """Run `work` in the pool, then `then(result)` in the loop; the result is None when `work` raised."""

        def done(future: Future[Any]) -> None:
            error = future.exception()
            if error is not None:
                log.error("work of a stream failed", exc_info=error)
            if then is not None:
                self._call(lambda: then(None if error is not None else future.result()))

        with contextlib.suppress(RuntimeError):  # the pool is closed: the process is ending
            self._pool.submit(work).add_done_callback(done)

    def _guard(self, flow: _Flow, step: Callable[..., None], *arguments: Any) -> None:
        """Do one step of a stream; an error of any kind ends that stream and no other."""
        if flow.closed:
            return
        try:
            step(*arguments)
            if not flow.closed:
                self._settle(flow)
        except Exception:
            log.exception("a stream was closed by an error")
            self._close(flow)

    # ---- one stream ---------------------------------------------------------------------------------------------

    def _begin(self, flow: _Flow) -> None:
        if flow.closed:  # cut before it began
            return
        for end in (flow.client, flow.upstream):
            end.sock.setblocking(False)
            if end.sock.family in (socket.AF_INET, socket.AF_INET6):
                end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end.fd] = end
        self._guard(flow, self._first_bytes, flow)

    def _first_bytes(self, flow: _Flow) -> None:
        stream = flow.stream
        if stream.head:
            self._send(flow.client, stream.head)
        if stream.from_upstream and not flow.closed:
            self._down(flow, stream.from_upstream)
        if stream.from_client and stream.two_way and not flow.closed:
            stream.bytes_up += len(stream.from_client)
            self._send(flow.upstream, stream.from_client)
        stream.head = stream.from_client = stream.from_upstream = b""
        # A TLS engine's next bytes may be decrypted already, and then no event announces them.
        if flow.upstream.tls and not flow.closed and self._wants_input(flow.upstream):
            self._pump(flow.upstream)

    def _serve(self, end: _End, events: int) -> None:
        flow = end.flow
        if end.out and (events & (_OUT | _LOST) or end.tls):
            self._flush(end)
            if not end.out and not flow.closed and self._wants_input(end.peer):
                # The other side was waiting for exactly this: go on without another turn of epoll.
                self._pump(end.peer)
        if flow.closed:
            return
        if self._wants_input(end):
            if events & (_IN | _LOST) or (end.tls and events & _OUT):
                self._pump(end)
        elif events & _LOST:
            self._lost(end)

    def _wants_input(self, end: _End) -> bool:
        flow = end.flow
        if end.eof:
            return False
        if end is flow.upstream:
            return not flow.client.out and not flow.finishing
        if flow.linger_until is not None or not flow.stream.two_way:
            return True  # to be thrown away, or to see the client go
        return not flow.up_dead and not flow.upstream.out

    def _pump(self, end: _End) -> None:
        """Move what `end` has to its peer, at most BURST blocks."""
        flow, stream = end.flow, end.flow.stream
        for _ in range(BURST):
            count = self._receive(end)
            if count < 0:
                return
            if count == 0:
                self._ended(end)
                return
            if end is flow.upstream:
                self._down(flow, self._view[:count])
            elif flow.linger_until is None and stream.two_way:
                stream.bytes_up += count
                self._send(flow.upstream, self._view[:count])
            if flow.closed or not self._wants_input(end):
                return
            if count < BLOCK and not end.tls:
                return
        if end.tls:
            self._again[end] = None

    def _receive(self, end: _End) -> int:
        """Read up to a block: its size, 0 at the end of input, -1 when there is nothing now."""
        end.tls_wants = 0
        total = 0
        try:
            if not end.tls:
                return end.sock.recv_into(self._view)
            while total < BLOCK:  # a TLS read gives one record, 16 KiB at most
                count = end.sock.recv_into(self._view[total:])
                if count == 0:
                    break
                total += count
            return total
        except ssl.SSLWantWriteError:
            end.tls_wants = _OUT
            return total or -1
        except _WOULD_BLOCK:
            return total or -1
        except OSError:
            # A reset or a broken TLS record: nothing more will come. A second read says so again.
            return total

    def _down(self, flow: _Flow, data: bytes | memoryview) -> None:
        """Pass bytes of the engine on to the client, through the transform."""
        flow.stream.bytes_down += len(data)
        transform = flow.stream.transform
        if transform is None:
            self._send(flow.client, data)
            return
        if result := transform.feed(bytes(data)):
            self._send(flow.client, result)
        if transform.ended and not flow.closed:
            self._ended(flow.upstream)

    def _send(self, end: _End, data: bytes | memoryview) -> None:
        if end.out:
            end.out.append(bytes(data))
            return
        try:
            sent = end.sock.send(data)
        except _WOULD_BLOCK as blocked:
            sent = 0
            end.tls_wants = _IN if isinstance(blocked, ssl.SSLWantReadError) else 0
        except OSError:
            self._write_failed(end)
            return
        if sent < len(data):
            # A TLS write that would block has to be repeated with the same bytes: they stay one piece.
            end.out.append(bytes(data[sent:]))

    def _flush(self, end: _End) -> None:
        end.tls_wants = 0
        while end.out:
            piece = end.out[0]
            try:
                sent = end.sock.send(piece)
            except _WOULD_BLOCK as blocked:
                end.tls_wants = _IN if isinstance(blocked, ssl.SSLWantReadError) else 0
                return
            except OSError:
                self._write_failed(end)
                return
            if sent < len(piece):
                end.out[0] = memoryview(piece)[sent:]
                return
            end.out.popleft()
        self._shut_if_due(end)

    def _write_failed(self, end: _End) -> None:
        flow = end.flow
        if end is flow.client:
            self._close(flow)
            return
        # The engine takes no more input (the process ended): what it still has to say is delivered all the same.
        flow.up_dead = True
        end.out.clear()
        if flow.client.lost:
            self._close(flow)

    def _ended(self, end: _End) -> None:
        """`end` has nothing more to say."""
        if end.eof:
            return
        end.eof = True
        flow = end.flow
        if end is flow.upstream:
            transform = flow.stream.transform
            if transform is None:
                self._finished(flow, b"")
            else:
                flow.finishing = True
                self._in_pool(transform.finish, lambda last: self._guard(flow, self._finished, flow, last))
        elif flow.linger_until is not None or not flow.stream.two_way:
            self._close(flow)
        else:
            flow.upstream.shut_wanted = True
            self._shut_if_due(flow.upstream)

    def _finished(self, flow: _Flow, last: bytes | None) -> None:
        """The engine's output is complete; `last` is None when the transform could not finish."""
        flow.finishing = False
        if last is None:
            self._close(flow)
            return
        if last:
            self._send(flow.client, last)
        if not flow.closed:
            flow.client.shut_wanted = True
            self._shut_if_due(flow.client)

    def _shut_if_due(self, end: _End) -> None:
        if end.out or not end.shut_wanted or end.shut:
            return
        flow = end.flow
        end.shut = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(end.sock, socket.SHUT_WR)  # for TLS too: see the module's docstring
        if end is flow.client:
            if end.eof or end.lost:
                self._close(flow)
                return
            flow.linger_until = time.monotonic() + LINGER_SECONDS
            self._lingering[flow] = None
            flow.upstream.out.clear()
        elif flow.client.lost:
            self._close(flow)

    def _lost(self, end: _End) -> None:
        """`end` hung up while its input was not wanted."""
        flow = end.flow
        end.lost = True
        if end is flow.client and (end.eof or flow.up_dead) and not flow.upstream.out:
            self._close(flow)

    def _settle(self, flow: _Flow) -> None:
        """Tell epoll what the stream waits for now."""
        for end in (flow.client, flow.upstream):
            mask = end.tls_wants
            if self._wants_input(end):
                mask |= _IN
            if end.out:
                mask |= _OUT
            if mask == 0 and (end.lost or (end is flow.upstream and end.eof)):
                if end.mask is not None:
                    self._epoll.unregister(end.fd)
                    end.mask = None
            elif end.mask is None:
                self._epoll.register(end.fd, mask)
                end.mask = mask
            elif end.mask != mask:
                self._epoll.modify(end.fd, mask)
                end.mask = mask

    def _close(self, flow: _Flow) -> None:
        if flow.closed:
            return
        flow.closed = True
        self._lingering.pop(flow, None)
        for end in (flow.client, flow.upstream):
            self._again.pop(end, None)
            if end.mask is not None:
                with contextlib.suppress(OSError):
                    self._epoll.unregister(end.fd)
                end.mask = None
            self._ends.pop(end.fd, None)
            with contextlib.suppress(OSError):
                end.sock.close()
        with self._lock:
            self._flows.pop(flow.stream, None)
        if flow.stream.on_close is not None:
            self._in_pool(flow.stream.on_close)
