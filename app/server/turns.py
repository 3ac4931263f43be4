"""Whose request gets a thread next.

A client has at most so many of a worker's threads, its long calls fewer still, and the long calls of all clients
together leave some to the short ones. What is asked beyond that waits its turn and holds no thread: a stop of fifty
containers at once is carried out some at a time, a client whose calls an engine does not answer leaves threads to
others, and whoever stops much can still look at what there is. Who a client is, is known once it was let in: until then
it has a lane of its own, which is narrow.
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
    """What a request counts as: whose it is by its own word, whether that is known to be so, and whether it is long."""

    client: str
    known: bool
    long: bool

    @property
    def lane(self) -> str:
        """Strangers do not stand in the way of whom they call themselves after."""
        return self.client if self.known else f"? {self.client}"


class Turns(Generic[Waiter]):
    """For the main loop alone."""

    def __init__(self, threads: int) -> None:
        self._most = max(threads * 3 // 4, 1)
        #: A client that is not known yet may be one that has the former as well.
        self._most_unknown = max(threads // 8, 1)
        self._most_long = max(threads * 5 // 8, 1)
        self._most_long_together = max(threads * 7 // 8, 1)
        #: How many run in each client's lane, and how many long ones.
        self._running: Counter[str] = Counter()
        self._long: Counter[str] = Counter()
        #: In the order in which they came, and how many in each lane.
        self._waiting: dict[Waiter, Turn] = {}
        self._queued: Counter[str] = Counter()

    def ask(self, waiter: Waiter, turn: Turn) -> bool:
        """Whether it may run now; else `give_back` names it when it may. Raises TooManyWaiting."""
        if self._may(turn):
            self._take(turn)
            return True
        if self._queued[turn.lane] >= MOST_WAITING:
            raise TooManyWaiting
        self._waiting[waiter] = turn
        self._queued[turn.lane] += 1
        return False

    def give_back(self, ended: Turn) -> list[Waiter]:
        """A request has ended; those that run from now on, the first to come before the others."""
        self._count(self._running, ended.lane, -1)
        self._count(self._long, ended.lane, -ended.long)
        due = []
        for waiter, turn in self._waiting.items():
            if self._may(turn):
                self._take(turn)
                due.append(waiter)
        for waiter in due:
            self._count(self._queued, self._waiting.pop(waiter).lane, -1)
        return due

    def _may(self, turn: Turn) -> bool:
        if self._running[turn.lane] >= (self._most if turn.known else self._most_unknown):
            return False
        return not turn.long or (
            self._long[turn.lane] < self._most_long and self._long.total() < self._most_long_together
        )

    def _take(self, turn: Turn) -> None:
        self._running[turn.lane] += 1
        self._count(self._long, turn.lane, turn.long)

    @staticmethod
    def _count(counter: Counter[str], lane: str, change: int) -> None:
        counter[lane] += change
        if not counter[lane]:
            del counter[lane]
