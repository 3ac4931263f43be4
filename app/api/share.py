"""How many calls of a kind an account may have under way in a worker: builds, and looks at every file of containers.

They cost a node its disk, whether or not they hold a thread; threads are shared out by the server (`server/turns.py`).
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID

from app.errors import TooMany

#: How long a call waits for a place before it is refused. It holds a thread meanwhile, of those that are its account's.
PATIENCE = 60.0


class Share:
    """`most` is how many such calls one account may have under way in one worker; `what` they are, for who has more."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._changed = threading.Condition()
        self._held: Counter[UUID] = Counter()

    def take(self, account_id: UUID, *, patience: float = 0.0) -> Callable[[], None]:
        """Take a place; what is returned gives it back, once, however often it is called.

        Raises TooMany where there is none within `patience` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._held[account_id] < self._most, patience):
                raise TooMany(f"too many {self._what} at a time: {self._most} of {self._most}", retry_after=5)
            self._held[account_id] += 1
        given_back = threading.Event()

        def give_back() -> None:
            with self._changed:
                if given_back.is_set():
                    return
                given_back.set()
                self._held[account_id] -= 1
                if not self._held[account_id]:
                    del self._held[account_id]
                self._changed.notify_all()

        return give_back

    @contextlib.contextmanager
    def hold(self, account_id: UUID) -> Iterator[None]:
        """A place for as long as the block runs, as soon as there is one. Raises TooMany."""
        give_back = self.take(account_id, patience=PATIENCE)
        try:
            yield
        finally:
            give_back()
