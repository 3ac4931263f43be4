"""Containers that an engine does not tell of now, as while somebody copies files from them, and that are left alone for
a while: whoever goes through many would wait at each of them again and again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from uuid import UUID

#: One is left alone for so long: the first time, and at most.
PUT_OFF_SECONDS, MOST_PUT_OFF_SECONDS = 5.0, 60.0
#: How long an engine may take to tell of one: where its account has no other that is left alone, and at least.
LOOK_SECONDS, LEAST_LOOK_SECONDS = 2.0, 0.1


@dataclass(frozen=True)
class _Pause:
    account_id: UUID
    #: By the monotonic clock.
    until: float
    seconds: float


class PutOff:
    """Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pauses: dict[str, _Pause] = {}

    def has(self, container_id: str) -> bool:
        """Whether it is to be left alone now."""
        with self._lock:
            pause = self._pauses.get(container_id)
        return pause is not None and time.monotonic() < pause.until

    def seconds(self, account_id: UUID) -> float:
        """How long an engine may take to tell of one of the account's: who holds up many is given less for each."""
        now = time.monotonic()
        with self._lock:
            others = sum(pause.account_id == account_id and pause.until > now for pause in self._pauses.values())
        return max(LOOK_SECONDS / (1 + others), LEAST_LOOK_SECONDS)

    def add(self, container_id: str, account_id: UUID) -> None:
        now = time.monotonic()
        with self._lock:
            before = self._pauses.get(container_id)
            seconds = min(max(2 * (before.seconds if before else 0), PUT_OFF_SECONDS), MOST_PUT_OFF_SECONDS)
            old = now - MOST_PUT_OFF_SECONDS
            self._pauses = {key: pause for key, pause in self._pauses.items() if pause.until > old}
            self._pauses[container_id] = _Pause(account_id, now + seconds, seconds)

    def end(self, container_id: str) -> None:
        with self._lock:
            self._pauses.pop(container_id, None)
