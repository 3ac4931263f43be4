"""The connections of a worker by their phase. Those in the main loop have deadlines; who is overdue is closed."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator

from app.server.connection import Connection, Phase

#: Seconds from the first byte (or the accept) to a complete preamble and head.
HEAD_SECONDS = 10.0
#: Seconds for a small body behind its head.
BODY_SECONDS = 30.0
#: Seconds for which remaining input is drained before a connection is closed: closing with unread input resets it,
#: which can destroy the response on its way.
LINGER_SECONDS = 3.0


class Connections:
    """For the main loop alone; only `count` may be asked from a thread."""

    def __init__(self, poller: selectors.BaseSelector, idle_seconds: float) -> None:
        self._poller = poller
        self._phases: dict[Phase, dict[Connection, None]] = {phase: {} for phase in Phase}
        self._seconds = {
            Phase.HEAD: HEAD_SECONDS,
            Phase.BODY: BODY_SECONDS,
            Phase.IDLE: idle_seconds,
            Phase.LINGER: LINGER_SECONDS,
            Phase.WAITING: 0.0,
            Phase.BUSY: 0.0,
        }

    def __len__(self) -> int:
        return sum(map(len, self._phases.values()))

    def __iter__(self) -> Iterator[Connection]:
        return (connection for phase in Phase for connection in list(self._phases[phase]))

    def count(self, phase: Phase) -> int:
        return len(self._phases[phase])

    def enter(self, connection: Connection, phase: Phase) -> None:
        """Move a connection to `phase`, with the deadline and the registration that belong to it."""
        self._phases[connection.phase].pop(connection, None)
        connection.phase = phase
        self._phases[phase][connection] = None
        connection.deadline = time.monotonic() + self._seconds[phase]
        if (phase not in (Phase.WAITING, Phase.BUSY)) != connection.registered:
            connection.registered = not connection.registered
            if connection.registered:
                self._poller.register(connection.sock, selectors.EVENT_READ, connection.on_readable)
            else:
                self._poller.unregister(connection.sock)

    def forget(self, connection: Connection) -> None:
        """Take a connection out of all lists: its socket is somebody else's now."""
        self._phases[connection.phase].pop(connection, None)

    def drop(self, connection: Connection) -> None:
        """Close a connection at once."""
        if connection.registered:
            connection.registered = False
            self._poller.unregister(connection.sock)
        self.forget(connection)
        connection.sock.close()

    def linger(self, connection: Connection) -> None:
        """Close a connection after its response: end our side, throw away what still comes, not for long."""
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(connection)
            return
        self.enter(connection, Phase.LINGER)

    def drop_idle(self) -> bool:
        """Close the connection that has had nothing to ask for the longest time; False where there is none."""
        for connection in self._phases[Phase.IDLE]:
            self.drop(connection)
            return True
        return False

    def drop_overdue(self) -> None:
        now = time.monotonic()
        for phase in (Phase.HEAD, Phase.BODY, Phase.IDLE, Phase.LINGER):
            overdue = []
            for connection in self._phases[phase]:
                if connection.deadline > now:
                    break  # the order is the order of entry, and so of the deadlines
                overdue.append(connection)
            for connection in overdue:
                self.drop(connection)

    def shorten_idle(self, seconds: float) -> None:
        """From now on nobody is idle for longer than so many seconds."""
        self._seconds[Phase.IDLE] = min(seconds, self._seconds[Phase.IDLE])
        latest = time.monotonic() + seconds
        for connection in self._phases[Phase.IDLE]:
            connection.deadline = min(connection.deadline, latest)

    def end_all(self) -> None:
        """End whatever a thread or a client is waiting for; a thread closes its socket by forgetting it."""
        for connection in self:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
