"""This process, as the database knows it: who holds an operation, and whether it still lives."""

from __future__ import annotations

import os
import socket
from uuid import UUID, uuid4

from app.store import processes
from app.store.session import Store

#: How often a process gives a sign of life, and after how long without one its operations are taken over. In seconds.
BEAT_SECONDS = 2
SILENT_SECONDS = 10


class Process:
    """Make one per process, after the fork."""

    def __init__(self, store: Store, kind: str) -> None:
        self.id: UUID = uuid4()
        self._store = store
        self._kind = kind
        self.beat()

    def beat(self) -> None:
        with self._store.begin() as tx:
            processes.beat(tx, self.id, self._kind, socket.gethostname(), os.getpid())
