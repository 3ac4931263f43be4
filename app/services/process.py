"""This process, as the database knows it: who holds an operation, and whether it still lives."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from uuid import UUID, uuid4

from app.errors import Unavailable
from app.store import operations, processes
from app.store.session import Store

#: How often a process gives a sign of life, and after how long without one its operations are taken over. In seconds.
BEAT_SECONDS = 2
SILENT_SECONDS = 10


#: No process has this id: an operation that is given to it is taken over at the observer's next look.
NOBODY = UUID(int=0)


class Process:
    """Make one per process, after the fork."""

    def __init__(self, store: Store, kind: str) -> None:
        self.id: UUID = uuid4()
        self._store = store
        self._kind = kind
        self._abandoned: set[UUID] = set()
        #: Operations that last as they like, and since when they are here (monotonic seconds).
        self._held: dict[UUID, float] = {}
        #: False until the database has heard of this process: before that it may open no operation.
        self.known = False
        with contextlib.suppress(Unavailable):
            self.beat()

    def beat(self) -> None:
        """A sign of life, without which this process's operations are taken over.

        Those that it does not hold, and that are older than any engine call lasts, it has lost, by a commit of which
        it never heard, say: they are left to an observer.
        """
        # One that is released from now on may have its end not written yet.
        abandoned, held, since = list(self._abandoned), set(self._held), time.monotonic()
        with self._store.begin() as tx:
            processes.beat(tx, self.id, self._kind, socket.gethostname(), os.getpid())
            pending = operations.list_ages(tx, self.id)
            held |= self._held.keys()
            # An observer ends its own at its next round.
            lost = [o for o, old in pending.items() if old and o not in held and self._kind != "observer"]
            for operation_id in [*abandoned, *lost]:
                operations.hand_over(tx, operation_id, self.id, NOBODY)
        self.known = True
        self._abandoned.difference_update(abandoned)
        for operation_id, held_since in list(self._held.items()):
            # Its transaction came to nothing.
            if operation_id not in pending and held_since < since - SILENT_SECONDS:
                self.release(operation_id)

    def hold(self, operation_id: UUID) -> None:
        """It is under way here, however long it takes, until `release`."""
        self._held[operation_id] = time.monotonic()

    def release(self, operation_id: UUID) -> None:
        self._held.pop(operation_id, None)

    def abandon(self, operation_id: UUID) -> None:
        """Leave an operation to an observer: how it ended cannot be known now.

        Where the database is away too, the next sign of life that reaches it says so.
        """
        self.release(operation_id)
        self._abandoned.add(operation_id)
        with contextlib.suppress(Unavailable):
            with self._store.begin() as tx:
                operations.hand_over(tx, operation_id, self.id, NOBODY)
            self._abandoned.discard(operation_id)
