"""The rendered container list, kept per worker and account as long as the database says that nothing has changed.

`docker ps` is asked often and answered from rows that seldom change. What has to be read for every answer is a stamp of
the account's rows (`container_lists.stamp`); only where it differs are the rows themselves read. A `Status` counts
seconds, so a list in which something has run is rendered anew after one.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

#: Bytes that one worker keeps.
CAPACITY = 16 * 1024 * 1024
#: What an entry takes besides its body.
OVERHEAD = 1024
#: Docker's durations are whole seconds.
STATUS_SECONDS = 1.0


@dataclass(frozen=True)
class _Kept:
    stamp: Any
    body: bytes
    until: float

    @property
    def size(self) -> int:
        return len(self.body) + OVERHEAD


class ListCache:
    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable, stamp: Any, make: Callable[[], tuple[bytes, bool]]) -> bytes:
        """The body that was made for `key` at this stamp, else what `make` makes: (body, whether it ages).

        The stamp has to be read before the rows: a change between the two makes the next stamp differ.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept and kept.stamp == stamp and time.monotonic() < kept.until:
                self._kept.move_to_end(key)
                return kept.body
        body, ages = make()
        self._put(key, _Kept(stamp, body, time.monotonic() + STATUS_SECONDS if ages else float("inf")))
        return body

    def _put(self, key: Hashable, new: _Kept) -> None:
        with self._lock:
            old = self._kept.pop(key, None)
            self._size += new.size - (old.size if old else 0)
            self._kept[key] = new
            while self._size > self._capacity:
                _, dropped = self._kept.popitem(last=False)
                self._size -= dropped.size
