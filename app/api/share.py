"""An account's share of a worker's threads, for calls that hold one for long: stop, restart, pull, load.

Without it one account could take all threads, with stops of containers that ignore their signal, say, and nobody would
be answered. Streams hold no thread and need no share.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID

from app.errors import TooMany


class Share:
    """`most` is how many such calls one account may have under way in one worker."""

    def __init__(self, most: int) -> None:
        self._most = max(most, 1)
        self._lock = threading.Lock()
        self._held: Counter[UUID] = Counter()

    def take(self, account_id: UUID) -> Callable[[], None]:
        """Take a place; what is returned gives it back, once, however often it is called. Raises TooMany."""
        with self._lock:
            if self._held[account_id] >= self._most:
                raise TooMany(f"too many long calls at a time: {self._most} of {self._most}", retry_after=5)
            self._held[account_id] += 1
        given_back = threading.Event()

        def give_back() -> None:
            with self._lock:
                if not given_back.is_set():
                    given_back.set()
                    self._held[account_id] -= 1
                    if not self._held[account_id]:
                        del self._held[account_id]

        return give_back

    @contextlib.contextmanager
    def hold(self, account_id: UUID) -> Iterator[None]:
        """A place for as long as the block runs. Raises TooMany."""
        give_back = self.take(account_id)
        try:
            yield
        finally:
            give_back()
