"""Moves the bytes of long streams, in the relay's thread.

Each direction is: read a block from one socket, send it to the other at once, keep what did not fit. A direction reads
again only when nothing of it is left unsent, so a slow reader is felt by the writer at the other end and a stream holds
at most one block per direction, whatever its sides do.

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
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from app.server.stream import Stream

log = logging.getLogger(__name__)

#: The most that one read takes and that one direction holds.
BLOCK = 256 * 1024
#: Blocks that one stream may move before the others have their turn.
BURST = 4
#: Seconds for which a client's remaining input is drained after its output has ended.
LINGER_SECONDS = 2.0

_IN, _OUT, _LOST = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class End:
    """One socket of a stream: what is still to be sent to it, and what is known of its state."""

    __slots__ = ("eof", "fd", "flow", "lost", "mask", "out", "peer", "shut", "shut_wanted", "sock", "tls", "tls_wants")

    peer: End

    def __init__(self, sock: socket.socket, flow: Flow) -> None:
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


class Flow:
    """The loop's view of a stream."""

    __slots__ = ("client", "closed", "fetching", "finishing", "linger_until", "stream", "up_dead", "upstream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.client = End(stream.client, self)
        self.upstream = End(stream.upstream, self)
        self.client.peer, self.upstream.peer = self.upstream, self.client
        #: The transform's `finish` is running in the pool.
        self.finishing = False
        #: The stream's `earlier` is.
        self.fetching = False
        #: The engine takes no more input; its output may go on.
        self.up_dead = False
        #: Set once the client's output is complete: input is drained until then.
        self.linger_until: float | None = None
        self.closed = False


class Carrier:
    """Everything here runs in the relay's thread, and neither blocks nor raises.

    `in_pool(work, then)` runs work elsewhere and `then(result)` here, and so does `fetch` for a stream's `earlier`;
    `closed(flow)` hears of each end.
    """

    def __init__(
        self,
        epoll: select.epoll,
        in_pool: Callable[[Callable[[], Any], Callable[[Any], None]], None],
        fetch: Callable[[Callable[[], Any], Callable[[Any], None]], None],
        closed: Callable[[Flow], None],
    ) -> None:
        self._epoll = epoll
        self._in_pool = in_pool
        self._fetch = fetch
        self._closed = closed
        self._ends: dict[int, End] = {}
        self._lingering: dict[Flow, None] = {}
        #: TLS ends that hold decrypted bytes, of which epoll knows nothing.
        self._again: dict[End, None] = {}
        self._block = bytearray(BLOCK)
        self._view = memoryview(self._block)

    def serve(self, fd: int, events: int) -> None:
        """What epoll says of a descriptor."""
        end = self._ends.get(fd)
        if end is not None:  # else it was closed by an earlier event of this round
            self._guard(end.flow, self._serve, end, events)

    def serve_again(self) -> None:
        """Go on with the ends that have more and would not hear of it."""
        again, self._again = self._again, {}
        for end in again:
            self._guard(end.flow, self._serve, end, _IN)

    def due(self) -> float | None:
        """When there is something to do without an event; None when there is not."""
        if self._again:
            return 0.0
        return next((flow.linger_until or 0.0 for flow in self._lingering), None)  # the first is the oldest

    def end_lingering(self) -> None:
        now = time.monotonic()
        for flow in list(self._lingering):
            if (flow.linger_until or 0) > now:
                break
            self.close(flow)

    def begin(self, flow: Flow) -> None:
        if flow.closed:  # cut before it began
            return
        for end in (flow.client, flow.upstream):
            end.sock.setblocking(False)
            if end.sock.family in (socket.AF_INET, socket.AF_INET6):
                end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end.fd] = end
        self._guard(flow, self._first_bytes, flow)

    def _guard(self, flow: Flow, step: Callable[..., None], *arguments: Any) -> None:
        """Do one step of a stream; an error of any kind ends that stream and no other."""
        if flow.closed:
            return
        try:
            step(*arguments)
            if not flow.closed:
                self._settle(flow)
        except Exception:
            log.exception("a stream was closed by an error")
            self.close(flow)

    def _first_bytes(self, flow: Flow) -> None:
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

    def _serve(self, end: End, events: int) -> None:
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

    def _wants_input(self, end: End) -> bool:
        flow = end.flow
        if end.eof:
            return False
        if end is flow.upstream:
            return not flow.client.out and not flow.finishing and flow.stream.earlier is None
        if flow.linger_until is not None or not flow.stream.two_way:
            return True  # to be thrown away, or to see the client go
        return not flow.up_dead and not flow.upstream.out

    def _pump(self, end: End) -> None:
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

    def _receive(self, end: End) -> int:
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

    def _down(self, flow: Flow, data: bytes | memoryview) -> None:
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

    def _send(self, end: End, data: bytes | memoryview) -> None:
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

    def _flush(self, end: End) -> None:
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

    def _write_failed(self, end: End) -> None:
        flow = end.flow
        if end is flow.client:
            self.close(flow)
            return
        # The engine takes no more input (the process ended): what it still has to say is delivered all the same.
        flow.up_dead = True
        end.out.clear()
        if flow.client.lost:
            self.close(flow)

    def _ended(self, end: End) -> None:
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
            self.close(flow)
        else:
            flow.upstream.shut_wanted = True
            self._shut_if_due(flow.upstream)

    def _finished(self, flow: Flow, last: bytes | None) -> None:
        """The engine's output is complete; `last` is None when the transform could not finish."""
        flow.finishing = False
        if last is None:
            self.close(flow)
            return
        if last:
            self._send(flow.client, last)
        if not flow.closed:
            flow.client.shut_wanted = True
            self._shut_if_due(flow.client)

    def _shut_if_due(self, end: End) -> None:
        if end.out or not end.shut_wanted or end.shut:
            return
        flow = end.flow
        end.shut = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(end.sock, socket.SHUT_WR)  # for TLS too: see the module's docstring
        if end is flow.client:
            if end.eof or end.lost:
                self.close(flow)
                return
            flow.linger_until = time.monotonic() + LINGER_SECONDS
            self._lingering[flow] = None
            flow.upstream.out.clear()
        elif flow.client.lost:
            self.close(flow)

    def _lost(self, end: End) -> None:
        """`end` hung up while its input was not wanted."""
        flow = end.flow
        end.lost = True
        if end is flow.client and (end.eof or flow.up_dead) and not flow.upstream.out:
            self.close(flow)

    def _fetch_earlier(self, flow: Flow, earlier: Callable[[], bytes]) -> None:
        flow.fetching = True
        self._fetch(earlier, lambda piece: self._guard(flow, self._fetched, flow, piece))

    def _fetched(self, flow: Flow, piece: bytes | None) -> None:
        """`piece` is None when there could not be one."""
        flow.fetching = False
        if piece is None:
            self.close(flow)
        elif piece:
            flow.stream.bytes_down += len(piece)
            self._send(flow.client, piece)
        else:
            flow.stream.earlier = None

    def _settle(self, flow: Flow) -> None:
        """Fetch what goes next, and tell epoll what the stream waits for now."""
        if flow.stream.earlier is not None and not flow.fetching and not flow.client.out:
            self._fetch_earlier(flow, flow.stream.earlier)
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

    def close(self, flow: Flow) -> None:
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
        self._closed(flow)
