"""Whose request gets a thread next.

A client has at most so many of a worker's threads, its long calls fewer still, and the long calls of all clients
together leave some to the short ones. What is asked beyond that waits its turn and holds no thread: a stop of fifty
containers at once is carried out some at a time, a client whose calls an engine does not answer leaves threads to
others, and whoever stops much can still look at what there is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")

#: The most requests of one client that wait in one worker.
MOST_WAITING = 1000


class TooManyWaiting(Exception):
    """One more does not wait."""


@dataclass(frozen=True)
class Turn:
    """What a request counts as: whose it is ("" where nothing is known of its client), and whether it is a long one."""

    client: str
    long: bool


class Turns(Generic[Waiter]):
    """For the main loop alone."""

    def __init__(self, threads: int) -> None:
        self._most = max(threads * 3 // 4, 1)
        self._most_long = max(threads * 5 // 8, 1)
        self._most_long_together = max(threads * 7 // 8, 1)
        #: How many run, of each client and of each client's long ones.
        self._running: Counter[str] = Counter()
        self._long: Counter[str] = Counter()
        #: In the order in which they came; how many of each client.
        self._waiting: dict[Waiter, Turn] = {}
        self._queued: Counter[str] = Counter()

    def ask(self, waiter: Waiter, turn: Turn) -> bool:
        """Whether it may run now; else `give_back` names it when it may. Raises TooManyWaiting."""
        if self._may(turn):
            self._take(turn)
            return True
        if self._queued[turn.client] >= MOST_WAITING:
            raise TooManyWaiting
        self._waiting[waiter] = turn
        self._queued[turn.client] += 1
        return False

    def give_back(self, ended: Turn) -> list[Waiter]:
        """A request has ended; those that run from now on, the first to come before the others."""
        self._count(self._running, ended.client, -1)
        self._count(self._long, ended.client, -ended.long)
        due = []
        for waiter, turn in self._waiting.items():
            if self._may(turn):
                self._take(turn)
                due.append(waiter)
        for waiter in due:
            self._count(self._queued, self._waiting.pop(waiter).client, -1)
        return due

    def _may(self, turn: Turn) -> bool:
        if self._running[turn.client] >= self._most:
            return False
        return not turn.long or (
            self._long[turn.client] < self._most_long and self._long.total() < self._most_long_together
        )

    def _take(self, turn: Turn) -> None:
        self._running[turn.client] += 1
        self._count(self._long, turn.client, turn.long)

    @staticmethod
    def _count(counter: Counter[str], client: str, change: int) -> None:
        counter[client] += change
        if not counter[client]:
            del counter[client]
